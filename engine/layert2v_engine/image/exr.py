"""Half-float scanline EXR files: how layers are written, tagged and read.

OpenImageIO is the file library. Its color conversion is not used, and its success is not believed:
on a full disk it reports a good write of an empty file. Knows one picture at a time, no stack.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import OpenImageIO as oiio
import torch
from torch import Tensor

from layert2v_engine.errors import StackError
from layert2v_engine.image.atomic import atomic_write, probe_disk_space
from layert2v_engine.image.exr_header import (
    GENERATOR,
    RGBA,
    TAG_PREFIX,
    ExrOptions,
    Tags,
    frame_rate,
)
from layert2v_engine.image.footage.timing import add_frames

_MAGIC = 20000630
_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)[:;](\d\d)")
_CHUNK_HEADER = struct.Struct("<ii")


class Written(NamedTuple):
    """What was written: the size of the file, and its SHA-256 in hexadecimal digits."""

    size_bytes: int
    sha256: str


def write(
    path: Path, pixels: Tensor, tags: Tags, options: ExrOptions, channels: Sequence[str] = RGBA
) -> Written:
    """Write half ``[H, W, C]`` on the CPU as one scanline part, data window = display window.

    Color is premultiplied and scene-linear, as ``tags.colorspace`` says; nothing is converted. The
    file appears whole or not at all. Raises ``DiskFull`` or ``StackError``.
    """
    if pixels.dtype != torch.float16 or pixels.ndim != 3 or pixels.shape[-1] != len(channels):
        raise ValueError(f"want half [H, W, {len(channels)}], not {pixels.dtype} {pixels.shape}")
    array = pixels.contiguous().numpy()  # OIIO refuses views with gaps, OpenEXR garbles them
    spec = oiio.ImageSpec(array.shape[1], array.shape[0], len(channels), "half")
    spec.channelnames = tuple(channels)
    spec.attribute("compression", options.compression)
    _set_attributes(spec, tags)
    with atomic_write(path) as temporary:
        detail = _encode(temporary, spec, array)
        written = None if detail is not None else _digest_if_complete(temporary)
        if written is None:
            detail = detail or "the end of the file is missing"
            probe_disk_space(temporary, array.nbytes)
            message = f"{path} could not be written: {detail.rstrip('.')}."
            raise StackError(message, reason="WRITE_FAILED")
    return written


def read(path: Path, channels: Sequence[str] = RGBA) -> Tensor:
    """Read a half file of exactly these ``channels`` as half ``[H, W, C]``, values unchanged.

    Raises ``StackError``.
    """
    file = oiio.ImageInput.open(str(path))
    if file is None:
        raise _read_error(path, oiio.geterror())
    try:
        names, format = tuple(file.spec().channelnames), str(file.spec().format)
        if names != tuple(channels) or format != "half":
            raise _read_error(path, f"it holds {format} {' '.join(names)}")
        pixels = file.read_image("half")
        if pixels is None:
            raise _read_error(path, file.geterror())
    finally:
        file.close()
    return torch.from_numpy(np.asarray(pixels))


def read_timecode(path: Path) -> str:
    """Return the SMPTE timecode of a file, "" where it has none. Raises ``StackError``."""
    file = oiio.ImageInput.open(str(path))
    if file is None:
        raise _read_error(path, oiio.geterror())
    try:
        return str(file.spec().get_string_attribute("smpte:TimeCode"))
    finally:
        file.close()


def is_complete(path: Path) -> bool:
    """Tell whether a single-part scanline file ends where its table of chunks says.

    The last flush of a writer may fail unseen when the disk is full.
    """
    with _map_file(path) as data:
        return _has_its_end(data)


def _digest_if_complete(path: Path) -> Written | None:
    """Return size and SHA-256 of a file that is complete, by opening it once."""
    with _map_file(path) as data:
        if not _has_its_end(data):
            return None
        return Written(len(data), hashlib.sha256(data).hexdigest())


@contextmanager
def _map_file(path: Path) -> Iterator[mmap.mmap | bytes]:
    """Give the bytes of a file; those of an empty one cannot be mapped."""
    with path.open("rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size == 0:
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


def _has_its_end(data: mmap.mmap | bytes) -> bool:
    try:
        table = _end_of_header(data)
        (first,) = struct.unpack_from("<Q", data, table)
        (last,) = struct.unpack_from("<Q", data, first - 8)
        _, size = _CHUNK_HEADER.unpack_from(data, last)
        return bool(table < first <= last and last + _CHUNK_HEADER.size + size == len(data))
    except (struct.error, ValueError, IndexError, OverflowError):
        return False


def _end_of_header(data: mmap.mmap | bytes) -> int:
    magic, _ = struct.unpack_from("<ii", data, 0)
    if magic != _MAGIC:
        raise ValueError("not an EXR file")
    position = 8
    while data[position] != 0:  # name, type, size, value; an empty name ends the header
        position = data.find(b"\0", position) + 1
        position = data.find(b"\0", position) + 1
        (size,) = struct.unpack_from("<i", data, position)
        position += 4 + size
    return position + 1


def _encode(path: Path, spec: oiio.ImageSpec, array: np.ndarray) -> str | None:
    """Write the file; return OIIO's error text, None where there is none."""
    out = oiio.ImageOutput.create("exr")
    if out is None:
        return str(oiio.geterror())
    if not out.open(str(path), spec):
        return str(out.geterror())
    written, error = out.write_image(array), str(out.geterror())
    closed = out.close()
    return None if written and closed else error or str(out.geterror()) or "no reason given"


