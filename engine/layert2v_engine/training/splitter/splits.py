"""Frames and their layers as the splitter learns them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from layert2v_engine.decompose.splitter.network import NO_PLATE


@dataclass(frozen=True, kw_only=True, slots=True)
class Split:
    """Frames and their layers. Pictures are network values, the rest opacities in 0..1."""

    source: Tensor  # [B, 3, H, W]
    plate: Tensor  # [B, 3, H, W]
    alpha: Tensor  # [B, 1, H, W]
    shadow: Tensor  # [B, 1, H, W] what is taken from the plate as it is here; all of it without one


def as_split(planes: Tensor) -> Split:
    """Return planes [B, 8, H, W] of a ``FrameSet`` by their names."""
    source, plate, alpha, shadow = planes.split((3, 3, 1, 1), 1)
    return Split(source=source, plate=plate, alpha=alpha, shadow=shadow)


def hide_plate(split: Split, shadow: Tensor, rows: Tensor) -> Split:
    """Return a split with no plate in some rows [B], whose shadow is the whole of ``shadow``."""
    chosen = rows.view(-1, 1, 1, 1)
    plate, whole = torch.full_like(split.plate, NO_PLATE), shadow.to(split.shadow)
    return replace(
        split,
        plate=torch.where(chosen, plate, split.plate),
        shadow=torch.where(chosen, whole, split.shadow),
    )


def to_device(split: Split, rows: slice, device: torch.device) -> Split:
    """Return some rows of a split on ``device``."""
    return Split(
        source=split.source[rows].to(device),
        plate=split.plate[rows].to(device),
        alpha=split.alpha[rows].to(device),
        shadow=split.shadow[rows].to(device),
    )
