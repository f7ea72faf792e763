"""What a run is told to draw, and how hard it is pushed there (classifier-free guidance).

With and without the prompts go through the network as one batch. Source: arXiv 2207.12598; guiding
only between two noise levels: arXiv 2404.07724.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Conditioning(NamedTuple):
    """Token states [B, P, L, D] of a layout's prompts and their mask [B, P, L]; None hears all."""

    states: Tensor
    mask: Tensor | None


# (latents [B, S, C, F, h, w], times [B, S] in 0..1000, conditioning) -> the network's output.
Predictor = Callable[[Tensor, Tensor, Conditioning], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Guidance:
    """How far from the negative prompts, at noise levels inside `interval` (0 clean, 1 noise)."""

    scale: float = 1.0
    interval: tuple[float, float] = (0.0, 1.0)

    def at(self, sigma: float) -> float:
        """The scale at a noise level; 1 is no guidance, and costs half as much."""
        low, high = self.interval
        return self.scale if low <= sigma <= high else 1.0


def guided(
    predict: Predictor,
    latents: Tensor,
    times: Tensor,
    scale: float,
    prompts: Conditioning,
    negative: Conditioning,
) -> Tensor:
    """negative + scale * (prompts - negative), in one forward of twice the batch."""
    if scale == 1.0:
        return predict(latents, times, prompts)
    both = predict(latents.repeat(2, 1, 1, 1, 1, 1), times.repeat(2, 1), join(prompts, negative))
    told, untold = both.chunk(2)
    return untold + scale * (told - untold)


def join(first: Conditioning, second: Conditioning) -> Conditioning:
    """Both as one batch, the shorter padded with masked tokens."""
    length = max(first.states.shape[2], second.states.shape[2])
    states, masks = zip(*(_padded(c, length) for c in (first, second)), strict=True)
    plain = all(c.mask is None and c.states.shape[2] == length for c in (first, second))
    return Conditioning(torch.cat(states), None if plain else torch.cat(masks))


def _padded(text: Conditioning, length: int) -> tuple[Tensor, Tensor]:
    """States and mask with empty tokens up to `length`."""
    states, mask = text
    if mask is None:
        mask = states.new_ones(states.shape[:3], dtype=torch.bool)
    more = length - states.shape[2]
    return F.pad(states, (0, 0, 0, more)), F.pad(mask, (0, more))
