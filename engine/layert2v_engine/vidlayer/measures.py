"""What the numeric gates measure of a layered sample; it needs no network and no truth.

Knows the layers of one sample, no threshold. All of it is display-referred unless it says linear.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from layert2v_engine.decompose.shots import CutFinder
from layert2v_engine.image.srgb import decode_srgb, encode_srgb
from layert2v_engine.vidlayer.patches import (
    enclosed_holes,
    ghost_correlation,
    lost_texture,
    open_hole_share,
    worst_patch_psnr,
    worst_patch_shift,
)
from layert2v_engine.vidlayer.readers.sample import LayeredSample

Plane = NDArray[np.float32]
_SURE, _TRACE, _CLOSE = 0.9, 0.02, 0.03


def measure_sample(sample: LayeredSample) -> dict[str, float]:
    """Return the scores of a sample by name, as ``thresholds.toml`` has them."""
    full, background = _numpy(sample.full), _numpy(sample.background)
    mattes = [_numpy(layer.matte)[..., 0] for layer in sample.foregrounds]
    shadows = [
        np.zeros_like(matte) if layer.shadow is None else _numpy(layer.shadow)[..., 0]
        for layer, matte in zip(sample.foregrounds, mattes, strict=True)
    ]
    cover = np.max(mattes, 0)
    effects = [
        *shadows,
        *(_numpy(f.light).max(-1) for f in sample.foregrounds if f.light is not None),
    ]
    free = ~_dilate(np.maximum(cover, np.max(effects, 0)) > _TRACE, 3)
    area = cover.mean(axis=(1, 2))
    comp_error = _compose(sample) - full
    everywhere = np.ones(cover.shape, bool)
    scores = {
        "covered_share": float(cover.mean()),
        "largest_gap_share": float((area < 1e-4).mean()),
        "plate_psnr_db": _psnr(full - background, free),
        "plate_patch_psnr_db": worst_patch_psnr(full - background, free),
        "plate_patch_shift": worst_patch_shift(background - full, free),
        "lost_texture": lost_texture(background, cover),
        "recomposition_psnr_db": _psnr(comp_error, everywhere),
        "recomposition_patch_psnr_db": worst_patch_psnr(comp_error, everywhere),
        "subject_left_share": _left_share(full, background, cover),
        "ghost_correlation": ghost_correlation(full, background, cover),
        "hole_share": float(np.mean([_hole_share(matte) for each in mattes for matte in each])),
        "open_hole_share": open_hole_share(mattes, np.abs(comp_error).max(-1)),
        "matte_flicker": _area_flicker(area),
        "background_flicker": _background_flicker(full, background, free),
        "softness": _softness(cover),
        "leakage_share": float(np.mean([_leakage(m) for each in mattes for m in each])),
        "border_share": _border_share(cover),
        "cuts": float(_count_cuts(full)),
    }
    return {name: round(value, 6) for name, value in scores.items()}


def _compose(sample: LayeredSample) -> Plane:
    comp = decode_srgb(sample.background)
    for layer in sample.foregrounds:
        shadow = torch.zeros_like(layer.matte) if layer.shadow is None else layer.shadow
        comp = comp * (1 - shadow)
        if layer.light is not None:
            comp = comp + decode_srgb(layer.light)
        comp = comp + (decode_srgb(layer.color) - comp) * layer.matte
    return _numpy(encode_srgb(comp.clamp(0, 1)))


def _numpy(video: torch.Tensor) -> Plane:
    return np.asarray(video.movedim(1, -1).numpy(), np.float32)


def _psnr(difference: Plane, where: NDArray[np.bool_]) -> float:
    if not where.any():
        return 0.0
    error = float(np.square(difference[where]).mean())
    return min(99.0, -10 * math.log10(max(error, 1e-10)))


def _left_share(full: Plane, background: Plane, cover: Plane) -> float:
    """Return the share of the sure subject in which the background shows the same picture."""
    sure = np.stack([_erode(each > _SURE, 2) for each in cover])
    if not sure.any():
        return 0.0
    same = np.abs(full - background).max(-1) < _CLOSE
    return float(same[sure].mean())


def _hole_share(matte: Plane) -> float:
    body, holes = enclosed_holes(matte)
    return float(holes.sum()) / max(1.0, float(body.sum() + holes.sum()))


def _area_flicker(area: Plane) -> float:
    """Return the largest jump of the area that is not the way from the frame before to the next."""
    if len(area) < 3:
        return 0.0
    expected = (area[:-2] + area[2:]) / 2
    return float((np.abs(area[1:-1] - expected) / np.maximum(expected, 1e-3)).max())


def _background_flicker(full: Plane, background: Plane, free: NDArray[np.bool_]) -> float:
    if len(full) < 2:
        return 0.0
    both = free[1:] & free[:-1]
    change = np.diff(background.mean(-1), axis=0) - np.diff(full.mean(-1), axis=0)
    steps = [
        float(np.abs(c[b]).mean()) if b.any() else 0.0 for c, b in zip(change, both, strict=True)
    ]
    return max(steps)


def _softness(cover: Plane) -> float:
    soft = ((cover > 0.05) & (cover < 0.95)).sum()
    return float(soft) / float(max(1, (cover > 0.05).sum()))


def _leakage(matte: Plane) -> float:
    """Return the share of the coverage that is far from the largest piece."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((matte > 0.1).astype(np.uint8))
    if count < 3:
        return 0.0
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    near = _dilate((labels == largest)[None], max(4, matte.shape[0] // 12))[0]
    return float(matte[~near].sum() / max(float(matte.sum()), 1e-6))


def _border_share(cover: Plane) -> float:
    border = np.concatenate([cover[:, 0], cover[:, -1], cover[:, :, 0], cover[:, :, -1]], 1)
    return float((border > 0.5).mean())


def _count_cuts(full: Plane) -> int:
    finder = CutFinder()
    for picture in full:
        finder.add(np.ascontiguousarray((picture * 255).round().astype(np.uint8)))
    return len(finder.cuts())


def _dilate(masks: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return np.stack([cv2.dilate(each.astype(np.uint8), kernel) > 0 for each in masks])


def _erode(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    return np.asarray(cv2.erode(mask.astype(np.uint8), kernel, borderValue=0) > 0)