def _set_attributes(spec: oiio.ImageSpec, tags: Tags) -> None:
    # The id alone: the Color Interop Forum advises against chromaticities beside it.
    spec.attribute("colorInteropID", tags.colorspace)
    fraction = frame_rate(tags.fps)
    # The generic "FramesPerSecond" lands in the header under that wrong spelling.
    spec.attribute(
        "framesPerSecond", oiio.TypeDesc("rational"), (fraction.numerator, fraction.denominator)
    )
    spec.attribute("imageCounter", tags.frame)
    counted = add_frames("00:00:00:00", tags.frame, tags.fps)
    timecode = _pack_timecode(counted if tags.timecode is None else tags.timecode)
    if timecode is not None:
        spec.attribute("smpte:TimeCode", oiio.TypeDesc("timecode"), (timecode, 0))
    spec.attribute("PixelAspectRatio", float(tags.pixel_aspect))
    spec.attribute("Software", GENERATOR)
    # Empty on purpose: OIIO would write the clock, and equal pixels would not be equal files.
    spec.attribute("DateTime", "")
    if tags.comments:
        spec.attribute("ImageDescription", tags.comments)
    for key, value in tags.custom.items():
        spec.attribute(TAG_PREFIX + key, value)


def _pack_timecode(text: str) -> int | None:
    """Return ``hh:mm:ss:ff`` as SMPTE 12M binary-coded decimal; ``;`` marks dropped frames."""
    match = _TIMECODE.fullmatch(text)
    if match is None:
        return None
    fields = (int(match[group]) for group in (4, 3, 2, 1))
    packed = sum((value // 10 << 4 | value % 10) << 8 * place for place, value in enumerate(fields))
    return packed | 0x40 if ";" in text else packed


def _read_error(path: Path, error: str) -> StackError:
    # The first line has the cause; EXR's own begin with the path and a code for programmers.
    detail = (error.strip() or "no reason given").splitlines()[0]
    detail = re.sub(r"^EXR Error \(.*?\): EXR_ERR_\w+ ", "", detail).rstrip(".")
    return StackError(
        f"{path} cannot be read as a layer: {detail}.",
        "Check that the file is whole, or make the stack again.",
        reason="FRAME_UNREADABLE",
    )
