"""What the joint stage minimises: rectified flow with one time per stream (arXiv 2508.04228,
2407.01392).

x_t = (1 - t) x_0 + t noise, target v = noise - x_0. Half of the samples share one time over all
streams (joint generation); in the other half a random subset of streams is clean, at time 0 or
nearly so, and carries no loss: the model learns to draw some layers around others that are given,
which is what re-rendering needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from layert2v_engine.layout import StreamLayout, StreamRole


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """Noise levels and weights of the flow-matching loss."""

    clean_share: float = 0.5  # share of samples with a clean subset
    time_mean: float = 0.3  # t = sigmoid(N(time_mean, time_std))
    time_std: float = 1.0
    nearly_clean: float = (
        0.03  # a third of the clean streams get this much noise, so re-encoded plates work
    )
    coverage_weight: float = 3.0  # extra weight where a layer is not empty
    empty_weight: float = 0.4  # weight of empty parts of foreground, matte and shadow
    agreement_weight: float = 0.0  # of `agreement_loss`
    one_way: bool = False  # clean streams see one another only (`frozen_attention` of a checkpoint)


_WHOLE = 0.995  # a matte's mean over a token from here on counts as opaque


class Times(NamedTuple):
    """Noise level per stream [B, S] in 0..1 and which streams carry loss [B, S]."""

    times: Tensor
    active: Tensor


def clean_subsets(layout: StreamLayout) -> list[list[int]]:
    """The subsets of streams an artist would freeze: a plate, an actor, an actor with its shadow, a
    whole comp.
    """
    background, composite = layout.index("background"), layout.index("composite")
    subsets = [[background], [composite]]
    whole = [_layer(layout, number) for number in range(1, layout.foregrounds + 1)]
    for layer in whole:
        actor = layer[:2]
        subsets += [actor, [background, *actor]]
        if len(layer) > 2:
            subsets += [layer, [background, layer[2]], [background, *layer]]
    if len(whole) > 1:  # all layers but one; all actors, for another world
        for number in range(len(whole)):
            others = [s for k, layer in enumerate(whole) if k != number for s in layer]
            subsets += [[background, *others], [background, *others, *whole[number][:2]]]
        subsets.append([s for layer in whole for s in layer])
    return subsets


def _layer(layout: StreamLayout, number: int) -> list[int]:
    """Foreground, matte and, if it has one, shadow of a foreground."""
    return [s for s, stream in enumerate(layout.streams) if stream.foreground == number]


def sample_times(
    batch: int, layout: StreamLayout, config: ObjectiveConfig, rng: torch.Generator
) -> Times:
    """Draw noise levels for a batch: shared, or shared over the streams outside a clean subset."""
    streams = len(layout.streams)
    shared = torch.sigmoid(
        config.time_mean + config.time_std * torch.randn(batch, 1, generator=rng)
    )
    times = shared.repeat(1, streams)
    active = torch.ones(batch, streams)
    subsets = clean_subsets(layout)
    for row in range(batch):
        if torch.rand((), generator=rng) < config.clean_share:
            subset = subsets[int(torch.randint(len(subsets), (), generator=rng))]
            level = config.nearly_clean if torch.rand((), generator=rng) < 1 / 3 else 0.0
            times[row, subset] = level
            active[row, subset] = 0.0
    return Times(times, active)


def coverage_weights(layout: StreamLayout, coverage: Tensor, config: ObjectiveConfig) -> Tensor:
    """Loss weights [B, S, 1, F, h, w] from the coverage of each matte and shadow [B, 2 K, F, h, w],
    mean 1 per stream.

    Foreground, matte and shadow are mostly empty; unweighted, a model learns emptiness first.
    """
    empty = coverage.new_zeros(len(coverage), 1, *coverage.shape[2:])
    mattes = torch.cat([empty, coverage[:, 0::2]], 1)  # [B, 1 + K, F, h, w]
    per_stream = []
    for stream in layout.streams:
        if stream.role is StreamRole.background:
            weight = torch.ones_like(empty[:, 0])
        elif stream.role is StreamRole.composite:
            weight = 1 + config.coverage_weight * mattes.amax(1)
        else:
            number = stream.foreground or 0
            shadow = stream.role is StreamRole.shadow
            drawn = coverage[:, 2 * number - 1] if shadow else mattes[:, number]
            weight = config.empty_weight + config.coverage_weight * drawn
        per_stream.append(weight)
    weights = torch.stack(per_stream, dim=1)[:, :, None]
    return weights / weights.mean(dim=(0, 2, 3, 4, 5), keepdim=True)


def flow_loss(error: Tensor, weights: Tensor, active: Tensor) -> Tensor:
    """Weighted mean square of the velocity error [B, S, C, F, h, w] over the active streams."""
    weights = weights * active[:, :, None, None, None, None]
    return (error.square() * weights).sum() / weights.expand_as(error).sum().clamp_min(1.0)


def agreement_loss(
    error: Tensor, layout: StreamLayout, coverage: Tensor, deviations: Tensor, active: Tensor
) -> Tensor:
    """Mean square of what the composite errs by other than the layer that alone is seen there.

    Where nothing covers the background, or a foreground covers all, composite and layer show the
    same picture: an error both make costs the artist less than a small one that only one makes,
    which is seen as a seam or as a false shadow. Arguments as those of `coverage_weights` and
    `flow_loss`; deviations [S, C] undo the whitening. Shadows count as a difference to be drawn.
    """
    error = error * active[:, :, None, None, None, None]
    mattes = coverage[:, 0::2]
    composite = layout.index("composite")
    total, places = error.new_zeros(()), error.new_zeros(())
    for s, stream in enumerate(layout.streams):
        if stream.role not in (StreamRole.background, StreamRole.foreground):
            continue
        number = stream.foreground or 0  # 0 is the background, below all
        seen = (mattes[:, number:] < 1 - _WHOLE).all(1)
        if number:
            seen &= mattes[:, number - 1] > _WHOLE
        scale = deviations[[composite, s]]
        scale = (scale / scale.square().mean(0).sqrt())[:, :, None, None, None]
        difference = scale[0] * error[:, composite] - scale[1] * error[:, s]
        total = total + (difference.square().mean(1) * seen).sum()
        places = places + seen.sum()
    return total / places.clamp_min(1.0)
