"""The objective of the joint stage: rectified flow with one time per stream.

Sources: arXiv 2508.04228, 2407.01392.

x_t = (1 - t) x_0 + t noise, target v = noise - x_0. Half of the samples share one time over all
streams (joint generation); in the other half a random subset of streams is clean, at time 0 or
nearly so, and carries no loss: the model learns to generate some layers around frozen others,
which is what re-rendering needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from layert2v_engine.errors import BadConfig
from layert2v_engine.layout import StreamLayout, StreamRole


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectiveConfig:
    """Noise levels and weights of the flow-matching loss."""

    clean_share: float = 0.5  # share of samples with a clean subset
    time_mean: float = 0.3  # t = sigmoid(N(time_mean, time_std))
    time_std: float = 1.0
    # Of the samples with a clean subset, those whose composite alone is clean: to take apart.
    decompose_share: float = 0.3
    # A third of the clean streams get this much noise without being told, so that plates work that
    # were encoded again: in a re-render they are shown as clean, too.
    nearly_clean: float = 0.03
    coverage_weight: float = 3.0  # extra weight where a layer is not empty
    empty_weight: float = 0.4  # weight of empty parts of foreground, matte and shadow
    # Weights of streams by role, such as {matte = 2.0}; those not named weigh 1.
    stream_weights: dict[str, float] = field(default_factory=dict)
    # Weight of ``consistency_loss``.
    consistency_weight: float = field(default=0.0, metadata={"stored": "agreement_weight"})
    one_way: bool = (
        False  # clean streams see one another only: ``frozen_attention`` of a checkpoint
    )

    def __post_init__(self) -> None:
        roles = [role.value for role in StreamRole]
        for name, weight in self.stream_weights.items():
            if name not in roles or not weight >= 0:
                raise BadConfig(
                    f"objective.stream_weights has {name} = {weight!r}.",
                    f"Give weights of 0 or more to {', '.join(roles)}.",
                )


_OPAQUE = 0.995  # a matte's mean over a token from here on counts as opaque


class StreamTimes(NamedTuple):
    """Noise levels of streams [B, S] in 0..1.

    ``times`` are those the network is told, ``levels`` those of the latents; ``active`` streams
    carry loss.
    """

    times: Tensor
    levels: Tensor
    active: Tensor


def clean_subsets(layout: StreamLayout) -> list[list[int]]:
    """Return the subsets of stream indices an artist would freeze.

    They are a plate, an actor, an actor with its shadow, a whole comp, all layers but one.
    """
    background, composite = layout.index("background"), layout.index("composite")
    subsets = [[background], [composite]]
    layers = [_layer(layout, number) for number in range(1, layout.foregrounds + 1)]
    for layer in layers:
        actor = layer[:2]
        subsets += [actor, [background, *actor]]
        if len(layer) > 2:
            subsets += [layer, [background, layer[2]], [background, *layer]]
    if len(layers) > 1:  # all layers but one; all actors, for another world
        for number in range(len(layers)):
            others = [s for k, layer in enumerate(layers) if k != number for s in layer]
            subsets += [[background, *others], [background, *others, *layers[number][:2]]]
        subsets.append([s for layer in layers for s in layer])
    return subsets


def _layer(layout: StreamLayout, number: int) -> list[int]:
    """Return the stream indices of a foreground, its matte and, if it has one, its shadow."""
    return [s for s, stream in enumerate(layout.streams) if stream.foreground == number]


def sample_times(
    batch: int, layout: StreamLayout, config: ObjectiveConfig, rng: torch.Generator
) -> StreamTimes:
    """Sample noise levels for a batch, shared by the streams outside a clean subset, if any."""
    streams = len(layout.streams)
    shared = torch.sigmoid(
        config.time_mean + config.time_std * torch.randn(batch, 1, generator=rng)
    )
    times = shared.repeat(1, streams)
    active = torch.ones(batch, streams)
    levels = times.clone()
    composite = [layout.index("composite")]
    others = [subset for subset in clean_subsets(layout) if subset != composite]
    for row in range(batch):
        if torch.rand((), generator=rng) >= config.clean_share:
            continue
        decompose = torch.rand((), generator=rng) < config.decompose_share
        chosen = others[int(torch.randint(len(others), (), generator=rng))]
        subset = composite if decompose else chosen
        is_noisy = torch.rand((), generator=rng) < 1 / 3
        times[row, subset] = 0.0
        levels[row, subset] = config.nearly_clean if is_noisy else 0.0
        active[row, subset] = 0.0
    return StreamTimes(times, levels, active)


def coverage_weights(layout: StreamLayout, coverage: Tensor, config: ObjectiveConfig) -> Tensor:
    """Return loss weights [B, S, 1, F, h, w], of mean 1 or the role's weight per stream.

    ``coverage`` [B, 2 K, F, h, w] is that of each matte and shadow.

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
            layer_coverage = coverage[:, 2 * number - 1] if shadow else mattes[:, number]
            weight = config.empty_weight + config.coverage_weight * layer_coverage
        per_stream.append(weight)
    weights = torch.stack(per_stream, dim=1)[:, :, None]
    by_role = [config.stream_weights.get(stream.role, 1.0) for stream in layout.streams]
    own = weights.new_tensor(by_role)[:, None, None, None, None]
    return own * weights / weights.mean(dim=(0, 2, 3, 4, 5), keepdim=True)


def flow_loss(error: Tensor, weights: Tensor, active: Tensor, rows: slice = slice(None)) -> Tensor:
    """Return the weighted mean square of the velocity error over the active streams.

    ``error`` is [B, S, C, F, h, w], ``weights`` [B, S, 1, F, h, w], ``active`` [B, S] 0 or 1. With
    ``rows``, the error is that of these rows only; the losses of all rows add up to that of the
    batch.
    """
    weights = weights * active[:, :, None, None, None, None]
    total = weights.sum() * error.shape[2]
    return (error.square() * weights[rows]).sum() / total.clamp_min(1.0)


def consistency_loss(
    error: Tensor,
    layout: StreamLayout,
    coverage: Tensor,
    deviations: Tensor,
    active: Tensor,
    rows: slice = slice(None),
) -> Tensor:
    """Return the mean square difference between the errors of composite and visible layer.

    Where nothing covers the background, or a foreground covers all, composite and layer show the
    same picture: an error both make costs the artist less than a small one that only one makes,
    which is seen as a seam or as a false shadow. ``error``, ``active`` and ``rows`` are those of
    ``flow_loss``, ``coverage`` that of ``coverage_weights``; ``deviations`` [S, C] undo the
    normalization of latents.
    """
    error = error * active[rows, :, None, None, None, None]
    mattes = coverage[:, 0::2]
    composite = layout.index("composite")
    total, count = error.new_zeros(()), error.new_zeros(())
    for s, stream in enumerate(layout.streams):
        if stream.role not in (StreamRole.background, StreamRole.foreground):
            continue
        number = stream.foreground or 0  # 0 is the background, below all
        visible = (mattes[:, number:] < 1 - _OPAQUE).all(1)
        if number:
            visible &= mattes[:, number - 1] > _OPAQUE
        scale = deviations[[composite, s]]
        scale = (scale / scale.square().mean(0).sqrt())[:, :, None, None, None]
        difference = scale[0] * error[:, composite] - scale[1] * error[:, s]
        total = total + (difference.square().mean(1) * visible[rows]).sum()
        count = count + visible.sum()
    return total / count.clamp_min(1.0)
