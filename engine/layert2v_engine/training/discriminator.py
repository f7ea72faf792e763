"""A patch discriminator for the decoder: it tells decoded frames from real ones.

Source: arXiv 1611.07004 (patches, conditioned), with the hinge loss of arXiv 1802.05957.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

FRAMES = 2  # in a row: what flickers between them is told from what moves
RAMP_STEPS = 200  # until the decoder hears it at full weight
_WIDTHS = (32, 64, 128)


class PatchDiscriminator(nn.Module):
    """Scores of overlapping patches of two frames, beside what linear decoding makes of them."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2 * 3 * FRAMES, *_WIDTHS)
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # alike in all processes, and in a run that goes on
            for a, b in pairwise(widths):
                layers += [spectral_norm(nn.Conv2d(a, b, 4, 2, 1)), nn.LeakyReLU(0.2)]
            layers.append(spectral_norm(nn.Conv2d(widths[-1], 1, 3, 1, 1)))
        self.layers = nn.Sequential(*layers)

    def forward(self, frames: Tensor, condition: Tensor) -> Tensor:
        """Return scores [B, 1, h, w] of ``frames`` and ``condition`` [B, 3, 2, H, W] in -1..1."""
        scores: Tensor = self.layers(torch.cat([frames, condition], 1).flatten(1, 2))
        return scores


def adversarial_loss(
    discriminator: PatchDiscriminator,
    decoded: Tensor,
    target: Tensor,
    condition: Tensor,
    weight: float,
) -> Tensor:
    """Return the hinge loss of the discriminator on frames [B, 3, 2, H, W].

    Its gradient reaches what ``decoded`` comes from turned over and times ``weight``: one step
    teaches both, and one optimizer and one state hold them.
    """
    real = discriminator(target, condition)
    fake = discriminator(_TurnOver.apply(decoded, weight), condition)
    return (1 - real).relu().mean() + (1 + fake).relu().mean()


class _TurnOver(torch.autograd.Function):
    """The identity, whose gradient is multiplied by a negative number."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, weight: float) -> Tensor:
        ctx.weight = weight
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.weight * gradients[0], None
