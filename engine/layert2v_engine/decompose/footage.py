"""The footage of a request: which frames of it, in which color space, and that it can be used.

Frames are read once, in order, converted to the linear space of the layers and rounded to half;
nothing is scaled unless a proxy is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypedDict

import cv2
import numpy as np

from layert2v.decompose import DecomposeSpec, Footage, RefineSpec
from layert2v.rerender import AUTO
from layert2v_engine.decompose.arrays import HalfArray, Size
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import UNKNOWN_ID, ColorConfig
from layert2v_engine.image.footage.clip import Clip, open_clip
from layert2v_engine.image.footage.color_tags import find_colorspace
from layert2v_engine.image.footage.timing import add_frames
from layert2v_engine.stack.clip_reader import ClipReader, first_file, notes_of

FIRST_FRAME, FPS = 1001, 24.0  # of footage that does not say
_MIN_FRAMES, _MIN_SIDE = 2, 32

# The linear space with the primaries of an encoded one, by what its interop id holds.
_LINEAR_SPACES = {
    "p3d65": "lin_p3d65_scene",
    "rec2020": "lin_rec2020_scene",
    "ap1": "lin_ap1_scene",
    "ap0": "lin_ap0_scene",
}
_DEFAULT_SPACE = "lin_rec709_scene"


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameRange:
    """Frames by number, from ``first`` on; the footage begins ``start`` frames earlier.

    ``size`` is that of the layers, ``full`` that of the footage, ``pixel_aspect`` of both.
    """

    first: int
    frames: int
    start: int
    size: Size
    full: Size
    pixel_aspect: float = 1.0

    @property
    def last(self) -> int:
        """Return the number of the last frame."""
        return self.first + self.frames - 1

    def index(self, frame: int) -> int | None:
        """Return the place of a frame number in the range, None where it is outside."""
        return frame - self.first if self.first <= frame <= self.last else None


@dataclass(frozen=True, kw_only=True, slots=True)
class FootageRange:
    """The frames of a request, and the clip that they are read from."""

    reader: ClipReader
    range: FrameRange
    alpha: str
    fps: float
    colorspace: str
    rate_notes: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was guessed, followed or repaired so far."""
        return (*notes_of([self.reader]), *self.rate_notes)

    @property
    def timecode(self) -> str:
        """The SMPTE timecode of the first frame of the range, "" where there is none."""
        return add_frames(self.reader.info.timecode, self.range.start, self.fps)

    def pictures(self) -> Iterator[HalfArray]:
        """Yield the frames ``[H, W, 3]``, scene-linear half. Raises ``FootageError``."""
        start, count = self.range.start, self.range.frames
        for frame in islice(self.reader.opaque_frames(self.alpha), start, start + count):
            yield _scale(frame[..., :3].numpy(), self.range.size)


class ReadingOptions(TypedDict, total=False):
    """How the movies of a request are read where their tags are not to be followed."""

    matrix: str | None
    full_range: bool | None
    deinterlace: bool


def reading_options(said: Footage | RefineSpec) -> ReadingOptions:
    """Return what ``open_clip`` is told of the movies of a request."""
    return ReadingOptions(
        matrix=None if said.matrix == AUTO else said.matrix,
        full_range=None if said.color_range == AUTO else said.color_range == "full",
        deinterlace=said.deinterlace,
    )


def open_footage(spec: DecomposeSpec, path: Path, config: ColorConfig) -> FootageRange:
    """Return the frames that ``spec`` asks for. Raises ``FootageError`` and ``ColorError``."""
    fps = spec.footage.fps or None
    options = reading_options(spec.footage)
    clip = open_clip(path, fps=fps, colorspace=spec.footage.colorspace, **options)
    info = clip.info
    linear = _linear_space(spec, clip, config)
    reader = ClipReader("footage", clip, spec.footage.colorspace, linear, config)
    number = spec.footage.start_frame
    if number is None:
        number = info.first_frame if info.first_frame is not None else FIRST_FRAME
    if number < 0:
        raise FootageError(
            f"The frames of {path.name} are numbered from {number} on, and those of layers from 0.",
            "Number them anew: --start-frame 1001.",
            reason="FRAMES_NEGATIVE",
        )
    start, frames = _choose_range(spec, number, info.frames)
    name = first_file(clip).name
    _check(name, info.width, info.height, frames)
    notes: tuple[str, ...] = ()
    if not (fps or info.fps):
        notes = (f"{name} does not say how fast it runs; {FPS:g} frames a second.",)
    size = Size(info.width, info.height)
    scaled = Size(*(max(_MIN_SIDE, round(side * spec.scale)) for side in size))
    return FootageRange(
        reader=reader,
        range=FrameRange(
            first=number + start,
            frames=frames,
            start=start,
            size=size if spec.scale == 1.0 else scaled,
            full=size,
            pixel_aspect=info.pixel_aspect or 1.0,
        ),
        alpha=spec.footage.alpha,
        fps=fps or info.fps or FPS,
        colorspace=linear,
        rate_notes=notes,
    )


def _linear_space(spec: DecomposeSpec, clip: Clip, config: ColorConfig) -> str:
    if spec.colorspace != AUTO:
        return config.find_linear(spec.colorspace).name
    asked = spec.footage.colorspace
    name, _ = find_colorspace(clip.info, first_file(clip), asked, config, _DEFAULT_SPACE)
    space = config.find(name)
    if space.linear and space.interop_id != UNKNOWN_ID:
        return space.name
    parts = space.interop_id.split("_")
    return next((_LINEAR_SPACES[part] for part in parts if part in _LINEAR_SPACES), _DEFAULT_SPACE)


def _choose_range(spec: DecomposeSpec, number: int, count: int) -> tuple[int, int]:
    """Return start and length, from 0, of the frames that are asked for with their handles."""
    last = number + count - 1
    wanted = (
        number if spec.first is None else spec.first,
        last if spec.last is None else spec.last,
    )
    if wanted[0] < number or wanted[1] > last or wanted[1] < wanted[0]:
        raise FootageError(
            f"Frames {wanted[0]}-{wanted[1]} are not all in the footage, {number}-{last}.",
            "Ask for frames that are there.",
            reason="FRAMES_MISSING",
        )
    start = max(0, wanted[0] - number - spec.handles)
    end = min(count, wanted[1] - number + 1 + spec.handles)
    return start, end - start


def _check(name: str, width: int, height: int, frames: int) -> None:
    if frames < _MIN_FRAMES:
        raise FootageError(
            f"There is one frame in {name}, and what a subject hides is seen in others.",
            "Give a shot of several frames.",
            reason="FOOTAGE_STILL",
        )
    if min(width, height) < _MIN_SIDE:
        raise FootageError(
            f"{name} is {width} x {height} pixels.",
            f"Give footage of at least {_MIN_SIDE} pixels a side.",
            reason="FOOTAGE_SMALL",
        )


def _scale(frame: HalfArray, size: Size) -> HalfArray:
    if frame.shape[1::-1] == tuple(size):
        return frame
    small = cv2.resize(frame.astype(np.float32), tuple(size), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float16)
