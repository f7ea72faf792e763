"""Prompts as the network takes them, and classifier-free guidance towards them.

With and without the prompts go through the network as one batch, and long clips, whose activations
would take twice the memory for no gain in time, one after the other. Source: arXiv 2207.12598;
guiding only between two noise levels: arXiv 2404.07724.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from layert2v_engine.model.chunked import BATCHED_NUMBERS
from layert2v_engine.model.parallel import share_passes


class Conditioning(NamedTuple):
    """Token states [B, P, L, D] of a layout's prompts and their mask [B, P, L].

    The mask is true at tokens to attend to; None attends to all.
    """

    states: Tensor
    mask: Tensor | None


# (latents [B, S, C, F, h, w], times [B, S] in 0..1000, conditioning) -> the network's output.
Predictor = Callable[[Tensor, Tensor, Conditioning], Tensor]


@dataclass(frozen=True, kw_only=True, slots=True)
class Guidance:
    """Guidance scale at noise levels inside ``interval`` (0 clean, 1 noise); 1 is no guidance.

    is_shared: whether two processes take one of its two passes each.
    """

    scale: float = 1.0
    interval: tuple[float, float] = (0.0, 1.0)
    is_shared: bool = False

    def scale_at(self, sigma: float) -> float:
        """Return the scale at a noise level in 0..1; 1 costs half as much as any other."""
        low, high = self.interval
        return self.scale if low <= sigma <= high else 1.0


def classifier_free_guidance(
    predict: Predictor,
    latents: Tensor,
    times: Tensor,
    scale: float,
    prompts: Conditioning,
    negative: Conditioning,
    *,
    is_shared: bool = False,
) -> Tensor:
    """Return uncond + scale * (cond - uncond).

    latents: [B, S, C, F, h, w], which is the shape of the result. times: [B, S] in 0..1000.
    is_shared: whether two processes take one of its two passes each.
    """
    if scale == 1.0:
        return predict(latents, times, prompts)
    if is_shared:
        cond, uncond = share_passes(
            (partial(predict, latents, times, prompts), partial(predict, latents, times, negative))
        )
        return uncond + scale * (cond - uncond)
    if latents[0].numel() > BATCHED_NUMBERS:
        cond, uncond = (predict(latents, times, text) for text in (prompts, negative))
        return uncond + scale * (cond - uncond)
    both = predict(latents.repeat(2, 1, 1, 1, 1, 1), times.repeat(2, 1), concat(prompts, negative))
    cond, uncond = both.chunk(2)
    return uncond + scale * (cond - uncond)


def concat(first: Conditioning, second: Conditioning) -> Conditioning:
    """Concatenate along the batch, [B, P, L, D] each; the shorter is padded with masked tokens."""
    length = max(first.states.shape[2], second.states.shape[2])
    states, masks = zip(*(_pad(c, length) for c in (first, second)), strict=True)
    plain = all(c.mask is None and c.states.shape[2] == length for c in (first, second))
    return Conditioning(torch.cat(states), None if plain else torch.cat(masks))


def _pad(text: Conditioning, length: int) -> tuple[Tensor, Tensor]:
    """Return states and mask with empty tokens up to ``length``."""
    states, mask = text
    if mask is None:
        mask = states.new_ones(states.shape[:3], dtype=torch.bool)
    missing = length - states.shape[2]
    return F.pad(states, (0, 0, 0, missing)), F.pad(mask, (0, missing))
