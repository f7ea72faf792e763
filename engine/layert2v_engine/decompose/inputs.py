"""The artist's own pictures beside the footage: mattes, scribbles and a clean plate.

Pictures of a sequence belong to the frames of their numbers, those of a movie to the frames in
order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from layert2v.decompose import DecomposeSpec, SubjectSpec
from layert2v.rerender import AUTO, Plate
from layert2v.stack import Role
from layert2v_engine.decompose.arrays import FloatArray, HalfArray, Size, resize
from layert2v_engine.decompose.footage import FrameRange, ReadingOptions
from layert2v_engine.decompose.protocols import Box
from layert2v_engine.decompose.subjects.hints import FrameHints, SubjectHints
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.footage.clip import Clip, find_clip, open_clip
from layert2v_engine.image.footage.info import ImageFrame
from layert2v_engine.image.footage.stills import StillSequence
from layert2v_engine.stack.clip_reader import ClipReader, MatteReader, first_file, notes_of
from layert2v_engine.stack.pixel_sources import Fit, check_aspect


class MatteInput:
    """A subject's matte: one for every frame of the range, or for some as hints."""

    def __init__(
        self,
        path: Path,
        frames: FrameRange,
        label: str,
        *,
        can_hold: bool = False,
        reading: ReadingOptions | None = None,
    ) -> None:
        clip = open_clip(path, colorspace="data", may_have_gaps=True, **(reading or {}))
        _check_size(clip, frames.full, label)
        self._clip = _plain_reader(clip, label)
        self._reader = MatteReader(self._clip, with_levels=True)
        self._frames, self._is_held = frames, can_hold and clip.info.frames == 1
        self._places = _places(clip, frames) if not self._is_held else {}
        if self._is_held:
            return
        if not self._places:
            raise _no_frames(label, frames)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was guessed, followed or repaired so far."""
        return (*notes_of([self._clip]), *self._reader.notes)

    @property
    def is_complete(self) -> bool:
        """Tell whether there is a matte for every frame."""
        return self._is_held or len(self._places) == self._frames.frames

    def planes(self) -> Iterator[tuple[int, FloatArray]]:
        """Yield frames (from 0) and their mattes ``[H, W]`` in 0..1, at the size of the layers."""
        size = self._frames.size
        for place, plane in enumerate(self._reader.frames()):
            resized = resize(plane.clamp(0, 1).numpy().astype(np.float32), size)
            if self._is_held:
                yield from ((index, resized) for index in range(self._frames.frames))
                return
            index = self._places.get(place)
            if index is not None:
                yield index, resized
            if place == max(self._places):
                return  # the reader holds a single picture, and so would never end


def read_hints(
    subject: SubjectSpec, inputs: Mapping[str, Path], numbers: FrameRange, small: Size
) -> SubjectHints:
    """Return what is said about a subject, at the working size. Raises ``FootageError``.

    A matte of every frame is no hint and left out.
    """
    full = numbers.full
    scale = (small.width / full.width, small.height / full.height)
    frames: dict[int, FrameHints] = {}
    for box in subject.boxes:
        index = _hinted_frame(box.frame, numbers)
        left, top = box.x * scale[0], box.y * scale[1]
        right, bottom = left + box.width * scale[0], top + box.height * scale[1]
        hints = frames.get(index, FrameHints())
        found = Box(left, top, right, bottom).clip(*small)
        if found.area == 0 or found.left >= found.right or found.top >= found.bottom:
            raise _hint_error(
                f"The box on frame {box.frame} lies outside of the picture, or is too small."
            )
        frames[index] = replace(hints, boxes=(*hints.boxes, found))
    for point in subject.points:
        index = _hinted_frame(point.frame, numbers)
        place = (point.x * scale[0], point.y * scale[1])
        if not (0 <= place[0] < small.width and 0 <= place[1] < small.height):
            raise _hint_error(f"A point on frame {point.frame} lies outside of the picture.")
        hints = frames.get(index, FrameHints())
        if point.is_subject:
            frames[index] = replace(hints, inside=(*hints.inside, place))
        else:
            frames[index] = replace(hints, outside=(*hints.outside, place))
    if subject.scribble:
        for index, plane in _scribbles(inputs[subject.scribble], numbers, small):
            frames[index] = replace(frames.get(index, FrameHints()), scribble=plane)
    return SubjectHints(words=subject.words, frames=frames)


class PlateInput:
    """The artist's own clean plate as linear frames of the footage's size. Held if a still.

    Of another size or shape it is fitted like the plate of a background, if that is asked for.
    """

    def __init__(
        self,
        plate: Plate,
        path: Path,
        numbers: FrameRange,
        colorspace: str,
        config: ColorConfig,
        reading: ReadingOptions | None = None,
    ) -> None:
        clip = open_clip(path, colorspace=plate.colorspace, **(reading or {}))
        self._fit: Fit | None = None
        if plate.fit == "exact":
            _check_size(clip, numbers.full, "plate")
            check_aspect(path.name, clip.info, numbers.pixel_aspect, "footage")
        else:
            full = numbers.full
            self._fit = Fit.compute(
                clip.info, (full.width, full.height), numbers.pixel_aspect, Role.background
            )
        self._reader = ClipReader("plate", clip, plate.colorspace or AUTO, colorspace, config)
        self._frames, self._alpha = numbers, plate.alpha
        self._places = None if self._reader.is_held else _places(clip, numbers)
        if self._places is not None and len(self._places) < numbers.frames:
            raise FootageError(
                f"The plate has {len(self._places)} of the {numbers.frames} frames of the footage.",
                "Give one picture, or one for every frame, numbered like the footage.",
                reason="FRAMES_MISSING",
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was guessed, followed or repaired so far."""
        fitted = self._fit.note if self._fit else ""
        name = first_file(self._reader.clip).name
        return (*notes_of([self._reader]), *([f"{name} is {fitted}."] if fitted else []))

    def pictures(self) -> Iterator[tuple[int, HalfArray]]:
        """Yield frames (from 0) and their plates ``[H, W, 3]``, scene-linear half."""
        size = self._frames.size
        for place, pixels in enumerate(self._reader.opaque_frames(self._alpha)):
            index = place if self._places is None else self._places.get(place)
            if index is None:
                continue
            if index >= self._frames.frames:
                return
            whole = pixels.float()
            fitted = self._fit.apply(whole) if self._fit else whole
            picture = resize(fitted[..., :3].numpy(), size)
            yield index, picture.astype(np.float16)


