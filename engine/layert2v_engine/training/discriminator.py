"""A patch discriminator for the decoder: it tells decoded frames from real ones.

Source: arXiv 1611.07004 (patches, conditioned), with the hinge loss of arXiv 1802.05957.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import register_parametrization

FRAMES = 2  # in a row: what flickers between them is told from what moves
_RAMP = 0.02  # of a training, until its gradient has its full weight
_WIDTHS = (32, 64, 128)


class _UnitSpectralNorm(nn.Module):
    """A kernel divided by its largest singular value (arXiv 1802.05957).

    The value is computed and not iterated: a training that goes on has no estimate to find again.
    """

    def forward(self, kernel: Tensor) -> Tensor:
        """Return ``kernel`` [out, in, h, w] scaled so that as a matrix it lengthens no vector."""
        with torch.autocast(kernel.device.type, enabled=False):  # eigenvalues are of float only
            matrix = kernel.flatten(1).float()
            return kernel / torch.linalg.eigvalsh(matrix @ matrix.T)[-1].sqrt()


class PatchDiscriminator(nn.Module):
    """Scores of overlapping patches of two frames, beside what linear decoding makes of them."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2 * 3 * FRAMES, *_WIDTHS)
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # alike in all processes, and in a run that goes on
            for a, b in pairwise(widths):
                layers += [nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)]
            layers.append(nn.Conv2d(widths[-1], 1, 3, 1, 1))
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                register_parametrization(layer, "weight", _UnitSpectralNorm())
        self.layers = nn.Sequential(*layers)

    def forward(self, frames: Tensor, condition: Tensor) -> Tensor:
        """Return scores [B, 1, h, w] of ``frames`` and ``condition`` [B, 3, 2, H, W] in -1..1."""
        scores: Tensor = self.layers(torch.cat([frames, condition], 1).flatten(1, 2))
        return scores


def adversarial_weight(weight: float, start: float, progress: float) -> float:
    """Return the weight of the discriminator's gradient, which begins at ``start`` of a training.

    ``start`` and ``progress`` are in 0..1; so long as it is 0, the discriminator need not run.
    """
    return weight * min(1.0, max(0.0, progress - start) / _RAMP)


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
