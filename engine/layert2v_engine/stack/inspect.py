"""An independent check of a finished stack: what its files hold, and whether that is right.

Reads with the OpenEXR library and computes with numpy; the writer uses OpenImageIO and torch. An
error that both make in the same way is not found here. Changes nothing.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR

from layert2v.stack import FileRecord, FlattenedSequence, Layer, Role, Stack, frame_path
from layert2v_engine.image.atomic import PARTIAL_SUFFIX
from layert2v_engine.image.exr_header import RGBA, frame_rate
from layert2v_engine.stack.packed_names import packed_channels, packed_pattern, packed_sequences

_HALF_MAX = np.float32(65504.0)


@dataclass(kw_only=True, slots=True)
class Range:
    """Smallest and largest finite value included; ``low`` > ``high`` as long as there was none."""

    low: float = float("inf")
    high: float = float("-inf")

    def include(self, values: np.ndarray) -> None:
        """Widen to hold the finite ones of ``values``."""
        finite = values[np.isfinite(values)]
        if finite.size:
            self.low = min(self.low, float(finite.min()))
            self.high = max(self.high, float(finite.max()))

    def __str__(self) -> str:
        return f"{self.low:.3f} .. {self.high:.3f}" if self.low <= self.high else "-"


@dataclass(kw_only=True, slots=True)
class SequenceReport:
    """Figures of the files of one layer or flat."""

    name: str
    role: str
    frames: int = 0
    channels: str = ""
    pixels: str = ""
    compression: str = ""
    colorspace: str = ""
    alpha: Range = field(default_factory=Range)
    color: Range = field(default_factory=Range)
    not_finite: int = 0
    size_bytes: int = 0


@dataclass(kw_only=True, slots=True)
class Report:
    """The result of an inspection. The stack is right when ``problems`` is empty.

    ``exact_comp_frames`` counts frames whose comp is the over of their layers to the bit;
    ``comp_error`` and ``comp_alpha_error`` are the largest differences. ``packed`` counts packed
    frames, None if there are none.
    """

    stack: Stack
    sequences: list[SequenceReport] = field(default_factory=list)
    exact_comp_frames: int = 0
    comp_error: float = 0.0
    comp_alpha_error: float = 0.0
    matching_hashes: int = 0
    packed: int | None = None
    problems: list[str] = field(default_factory=list)


def inspect(folder: Path, stack: Stack) -> Report:
    """Read every file of the stack in ``folder``; damage is reported, not raised."""
    report = Report(stack=stack)
    for file in stack.files():
        _check_bytes(folder, file, report)
    for flat in stack.flats:
        report.sequences.append(_inspect_sequence(folder, stack, flat, report))
    for layer in stack.layers:
        figures = _inspect_sequence(folder, stack, layer, report)
        report.sequences.append(figures)
        _check_role(layer, figures, report)
    for frame in range(stack.start_frame, stack.start_frame + stack.frames):
        _check_comp(folder, stack, frame, report)
    _check_packed(folder, stack, report)
    leftovers = sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob(f"*{PARTIAL_SUFFIX}")
    )
    report.problems += [f"{name} is left over from an interrupted write." for name in leftovers]
    return report


def over(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Return ``top`` over ``bottom``, premultiplied float32 ``[H, W, 4]``, computed by numpy."""
    result: np.ndarray = top + bottom * (np.float32(1.0) - top[..., 3:])
    return result


def _check_bytes(folder: Path, file: FileRecord, report: Report) -> None:
    path = folder / file.path
    if not path.is_file():
        report.problems.append(f"{file.path} is missing.")
        return
    with path.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if digest == file.sha256 and path.stat().st_size == file.size_bytes:
        report.matching_hashes += 1
    else:
        report.problems.append(f"{file.path} is not the file that was delivered: its hash differs.")


def _inspect_sequence(
    folder: Path, stack: Stack, sequence: Layer | FlattenedSequence, report: Report
) -> SequenceReport:
    role = sequence.role.value if isinstance(sequence, Layer) else "flat"
    figures = SequenceReport(name=sequence.name, role=role)
    for index, file in enumerate(sequence.files):
        contents = _open(folder / file.path)
        if contents is None:
            if (folder / file.path).is_file():
                report.problems.append(f"{file.path} cannot be read.")
            continue
        header, planes = contents
        frame = stack.start_frame + index
        problems = _file_problems(header, planes, stack, frame)
        report.problems += [f"{file.path} {problem}." for problem in problems]
        if tuple(sorted(planes)) != tuple(sorted(RGBA)):
            report.problems.append(f"{file.path} has channels {' '.join(planes)}, not R G B A.")
            continue
        _measure(figures, header, planes)
    if figures.not_finite:
        report.problems.append(
            f"{sequence.name} has {figures.not_finite} values that are not numbers."
        )
    if figures.alpha.low < 0.0 or figures.alpha.high > 1.0:
        report.problems.append(f"{sequence.name} has alpha outside 0 to 1: {figures.alpha}.")
    figures.size_bytes = sum(file.size_bytes for file in sequence.files)
    return figures


def _measure(
    figures: SequenceReport, header: dict[str, Any], planes: dict[str, np.ndarray]
) -> None:
    figures.frames += 1
    figures.channels = " ".join(channel for channel in RGBA if channel in planes)
    figures.pixels = "/".join(sorted({_type_name(plane) for plane in planes.values()}))
    figures.compression = _compression(header)
    figures.colorspace = str(header.get("colorInteropID", "-"))
    figures.alpha.include(planes["A"])
    for channel in "RGB":
        figures.color.include(planes[channel])
    figures.not_finite += sum(int((~np.isfinite(plane)).sum()) for plane in planes.values())


