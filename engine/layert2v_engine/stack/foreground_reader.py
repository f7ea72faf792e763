"""One foreground of an import: its color, matte and shadow become layers.

Codecs lift black and lower white, and a foreground on black is premultiplied in display-encoded
values; both are undone here before the colors are linearised.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from layert2v.rerender import AUTO
from layert2v.stack import Role
from layert2v_engine.errors import FootageError
from layert2v_engine.image.compositing import to_half
from layert2v_engine.image.footage.alpha import choose_alpha, note_limits, to_linear_rgba
from layert2v_engine.image.footage.info import ImageFrame
from layert2v_engine.image.footage.matting import (
    LEVEL_RANGE,
    Levels,
    measure_levels,
    unpremultiply_from_black,
)
from layert2v_engine.stack.clip_reader import ClipReader, MatteReader, next_frame
from layert2v_engine.stack.writer import StackWriter


class ForegroundClips(NamedTuple):
    color: ClipReader
    matte: ClipReader | None
    shadow: ClipReader | None


class ForegroundReader:
    """One foreground while its frames are read: what was measured, iterators open."""

    def __init__(
        self, number: int, clips: ForegroundClips, *, edges: str, with_levels: bool
    ) -> None:
        self.name, self.shadow_name = f"fg_{number:02d}", f"shadow_{number:02d}"
        self._color = clips.color
        self._matte = MatteReader(clips.matte, with_levels) if clips.matte else None
        self._shadow = MatteReader(clips.shadow, with_levels) if clips.shadow else None
        self._notes: tuple[str, ...] = ()
        sample = clips.color.sample()
        self._levels = self._measure_levels(sample, with_levels)
        mattes = self._matte.frames() if self._matte else map(self._own_alpha, sample)
        pairs = list(zip(sample, mattes, strict=False))
        self._black: Tensor | None = None
        self._kind = self._choose_kind(pairs, edges)
        self._frames = self._read_pixels()
        self._shadows = self._shadow.frames() if self._shadow else None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was guessed or overruled."""
        readers = [each for each in (self._matte, self._shadow) if each is not None]
        return (*self._notes, *(note for each in readers for note in each.notes))

    def declare(self, writer: StackWriter) -> None:
        """Declare the layers of this foreground."""
        if self._shadows is not None:
            writer.add_layer(self.shadow_name, Role.shadow, caster=self.name, source="imported")
        tags = self._color.tags
        writer.add_layer(self.name, Role.foreground, source="imported", tags=tags)

    def write(self, writer: StackWriter, index: int) -> None:
        """Write the next frame of its layers."""
        if self._shadows is not None:
            opacity = next_frame(self._shadows, self.shadow_name, index)
            writer.write_frame(self.shadow_name, index, None, opacity)
        writer.write_pixels(self.name, index, next_frame(self._frames, self.name, index))

    def _own_alpha(self, frame: ImageFrame) -> Tensor:
        if frame.alpha is None:
            raise FootageError(
                f"{self._color.clip.path} has no alpha, so it needs a matte.",
                "Add --matte.",
                reason="MATTE_MISSING",
            )
        return self._levels.apply(frame.alpha)

    def _measure_levels(self, sample: list[ImageFrame], with_levels: bool) -> Levels:
        if self._matte is not None or not with_levels or self._color.info.is_alpha_lossless:
            return Levels()
        planes = [frame.alpha for frame in sample if frame.alpha is not None]
        return measure_levels(planes) if planes else Levels()

    def _choose_kind(self, pairs: list[tuple[ImageFrame, Tensor]], edges: str) -> str:
        """Return how color and alpha are related, and measure black where the color lies on it."""
        empty = [frame.rgb[:, matte <= 0.0] for frame, matte in pairs]
        outside = torch.cat(empty, dim=1) if empty else torch.zeros(3, 0)
        black = outside.median(dim=1).values if outside.shape[1] else torch.zeros(3)
        asked = {"black": "premultiplied"}.get(edges, edges)
        if self._matte is None:
            sample = [frame for frame, _ in pairs]
            name = self._color.clip.path.name
            kind, self._notes = choose_alpha(self._color.info, name, asked, sample)
            on_black = kind == "premultiplied" and not self._color.info.is_lossless
        else:
            is_dark = float(black.max()) <= LEVEL_RANGE
            kind = ("premultiplied" if is_dark else "straight") if asked == AUTO else asked
            on_black = kind == "premultiplied"
        if on_black and not self._color.is_linear:
            self._black = black.clamp_max(LEVEL_RANGE)
        return kind

    def _read_pixels(self) -> Iterator[Tensor]:
        """Yield frames as they are delivered: half ``[H, W, 4]``."""
        color = self._color
        mattes = self._matte.frames() if self._matte else None
        for index, frame in enumerate(color.frames()):
            stored = None if mattes else frame.alpha
            alpha = next(mattes, None) if mattes else self._own_alpha(frame)
            if alpha is None:
                return
            if self._black is not None:
                straight = unpremultiply_from_black(frame.rgb, alpha, self._black)
                frame = ImageFrame(straight, alpha)
                pixels = to_linear_rgba(frame, color.to_linear, "straight", color.is_linear)
            else:
                frame = ImageFrame(frame.rgb, alpha)
                pixels = to_linear_rgba(frame, color.to_linear, self._kind, color.is_linear)
            note_limits(color.happened, color.frame_name(index), stored, pixels)
            yield to_half(pixels)
