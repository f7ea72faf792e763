"""What the worst place of a sample is like, where the mean over the picture hides it.

A patch is a square of a twelfth of the height. Everything is display-referred.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]
_PATCHES = 12  # in the height
_FILLED = 0.5  # of a patch has to count
_GHOST_COVER = 0.3  # less of a subject hides too little of what is behind it
_TRACE = 0.02  # less coverage is none
_FLAT = 0.01  # gradient of the noise of a codec; what is flatter has no texture to lose


def worst_patch_psnr(difference: Plane, where: Mask) -> float:
    """Return the PSNR of the worst patch of the worst frame, of ``[T, H, W, 3]`` where it counts.

    99 where no patch counts.
    """
    side, worst = _side(difference), 0.0
    for error, counts in zip(np.square(difference).mean(-1), where, strict=True):
        weight = _box(counts.astype(np.float32), side)
        mean = _box(error * counts, side) / np.maximum(weight, 1e-6)
        worst = max(worst, float(mean[weight >= _FILLED].max(initial=0.0)))
    return min(99.0, -10 * math.log10(max(worst, 1e-10)))


def worst_patch_shift(difference: Plane, where: Mask) -> float:
    """Return how far the color of a patch is off, on average over all frames, 0..1.

    Noise and movements by a pixel cancel out; another exposure or tint does not.
    """
    side, counts = 2 * _side(difference), where.astype(np.float32)
    weight = _box(counts.mean(0), side)
    mean = (
        _box((difference * counts[..., None]).mean(0), side) / np.maximum(weight, 1e-6)[..., None]
    )
    inside = np.abs(mean).max(-1)[weight >= _FILLED / 2]
    return float(inside.max(initial=0.0))


def lost_texture(background: Plane, cover: Plane) -> float:
    """Return how much less texture the background has behind the subject than around it, to 1.

    A share of the gradient around; below 0 where there is more. 0 where it is flat around, or where
    the subject is too thin to look behind.
    """
    side, losses = _side(background), []
    for picture, covered in zip(background, cover, strict=True):
        body = (covered > 0.5).astype(np.uint8)
        behind = cv2.erode(body, np.ones((5, 5), np.uint8)) > 0
        around = cv2.dilate(body, np.ones((2 * side + 1,) * 2, np.uint8)) > 0
        around &= ~(cv2.dilate(body, np.ones((7, 7), np.uint8)) > 0)
        if behind.sum() < side * side or around.sum() < side * side:
            continue
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        gradient = np.hypot(np.diff(gray, axis=0)[:, :-1], np.diff(gray, axis=1)[:-1])
        outer = float(gradient[around[:-1, :-1]].mean())
        inner = float(gradient[behind[:-1, :-1]].mean())
        losses.append((outer - inner) / max(outer, _FLAT))
    return float(np.median(losses)) if losses else 0.0


def ghost_correlation(full: Plane, background: Plane, cover: Plane) -> float:
    """Return how much of the subject's drawing the background has where the subject is, -1..1.

    The correlation of both pictures' gradients, outlines included, so that a faint ghost counts as
    much as a copy. Around 0 for a background that knows nothing of the subject.
    """
    both = own = other = 1e-6
    for picture, behind, covered in zip(full, background, cover, strict=True):
        inside = covered[:-1, :-1] > _GHOST_COVER
        for axis in (0, 1):
            a, b = (
                np.diff(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), axis=axis)[
                    : inside.shape[0], : inside.shape[1]
                ][inside]
                for each in (picture, behind)
            )
            both += float((a * b).sum())
            own += float((a * a).sum())
            other += float((b * b).sum())
    return both / math.sqrt(own * other)


def open_hole_share(mattes: list[Plane], error: Plane) -> float:
    """Return the largest share of a matte that is a hole in which the layers do not add up.

    ``error`` is ``[T, H, W]``: how far the layers' comp is from the footage, 0..1. A hole between
    an arm and a body shows the background, and there they add up. A notch of the outline no wider
    than a patch counts as a hole: a thin subject has no inside that could enclose one.
    """
    shares = []
    for matte in mattes:
        for plane, wrong in zip(matte, error > 0.05, strict=True):
            body, holes = enclosed_holes(plane)
            missing = (holes | _notches(plane)) & wrong
            shares.append(float(missing.sum()) / max(1.0, float(body.sum() + missing.sum())))
    return max(shares, default=0.0)


def _notches(matte: Plane) -> Mask:
    """Return what a closing by a disk as wide as a patch adds to a matte ``[H, W]``."""
    side = max(4, len(matte) // _PATCHES) | 1
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    body = (matte > 0.5).astype(np.uint8)
    wide = cv2.copyMakeBorder(body, side, side, side, side, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, disk)[side:-side, side:-side]
    return np.asarray((closed > 0) & (matte < _TRACE))


def enclosed_holes(matte: Plane) -> tuple[Mask, Mask]:
    """Return the body of a matte ``[H, W]``, and the holes that it encloses."""
    body = (matte > 0.5).astype(np.uint8)
    flood = np.pad(body, 1)
    cv2.floodFill(flood, None, (0, 0), 2)
    return body > 0, np.asarray(flood[1:-1, 1:-1] == 0)


def _side(pictures: Plane) -> int:
    return max(4, pictures.shape[1] // _PATCHES)


def _box(plane: Plane, side: int) -> Plane:
    return np.asarray(cv2.blur(plane, (side, side), borderType=cv2.BORDER_REFLECT), np.float32)