def _check_role(layer: Layer, figures: SequenceReport, report: Report) -> None:
    if layer.role is Role.background and figures.frames and figures.alpha.low < 1.0:
        report.problems.append(f"The background {layer.name} is not opaque: alpha {figures.alpha}.")


def _file_problems(
    header: dict[str, Any], planes: dict[str, np.ndarray], stack: Stack, frame: int
) -> Iterator[str]:
    window = (0, 0, stack.width - 1, stack.height - 1)
    for name in ("dataWindow", "displayWindow"):
        corners = tuple(int(value) for corner in header[name] for value in corner)
        if corners != window:
            yield f"has {name} {corners}, not {window}"
    expected = {
        "colorInteropID": stack.colorspace,
        "framesPerSecond": frame_rate(stack.fps),
        "imageCounter": frame,
        "pixelAspectRatio": float(np.float32(stack.pixel_aspect)),
        "type": OpenEXR.scanlineimage,
        "lineOrder": OpenEXR.INCREASING_Y,
    }
    for name, value in expected.items():
        if header.get(name) != value:
            yield f"says {name} {header.get(name)}, not {value}"
    for name in ("view", "multiView", "chromaticities"):
        if name in header:
            yield f"has the attribute {name}, which hosts read in different ways"
    if OpenEXR.checkColorMetadata(header):
        yield "has color attributes that contradict each other"
    if any(plane.dtype != np.float16 for plane in planes.values()):
        yield "is not half float"


def _check_comp(folder: Path, stack: Stack, frame: int, report: Report) -> None:
    comp = _rgba(folder / frame_path(stack.flat("comp").pattern, frame))
    pixels: np.ndarray | None = None
    for layer in stack.layers:
        layer_pixels = _rgba(folder / frame_path(layer.pattern, frame))
        if comp is None or layer_pixels is None or layer_pixels.shape != comp.shape:
            return  # reported where the file was looked at
        top = layer_pixels.astype(np.float32)
        pixels = top if pixels is None else over(top, pixels)
    if comp is None or pixels is None:
        return
    expected = pixels.clip(-_HALF_MAX, _HALF_MAX).astype(np.float16)
    if np.array_equal(expected, comp):
        report.exact_comp_frames += 1
        return
    error = np.abs(expected.astype(np.float32) - comp.astype(np.float32))
    report.comp_error = max(report.comp_error, float(error[..., :3].max()))
    report.comp_alpha_error = max(report.comp_alpha_error, float(error[..., 3].max()))
    report.problems.append(
        f"The comp of frame {frame} is not the over of its layers: "
        f"color is off by up to {error[..., :3].max():.4g}, alpha by {error[..., 3].max():.4g}."
    )


def _check_packed(folder: Path, stack: Stack, report: Report) -> None:
    pattern = packed_pattern(stack)
    if not (folder / pattern).parent.is_dir():
        return
    report.packed = 0
    for frame in range(stack.start_frame, stack.start_frame + stack.frames):
        name = frame_path(pattern, frame)
        contents = _open(folder / name)
        if contents is None:
            report.problems.append(f"{name} is missing or cannot be read.")
            continue
        report.packed += 1
        header, planes = contents
        problems = [*_file_problems(header, planes, stack, frame)]
        channels = packed_channels(stack, str(header.get("layert2v/layer_prefix", "")))
        if set(planes) != set(channels):
            problems.append("has other channels than the stack has layers")
        else:
            problems += _packed_differences(folder, planes, stack, frame, channels)
        report.problems += [f"{name} {problem}." for problem in problems]


def _packed_differences(
    folder: Path,
    planes: dict[str, np.ndarray],
    stack: Stack,
    frame: int,
    channels: tuple[str, ...],
) -> Iterator[str]:
    for number, sequence in enumerate(packed_sequences(stack)):
        pixels = _rgba(folder / frame_path(sequence.pattern, frame))
        if pixels is None:
            continue  # reported where the file was looked at
        names = channels[4 * number : 4 * number + 4]
        packed = np.stack([planes[name] for name in names], axis=-1)
        if not np.array_equal(packed, pixels):
            yield f"holds other pixels than {sequence.name}"


def _open(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """Return header and planes by channel name of a single-part file; None if unreadable."""
    try:
        with _silence_openexr():
            file = OpenEXR.File(str(path), separate_channels=True)
        planes = {name: channel.pixels for name, channel in file.channels().items()}
        return dict(file.header()), planes
    except (RuntimeError, ValueError, TypeError, OSError):  # whatever the binding makes of damage
        return None


@contextmanager
def _silence_openexr() -> Iterator[None]:
    """Keep OpenEXR from the terminal.

    What it raises it also prints, its binding on Python's stdout and the library on the process's
    stderr. Not for a program whose other threads print meanwhile.
    """
    stderr = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(null)


def _rgba(path: Path) -> np.ndarray | None:
    contents = _open(path)
    if contents is None or not set(RGBA) <= set(contents[1]):
        return None
    return np.stack([contents[1][channel] for channel in RGBA], axis=-1)


def _type_name(plane: np.ndarray) -> str:
    return {"float16": "half", "float32": "float"}.get(plane.dtype.name, plane.dtype.name)


def _compression(header: dict[str, Any]) -> str:
    return str(header["compression"]).rpartition(".")[2].removesuffix("_COMPRESSION").lower()
