"""What no frame shows is continued smoothly from around the hole (pull and push)."""

from __future__ import annotations

import numpy as np

from layert2v_engine.decompose.arrays import BoolArray, FloatArray, Size, resize


class SmoothFiller:
    """Fills holes with the colors around them. No texture; never wrong by much."""

    def fill(self, picture: FloatArray, hole: BoolArray) -> FloatArray:
        """Return ``picture`` with the hole filled; see ``PlateFiller``."""
        return extend(picture, (~hole).astype(np.float32))


def extend(picture: FloatArray, weight: FloatArray) -> FloatArray:
    """Return ``[H, W, C]`` where ``weight`` ``[H, W]`` is 1, and its smooth continuation elsewhere.

    Pyramids of weighted means (Gortler et al., "The Lumigraph", 1996).
    """
    color = np.asarray(picture * weight[..., None], np.float32)
    levels: list[tuple[FloatArray, FloatArray]] = [(color, weight)]
    while min(levels[-1][1].shape) > 2:
        color, weight = levels[-1]
        half = Size(-(-weight.shape[1] // 2), -(-weight.shape[0] // 2))
        levels.append(
            (resize(color, half).reshape(half.height, half.width, -1), resize(weight, half))
        )
    color, weight = levels[-1]
    filled = np.asarray(color / np.maximum(weight, 1e-4)[..., None], np.float32)
    if weight.max() < 1e-4:
        return np.zeros_like(picture)
    for color, weight in reversed(levels[:-1]):
        height, width = weight.shape
        coarse = resize(filled, Size(width, height)).reshape(height, width, -1)
        share = np.clip(weight, 0, 1)[..., None]
        own = color / np.maximum(weight, 1e-4)[..., None]
        filled = np.asarray(own * share + coarse * (1 - share), np.float32)
    return filled
