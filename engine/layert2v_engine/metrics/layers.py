"""How well the layers of one generated clip fit each other: sums, mattes and shadows.

Neither classifiers nor a reference are needed.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes
from scipy.ndimage import label as connected
from torch import Tensor

from layert2v_engine.image.srgb import decode_srgb, encode_srgb
from layert2v_engine.stream_codec import ForegroundFrames, LayerFrames

MIN_COMPONENT_SHARE = 0.005  # bodies and holes below this share of the frame do not count
_DARK = 0.02  # under a linear value of this, a plate cannot show a shadow


def recompose(layers: LayerFrames) -> Tensor:
    """Return the linear over of the layers of the first clip, display-encoded [3, T, H, W]."""
    comp = decode_srgb(layers.background[0])
    for foreground in layers.foregrounds:
        if foreground.shadow is not None:
            comp = comp * (1 - foreground.shadow[0])
        comp = decode_srgb(foreground.color[0]) * foreground.alpha[0] + comp * (
            1 - foreground.alpha[0]
        )
    return encode_srgb(comp)


def psnr(a: Tensor, b: Tensor, *, value_range: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB, 100 at most, of tensors of one shape.

    ``value_range`` is the largest minus the smallest value there can be: 1 for 0..1, 2 for -1..1.
    """
    peak = value_range**2
    return float(10 * torch.log10(peak / (a.float() - b).square().mean().clamp_min(1e-10 * peak)))


def matte_statistics(alpha: Tensor) -> dict[str, float]:
    """Return shares in 0..1 over a matte [1, 1, T, H, W]: covered, soft, one body, no hole."""
    planes = alpha[0, 0].numpy() > 0.5
    return {
        "coverage": float(alpha.mean()),
        "soft_pixel_share": float(((alpha > 0.05) & (alpha < 0.95)).float().mean()),
        "one_body_share": float(np.mean([_component_count(plane) == 1 for plane in planes])),
        "no_hole_share": float(
            np.mean([_hole_share(plane) <= MIN_COMPONENT_SHARE for plane in planes])
        ),
    }


def matte_overlap(one: Tensor, other: Tensor) -> float:
    """Return the share in 0..1 of the smaller of two mattes of one shape that lies in both.

    1 where one of them is empty: what was drawn is one.
    """
    a, b = one > 0.5, other > 0.5
    smaller = min(int(a.sum()), int(b.sum()))
    return int((a & b).sum()) / smaller if smaller else 1.0


def shadow_correlation(layers: LayerFrames, foreground: ForegroundFrames) -> float:
    """Return the correlation of a foreground's shadow with the darkening of the full video.

    Places under foregrounds do not count.
    The darkening is measured in linear light against the background layer; 0 without a shadow, or
    where foregrounds cover all.
    """
    if foreground.shadow is None:
        return 0.0
    full, plate = (decode_srgb(x[0]).mean(0) for x in (layers.composite, layers.background))
    darkening = (1 - full / plate.clamp_min(_DARK)).clamp(-1, 1)
    covered = torch.stack([each.alpha[0, 0] for each in layers.foregrounds]).amax(0)
    outside = covered < 0.05
    if outside.sum() < 2:
        return 0.0
    pair = torch.stack([darkening[outside], foreground.shadow[0, 0][outside]])
    correlation = torch.corrcoef(pair)[0, 1]
    return 0.0 if correlation.isnan() else float(correlation)


def shadow_reach(foreground: ForegroundFrames) -> float:
    """Return the share in 0..1 of a shadow that lies within the width of its matte beside it.

    A shadow that stayed behind, or belongs to something else, lies further away. 1 without one.
    """
    if foreground.shadow is None:
        return 1.0
    near, total = 0.0, 0.0
    for matte, shadow in zip(foreground.alpha[0, 0], foreground.shadow[0, 0], strict=True):
        columns = (matte > 0.5).any(0).nonzero()[:, 0]
        total += float(shadow.sum())
        if len(columns):
            first, last = int(columns[0]), int(columns[-1])
            width = last - first + 1
            near += float(shadow[:, max(first - width, 0) : last + width + 1].sum())
    return near / total if total > 0 else 1.0


def _component_count(plane: NDArray[np.bool_]) -> int:
    components, count = connected(plane)
    sizes = np.bincount(components.ravel())[1:] if count else np.zeros(0)
    return int((sizes > MIN_COMPONENT_SHARE * plane.size).sum())


def _hole_share(plane: NDArray[np.bool_]) -> float:
    return float((binary_fill_holes(plane) & ~plane).sum() / plane.size)
