"""How color and alpha of a frame are related, and mattes: one rule for every entrance.

Knows frames and what a file says of them, no files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from layert2v.rerender import AUTO
from layert2v_engine.image.compositing import HALF_MAX, interleave
from layert2v_engine.image.footage.info import AlphaKind, FootageInfo, FrameNotes, ImageFrame

_LUMA = (0.2126, 0.7152, 0.0722)
# A color may exceed its alpha by so much through a codec's noise, in so many partly covered pixels.
_NOISE, _SHARE = 0.04, 0.01
_CONSTANT = 1.5 / 255.0
# What is measured on the first frames is kept for the clip, so that it cannot flicker.
MEASURED_FRAMES = 8


def choose_alpha(
    info: FootageInfo, name: str, asked: str, sample: Sequence[ImageFrame] = ()
) -> tuple[str, tuple[str, ...]]:
    """Return ``straight``, ``premultiplied`` or ``opaque``, with notes about what was guessed.

    ``asked`` goes before what the file says. Where both are silent, alpha is straight if ``sample``
    proves it by a color above its alpha, else premultiplied.
    """
    if asked not in ("", AUTO):
        if info.has_alpha and info.alpha and asked != "opaque" and asked != info.alpha:
            return asked, (
                f"{name} holds {info.alpha} alpha; it is read as {asked}, as was asked.",
            )
        return asked, ()
    if not info.has_alpha:
        return "opaque", ()
    if info.alpha is not None:
        return info.alpha, ()
    kind: AlphaKind = "straight" if is_proven_straight(sample) else "premultiplied"
    cause = "since colors exceed it" if kind == "straight" else "since no color exceeds it"
    return kind, (f"{name} does not say how its alpha is meant; it is taken as {kind}, {cause}.",)


def is_proven_straight(frames: Sequence[ImageFrame]) -> bool:
    """Tell whether colors exceed partial alpha, which premultiplied ones cannot."""
    above = partial = 0
    for frame in frames:
        if frame.alpha is None:
            continue
        inside = (frame.alpha > 0.0) & (frame.alpha < 1.0)
        exceeds = frame.rgb.amax(0) > frame.alpha + _NOISE
        partial += int(inside.sum())
        above += int((inside & exceeds).sum())
    return above > _SHARE * partial


def to_linear_rgba(
    frame: ImageFrame, to_linear: Callable[[Tensor], Tensor], kind: str, is_linear: bool
) -> Tensor:
    """Return a frame premultiplied and scene-linear, float ``[H, W, 4]``.

    ``to_linear`` converts its color, which ``is_linear`` tells of being light already.
    """
    rgb, alpha = frame
    if alpha is None or kind == "opaque":
        return interleave(to_linear(rgb), torch.ones_like(rgb[0]))
    alpha = alpha.clamp(0.0, 1.0)
    if kind == "straight":
        return interleave(to_linear(rgb) * alpha, alpha)
    if is_linear:  # a matrix does the same to premultiplied color, and loses nothing
        return interleave(to_linear(rgb), alpha)
    divisor = torch.where(alpha > 0, alpha, 1.0)  # light without coverage stays as it is
    return interleave(to_linear(rgb / divisor) * divisor, alpha)


def note_limits(notes: FrameNotes, name: str, alpha: Tensor | None, pixels: Tensor) -> None:
    """Record in ``notes`` what a layer cannot hold of the frame ``name`` and is clamped.

    That is ``alpha`` ``[H, W]`` as it is stored outside 0..1, and ``pixels`` beyond half.
    """
    if alpha is not None:
        low, high = alpha.aminmax()
        if float(low) < 0.0:
            notes.add("Alpha below 0 is clamped", name)
        if float(high) > 1.0:
            notes.add("Alpha above 1 is clamped", name)
    low, high = pixels.aminmax()
    if max(-float(low), float(high)) > HALF_MAX:
        notes.add(f"Values above {HALF_MAX:g}, the largest half, are clamped", name)


def make_opaque(pixels: Tensor) -> Tensor:
    """Return premultiplied ``[H, W, 4]`` over black, as a background is delivered."""
    opaque = pixels.clone()
    opaque[..., 3] = 1.0
    return opaque


MattePlace = Literal["alpha", "gray"]


def find_matte(sample: Sequence[ImageFrame], name: str) -> tuple[MattePlace, tuple[str, ...]]:
    """Return where a matte is held, in alpha or in gray, with notes about what was guessed.

    It is in alpha where color is the same all over and alpha is not.
    """
    spans = [(frame.rgb.amax() - frame.rgb.amin()) for frame in sample]
    levels = [frame.rgb.mean() for frame in sample]
    is_flat = bool(sample) and float(max(spans)) <= _CONSTANT
    is_flat = is_flat and float(max(levels) - min(levels)) <= _CONSTANT
    has_shape = any(frame.alpha is not None and float(frame.alpha.amin()) < 1.0 for frame in sample)
    if is_flat and has_shape:
        return "alpha", (f"{name} is of one color; its matte is taken from alpha.",)
    if has_shape:
        return "gray", (f"{name} has both gray and alpha; its matte is taken from gray.",)
    if is_flat and float(min(levels)) > 1.0 - _CONSTANT:
        return "gray", (f"{name} is white all over at its start.",)
    return "gray", ()


def read_matte(frame: ImageFrame, place: MattePlace) -> Tensor:
    """Return the matte of a frame ``[H, W]``; for R = G = B the weights do not matter."""
    if place == "alpha":
        return torch.ones_like(frame.rgb[0]) if frame.alpha is None else frame.alpha
    red, green, blue = _LUMA
    return red * frame.rgb[0] + green * frame.rgb[1] + blue * frame.rgb[2]