def footage_path(spec: DecomposeSpec, inputs: Mapping[str, Path]) -> Path:
    """Return the footage itself."""
    return find_clip(inputs[spec.footage.input])


def _plain_reader(clip: Clip, label: str) -> ClipReader:
    """Return a reader whose colors are not looked at."""
    space = "lin_rec709_scene"
    reader = ClipReader(label, clip, space, space, ColorConfig.load())
    reader.notes = ()
    return reader


def _places(clip: Clip, frames: FrameRange) -> dict[int, int]:
    """Return which frame (from 0) each picture of a clip belongs to."""
    count, numbers = clip.info.frames, clip.numbers if isinstance(clip, StillSequence) else ()
    if isinstance(clip, StillSequence) and count == 1 and not numbers:
        return {0: 0}
    if not numbers:  # a movie, or pictures without numbers: in order, from the footage's start
        first = frames.first - frames.start
        numbers = range(first, first + count)
    found = {place: frames.index(number) for place, number in enumerate(numbers)}
    numbered = {place: index for place, index in found.items() if index is not None}
    if not numbered and count == frames.frames:  # numbered otherwise, but as many
        return {place: place for place in range(count)}
    return numbered


def _scribbles(path: Path, frames: FrameRange, small: Size) -> Iterator[tuple[int, FloatArray]]:
    clip = open_clip(path, colorspace="data", may_have_gaps=True)
    _check_size(clip, frames.full, "scribble")
    places = _places(clip, frames)
    if not places:
        raise _no_frames("scribble", frames)
    for place, frame in enumerate(clip):
        if place in places:
            yield places[place], resize(_marks(frame), small)


def _marks(frame: ImageFrame) -> FloatArray:
    """Return 1 where a scribble is white, -1 where black, 0 where it says nothing."""
    gray = np.asarray(frame.rgb.mean(0).numpy(), np.float32)
    if frame.alpha is not None and float(frame.alpha.min()) < 1.0:
        alpha = frame.alpha.numpy()
        return np.where(alpha > 0.5, np.where(gray > 0.5 * alpha, 1.0, -1.0), 0.0).astype(
            np.float32
        )
    return np.where(gray > 0.75, 1.0, np.where(gray < 0.25, -1.0, 0.0)).astype(np.float32)


def _check_size(clip: Clip, full: Size, label: str) -> None:
    size = Size(clip.info.width, clip.info.height)
    if size != full:
        raise FootageError(
            f"The {label} is {size.width} x {size.height} pixels, but the footage is "
            f"{full.width} x {full.height}.",
            "Give it in the size of the footage.",
            reason="SIZES_DIFFER",
        )


def _no_frames(label: str, frames: FrameRange) -> FootageError:
    return FootageError(
        f"No frame of the {label} has the number of a frame of the footage, "
        f"{frames.first}-{frames.last}.",
        "Number its files like the frames they are for.",
        reason="FRAMES_MISSING",
    )


def _hinted_frame(frame: int, frames: FrameRange) -> int:
    index = frames.index(frame)
    if index is None:
        raise _hint_error(f"Frame {frame} of a hint is not among {frames.first}-{frames.last}.")
    return index


def _hint_error(message: str) -> FootageError:
    return FootageError(
        message, "Give frames and pixels as the footage counts them.", reason="HINT_OUTSIDE"
    )
