"""The splitter by itself, on held-out clips with plates and masks made wrong, against baselines."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from layert2v_engine.decompose.protocols import Splitter
from layert2v_engine.decompose.splitter.network import linear_values
from layert2v_engine.decompose.steady import steady_alpha
from layert2v_engine.devices import seed_for
from layert2v_engine.evaluation.decompose.measures import shadow_errors
from layert2v_engine.metrics.video_matting import video_matting_errors
from layert2v_engine.training.splitter.corruption import Corruption
from layert2v_engine.training.splitter.phase import share
from layert2v_engine.training.splitter.splits import Split, as_split

Measures = dict[str, dict[str, list[float]]]
SOFT_MASK, HARD_MASK = "mask", "mask, cut at a half"  # the two baselines
TRAINED = "trained"


def corrupt_clip(planes: Tensor, name: str) -> tuple[Split, Tensor]:
    """Return a clip [T, 8, H, W] and its rough mask [T, 1, H, W] as it is corrupted every time."""
    generator = torch.Generator().manual_seed(seed_for("splitter test", name))
    return Corruption(generator)(as_split(planes.float()))


def measure_splitters(
    clips: Iterable[tuple[Tensor, str]], splitters: dict[str, Splitter]
) -> Measures:
    """Return by splitter, and for the mask as it is and cut at a half, one error per clip."""
    found: Measures = {name: {} for name in (SOFT_MASK, HARD_MASK, *splitters)}
    for number, (planes, what) in enumerate(clips):
        split, mask = corrupt_clip(planes, f"{what} {number}")
        source, plate = (
            linear_values(x).movedim(1, -1).numpy().astype(np.float32)
            for x in (split.source, split.plate)
        )
        _add(found[SOFT_MASK], mask[:, 0], None, split)
        _add(found[HARD_MASK], (mask[:, 0] > 0.5).float(), None, split)
        for name, splitter in splitters.items():
            layers = splitter.split(source, plate, mask[:, 0].numpy())
            steady = steady_alpha(layers.alpha, source)  # as it is in a decomposition
            alpha, shadow = (torch.from_numpy(plane) for plane in (steady, layers.shadow))
            _add(found[name], alpha, shadow, split)
    return found


def _add(errors: dict[str, list[float]], alpha: Tensor, shadow: Tensor | None, true: Split) -> None:
    values = {"alpha_share": share(alpha, true.alpha[:, 0])}
    values |= video_matting_errors(alpha, true.alpha[:, 0])
    if shadow is not None:
        values |= shadow_errors(shadow, true.shadow[:, 0], true.alpha[:, 0])
    for name, value in values.items():
        errors.setdefault(name, []).append(value)
