"""What an artist shows of a subject, in pixels of the working size and frames from 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from layert2v_engine.decompose.arrays import FloatArray
from layert2v_engine.decompose.protocols import Box


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameHints:
    """Hints on one frame.

    ``scribble`` ``[h, w]`` is 1 on the subject, -1 beside it and 0 where it says nothing. ``mask``
    ``[h, w]`` in 0..1 is the subject itself and goes before everything else.
    """

    boxes: tuple[Box, ...] = ()
    inside: tuple[tuple[float, float], ...] = ()
    outside: tuple[tuple[float, float], ...] = ()
    scribble: FloatArray | None = None
    mask: FloatArray | None = None

    @property
    def is_outlined(self) -> bool:
        """Tell whether the hints show how large the subject is, and not a place of it alone."""
        has_strokes = self.scribble is not None and bool((self.scribble > 0).any())
        return bool(self.boxes) or has_strokes or self.mask is not None

    @property
    def is_shown(self) -> bool:
        """Tell whether the hints show the subject at all, and not only what is none of it."""
        return self.is_outlined or bool(self.inside)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectHints:
    """All that is said about one subject; nothing at all means the main one."""

    words: str = ""
    frames: Mapping[int, FrameHints] = field(default_factory=dict)

    def with_mask(self, frame: int, mask: FloatArray) -> Self:
        """Return hints that also have the subject's matte ``[h, w]`` on a frame."""
        hints = replace(self.frames.get(frame, FrameHints()), mask=mask)
        return replace(self, frames={**self.frames, frame: hints})
