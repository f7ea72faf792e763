"""Matting errors against a true matte, as the matting literature defines them (Rhemann et al., CVPR
2009).

SAD is in thousands of pixels per frame, MSE is the mean squared error x 1000, the gradient error is
the sum of squared differences of Gaussian gradients (sigma 1.4) / 1000 per frame, connectivity
counts disconnected opacity / 1000 per frame.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, label
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.stream_codec import clean_opacity

Plane = NDArray[np.float32]


def matte_errors(matte: Tensor, truth: Tensor) -> dict[str, float]:
    """Mean errors over all frames of mattes [B, T, H, W] in 0..1."""
    pairs = list(zip(*(x.flatten(0, 1).float().cpu().numpy() for x in (matte, truth)), strict=True))
    errors = [(a - b) for a, b in pairs]
    return {
        "sad": float(np.mean([np.abs(e).sum() for e in errors])) / 1e3,
        "mse": float(np.mean([np.square(e).mean() for e in errors])) * 1e3,
        "gradient": float(np.mean([_gradient_error(a, b) for a, b in pairs])),
        "connectivity": float(np.mean([_connectivity_error(a, b) for a, b in pairs])),
    }


def round_trip(pipeline: LayeredPipeline, mattes: Tensor) -> Tensor:
    """Mattes [B, T, H, W] in 0..1 as they come back from the autoencoder of a model."""
    layout = StreamLayout.for_foregrounds(1)
    name = "matte_01"
    back = []
    for matte in mattes:
        latents = pipeline.encode(matte[:, None], layout, name)
        whole = torch.zeros(1, len(layout), *latents.shape, device=latents.device)
        whole[0, layout.index(name)] = latents
        groups = pipeline.decode_streams(whole, layout, (name,))
        back.append(torch.cat([clean_opacity(group[name])[0, 0] for group in groups]))
    return torch.stack(back).cpu()


def _gradient_error(matte: Plane, truth: Plane) -> float:
    def magnitude(plane: Plane) -> Plane:
        x = gaussian_filter(plane, 1.4, order=(0, 1))
        y = gaussian_filter(plane, 1.4, order=(1, 0))
        return np.asarray(np.hypot(x, y), dtype=np.float32)

    return float(np.square(magnitude(matte) - magnitude(truth)).sum()) / 1e3


def _connectivity_error(matte: Plane, truth: Plane) -> float:
    return (
        float(
            np.abs(_connectedness(matte, truth, matte) - _connectedness(matte, truth, truth)).sum()
        )
        / 1e3
    )


def _connectedness(matte: Plane, truth: Plane, plane: Plane) -> Plane:
    """How opaque each pixel is connected to the common opaque body; differences under 0.15 do not
    count.
    """
    reached = np.full(plane.shape, -1.0, np.float32)
    levels = np.linspace(0, 1, 11, dtype=np.float32)
    for lower, upper in pairwise(levels):
        components, count = label((matte >= upper) & (truth >= upper))
        body = np.zeros(plane.shape, bool)
        if count:
            sizes = np.bincount(components.ravel())[1:]
            body = components == 1 + int(sizes.argmax())
        reached[(reached < 0) & ~body] = lower
    reached[reached < 0] = 1.0
    distance = plane - reached
    return np.asarray(1 - distance * (distance >= 0.15), dtype=np.float32)
