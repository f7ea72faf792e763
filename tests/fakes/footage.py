"""Footage with known values, written by other libraries than the one that reads it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenEXR
import OpenImageIO as oiio
from PIL import Image

HEIGHT, WIDTH = 24, 32


def flat(value: int | tuple[int, int, int], height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return 8-bit RGB of one color ``[H, W, 3]``."""
    return np.full((height, width, 3), value, np.uint8)


def soft_disc(soft: float = 8.0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Return a matte ``[H, W]`` in 0..1 with an edge ``soft`` pixels wide."""
    y, x = np.mgrid[:height, :width]
    away = np.hypot(x + 0.5 - width / 2, y + 0.5 - height / 2)
    return np.clip((min(height, width) / 3 + soft / 2 - away) / soft, 0, 1)


def srgb_to_linear(value: Any) -> np.ndarray:
    """Return display values as light, by the formula of IEC 61966-2-1."""
    code = np.asarray(value, np.float64)
    return np.where(code <= 0.04045, code / 12.92, ((np.maximum(code, 0) + 0.055) / 1.055) ** 2.4)


def sequence(
    folder: Path, save: Callable[[Path], object], count: int = 3, name: str = "f.{:04d}.png"
) -> Path:
    """Return ``folder`` with ``count`` frames that ``save`` writes."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        save(folder / name.format(number))
    return folder


def save_png(pixels: np.ndarray, **options: Any) -> Callable[[Path], object]:
    """Return a writer of 8-bit PNG, JPEG or TIFF by Pillow."""
    return lambda path: Image.fromarray(pixels).save(path, **options)


def save_png_chunks(
    path: Path, head: tuple[int, int, int, int], row: bytes, chunks: Sequence[bytes] = ()
) -> Path:
    """Write a PNG of equal rows: width, height, bits and color type, and ``png_chunk`` before."""
    pixels = zlib.compress((b"\0" + row) * head[1])
    parts = [png_chunk(b"IHDR", struct.pack(">IIBBBBB", *head, 0, 0, 0)), *chunks]
    parts += [png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def png_chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG with its length and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def save_exr(
    planes: dict[str, np.ndarray], kind: type = np.float16, **header: Any
) -> Callable[[Path], object]:
    """Return a writer of EXR by the OpenEXR library."""
    channels = {name: OpenEXR.Channel(np.ascontiguousarray(p, kind)) for name, p in planes.items()}
    fields = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **header}
    return lambda path: OpenEXR.File(dict(fields), dict(channels)).write(str(path))


def rgba_planes(rgb: Sequence[float], alpha: Any = 1.0) -> dict[str, np.ndarray]:
    """Return constant planes R, G, B, A."""
    full = np.ones((HEIGHT, WIDTH))
    return {**{c: full * v for c, v in zip("RGB", rgb, strict=True)}, "A": full * alpha}


def save_oiio(path: Path, pixels: np.ndarray, kind: str, **attributes: Any) -> Path:
    """Write an image of any format by OpenImageIO; a double underscore stands for a colon."""
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], kind)
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    out = oiio.ImageOutput.create(path.suffix[1:])
    assert out.open(str(path), spec), out.geterror()
    assert out.write_image(np.ascontiguousarray(pixels, np.float32)), out.geterror()
    out.close()
    return path


def save_video(
    path: Path,
    frames: Sequence[np.ndarray],
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    *,
    fps: Fraction | int = 24,
    frame_format: str = "rgb24",
    matrix: str = "ITU709",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    tags: dict[str, int] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Encode arrays by FFmpeg; ``tags`` are its numbers, ``times`` count frames of ``fps``."""
    settings = options if options is not None else {"crf": "1"} if codec == "libx264" else {}
    with av.open(str(path), "w", container_options=container_options or {}) as out:
        stream = out.add_stream(codec, rate=Fraction(fps))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = pixel_format, settings
        stream.metadata.update(metadata or {})
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        for index, array in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format=frame_format)
            if frame.format.name != pixel_format:
                frame = frame.reformat(
                    format=pixel_format,
                    dst_colorspace=matrix,
                    dst_color_range="MPEG",
                    threads=1,
                )
            frame.pts = index if times is None else times[index]
            frame.time_base = 1 / Fraction(fps)
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return path


def patch_box(path: Path, kind: bytes, offset: int, layout: str, *values: int) -> Path:
    """Overwrite numbers in the first box of ``kind`` of an MP4, ``offset`` bytes after its name."""
    data = bytearray(path.read_bytes())
    struct.pack_into(layout, data, data.find(kind) + 4 + offset, *values)
    path.write_bytes(data)
    return path
