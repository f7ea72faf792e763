"""What no frame shows is made of patches from elsewhere, or continued smoothly."""

from __future__ import annotations

import numpy as np

from layert2v_engine.decompose.arrays import BoolArray, FloatArray, Size, resize

_PATCH_RADIUS = 3
_MAX_HOLE = 0.8  # of the picture


class PatchFiller:
    """Fills holes with texture from the rest of the picture.

    PatchMatch, Barnes et al., SIGGRAPH 2009. Where its library cannot be loaded on a machine, or a
    picture is nearly all hole, what is around a hole is continued smoothly.
    """

    def fill(self, picture: FloatArray, hole: BoolArray) -> FloatArray:
        """Return ``picture`` with the hole filled; see ``PlateFiller``."""
        from patchmatch import patch_match  # loads a native library

        smooth = SmoothFiller().fill(picture, hole)
        if not patch_match.patchmatch_available or not hole.any() or hole.mean() > _MAX_HOLE:
            return smooth
        image = np.ascontiguousarray((smooth.clip(0, 1) * 255).round().astype(np.uint8))
        mask = np.ascontiguousarray(hole.astype(np.uint8) * 255)
        patches = patch_match.inpaint(image, mask, patch_size=_PATCH_RADIUS)
        return np.where(hole[..., None], patches.astype(np.float32) / 255, picture)


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
