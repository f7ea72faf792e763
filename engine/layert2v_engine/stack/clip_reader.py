"""A clip of an import while its frames are read: in which color space, and as what.

Knows one clip at a time, no stack.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, repeat
from pathlib import Path

from torch import Tensor

from layert2v.rerender import AUTO
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import to_half
from layert2v_engine.image.footage.alpha import (
    MEASURED_FRAMES,
    choose_alpha,
    find_matte,
    make_opaque,
    note_limits,
    read_matte,
    to_linear_rgba,
)
from layert2v_engine.image.footage.clip import Clip
from layert2v_engine.image.footage.color_tags import find_colorspace
from layert2v_engine.image.footage.info import FrameNotes, ImageFrame
from layert2v_engine.image.footage.matting import Levels, measure_levels
from layert2v_engine.image.footage.stills import StillSequence

# The weights of luma add up to 1 but for float32.
_ROUNDING = 1e-5
_ALPHA_NOISE = 2.5 / 255.0


class ClipReader:
    """A clip with the color space that it is read in.

    ``label`` names it in messages. ``asked`` is its color space or ``AUTO``, ``working`` that of
    the stack.
    """

    def __init__(
        self, label: str, clip: Clip, asked: str, working: str, config: ColorConfig
    ) -> None:
        self.label, self.clip, self.info = label, clip, clip.info
        path = first_file(clip)
        self.colorspace, self.notes = find_colorspace(clip.info, path, asked, config, working)
        self.is_linear = config.find(self.colorspace).linear
        self.to_linear = config.transform(self.colorspace, working)
        self.happened = FrameNotes()
        self.tags = {"input_transform": f"{self.colorspace} to {working} ({config.label})"}

    @property
    def is_held(self) -> bool:
        """Tell whether this is a single image, which stays for the whole length of the stack."""
        return isinstance(self.clip, StillSequence) and self.info.frames == 1

    def frames(self) -> Iterator[ImageFrame]:
        """Yield frames, without end where one is held."""
        if isinstance(self.clip, StillSequence) and self.is_held:
            return repeat(self.clip.read(0))
        return iter(self.clip)

    def frame_name(self, index: int) -> str:
        """Return what notes call frame ``index`` (from 0)."""
        if isinstance(self.clip, StillSequence):
            return self.clip.files[min(index, self.info.frames - 1)].name
        return f"frame {index + 1} of {self.clip.path.name}"

    def sample(self) -> list[ImageFrame]:
        """Return the first frames, which are measured."""
        return list(islice(self.clip, MEASURED_FRAMES))

    def opaque_frames(self, alpha: str = AUTO) -> Iterator[Tensor]:
        """Yield frames as a background is delivered: half ``[H, W, 4]``, over black.

        ``alpha`` is one of ``layert2v.rerender.ALPHAS``.
        """
        kind = self._choose_alpha(alpha)
        for index, frame in enumerate(self.frames()):
            name = self.frame_name(index)
            pixels = to_linear_rgba(frame, self.to_linear, kind, self.is_linear)
            note_limits(self.happened, name, frame.alpha, pixels)
            if kind != "opaque" and _is_transparent(frame):
                self.happened.add("What is transparent is shown over black", name)
            yield to_half(make_opaque(pixels))

    def _choose_alpha(self, asked: str) -> str:
        is_silent = asked == AUTO and self.info.has_alpha and self.info.alpha is None
        sample = self.sample() if is_silent else []
        kind, notes = choose_alpha(self.info, first_file(self.clip).name, asked, sample)
        if not is_silent or any(map(_is_transparent, sample)):
            self.notes += notes
        return kind


def notes_of(readers: Sequence[ClipReader]) -> tuple[str, ...]:
    """Return what was assumed, followed, guessed or repaired so far, each sentence once."""
    files: dict[tuple[str, ...], list[str]] = {}
    for reader in readers:
        if reader.info.assumed:
            files.setdefault(reader.info.assumed, []).append(first_file(reader.clip).name)
    assumed = [
        f"Colors taken as {' and '.join(what)}, which no tag says: {', '.join(names)}."
        for what, names in files.items()
    ]
    said = [
        note
        for reader in readers
        for note in (*reader.clip.notes, *reader.notes, *reader.happened.sentences())
    ]
    return tuple(dict.fromkeys([*assumed, *said]))


class MatteReader:
    """A matte or a shadow while its frames are read, with what was measured at its start."""

    def __init__(self, reader: ClipReader, with_levels: bool) -> None:
        sample = reader.sample()
        self._place, self.notes = find_matte(sample, reader.clip.path.name)
        info = reader.info
        lossless = info.is_alpha_lossless if self._place == "alpha" else info.is_lossless
        planes = [read_matte(frame, self._place) for frame in sample]
        measured = with_levels and planes and not lossless
        self.levels = measure_levels(planes) if measured else Levels()
        self._reader = reader

    def frames(self) -> Iterator[Tensor]:
        """Yield mattes ``[H, W]`` in 0..1."""
        for index, frame in enumerate(self._reader.frames()):
            matte = read_matte(frame, self._place)
            low, high = matte.aminmax()
            if float(low) < 0.0 or float(high) > 1.0 + _ROUNDING:
                name = self._reader.frame_name(index)
                self._reader.happened.add("Matte values outside 0 to 1 are clamped", name)
            yield self.levels.apply(matte)


def first_file(clip: Clip) -> Path:
    """Return the file that notes about a clip name: a folder's own name may say nothing."""
    return clip.files[0] if isinstance(clip, StillSequence) else clip.path


def _is_transparent(frame: ImageFrame) -> bool:
    """Tell whether a frame has alpha below 1, by more than a codec's noise."""
    return frame.alpha is not None and float(frame.alpha.amin()) < 1.0 - _ALPHA_NOISE


def next_frame(frames: Iterator[Tensor], label: str, index: int) -> Tensor:
    frame = next(frames, None)
    if frame is None:
        raise FootageError(
            f"The {label} ends after {index} frames, before it should.",
            "The file may be damaged; play it to its end.",
            reason="FOOTAGE_SHORT",
        )
    return frame
