"""How much layers flicker along the motion of the footage, measured while they are solved.

Frames are compared with the ones before them along optical flow, at a small size: the warping error
of Lai et al., "Learning blind video temporal consistency", ECCV 2018.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from layert2v_engine.decompose.arrays import (
    BoolArray,
    ByteArray,
    FloatArray,
    HalfArray,
    Size,
    encode,
    fit_within,
    luminance,
    resize,
)
from layert2v_engine.decompose.motion import optical_flow, pixel_grid, warp

_SIDE = 320  # flow at this size costs little, and what flickers at it is seen
_ROUND_TRIP = 0.7  # pixels there and back; a point with more appears or vanishes
_SAME = 2.0  # times what the footage usually changes: more, and it is not the same point
_LEAST = 0.5 / 255  # footage that changes less stands still


class _Frame(NamedTuple):
    source: FloatArray  # encoded, [h, w, 3]
    background: FloatArray
    alpha: FloatArray  # [h, w]
    is_changed: BoolArray  # where the background is not the footage


class FlickerMeter:
    """Adds up how much background and alpha of a subject change from frame to frame."""

    def __init__(self) -> None:
        self._before: _Frame | None = None
        self._own: list[float] = []
        self._plate: list[float] = []
        self._alpha: list[float] = []

    def add(self, source: HalfArray, background: HalfArray, alpha: HalfArray) -> None:
        """Take the next frame: pictures ``[H, W, 3]`` and the subject's alpha ``[H, W]``."""
        size = fit_within(Size(*alpha.shape[::-1]), _SIDE)
        small = resize(source.astype(np.float32), size), resize(background.astype(np.float32), size)
        frame = _Frame(
            source=encode(small[0]),
            background=encode(small[1]),
            alpha=resize(alpha.astype(np.float32), size),
            is_changed=(small[0] != small[1]).any(-1),
        )
        if self._before is not None:
            self._compare(self._before, frame)
        self._before = frame

    def to_json(self) -> dict[str, float]:
        """Return the measures, without those that there is nothing to tell of.

        ``flicker_plate``: how much the background changes along its motion where it is not the
        footage, as a multiple of what the footage does elsewhere. ``flicker_alpha``: how much alpha
        changes, in 0..1, where the footage along its motion does not; the mean over all coverage.
        """
        found = {}
        if self._plate and self._own:
            own = max(float(np.mean(self._own)), _LEAST)
            found["flicker_plate"] = round(float(np.mean(self._plate)) / own, 3)
        if self._alpha:
            found["flicker_alpha"] = round(float(np.mean(self._alpha)), 4)
        return found

    def _compare(self, before: _Frame, after: _Frame) -> None:
        flow, is_visible = _find_flow(before.source, after.source)
        is_changed = before.is_changed | (warp(after.is_changed.astype(np.float32), flow) > 0)
        change = np.abs(warp(after.source, flow) - before.source).mean(-1)
        _add_mean(self._own, change, is_visible & ~is_changed)
        own = float(np.median(change[is_visible])) if is_visible.any() else 0.0
        is_same = is_visible & (change < _SAME * own + _LEAST)  # elsewhere the flow may be wrong
        moved = warp(after.alpha, flow)
        is_covered = is_same & ((before.alpha > 0) | (moved > 0))
        _add_mean(self._alpha, np.abs(moved - before.alpha), is_covered)
        if is_changed.any():
            flow, is_visible = _find_flow(before.background, after.background)
            change = np.abs(warp(after.background, flow) - before.background).mean(-1)
            _add_mean(self._plate, change, is_visible & before.is_changed)


def _find_flow(first: FloatArray, second: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Return the flow between encoded pictures, and where it can be relied on."""
    pair = _to_gray(first), _to_gray(second)
    flow, back = optical_flow(*pair), optical_flow(*pair[::-1])
    height, width = pair[0].shape
    end = pixel_grid(height, width) + flow
    inside = ((end >= 0) & (end <= (width - 1, height - 1))).all(-1)
    round_trip = np.linalg.norm(flow + warp(back, flow), axis=-1)
    return flow, inside & (round_trip < _ROUND_TRIP)


def _to_gray(encoded: FloatArray) -> ByteArray:
    return (np.clip(luminance(encoded), 0, 1) * 255).astype(np.uint8)


def _add_mean(means: list[float], values: FloatArray, where: BoolArray) -> None:
    if where.any():
        means.append(float(values[where].mean()))
