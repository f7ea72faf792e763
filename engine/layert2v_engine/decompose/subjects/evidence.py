"""What speaks for a proposed mask: it moves unlike the camera, is sharp, and is not cut off."""

from __future__ import annotations

from typing import NamedTuple, Self

import cv2
import numpy as np

from layert2v_engine.decompose.arrays import (
    BoolArray,
    ByteArray,
    FloatArray,
    blur,
    dilate,
    erode,
)
from layert2v_engine.decompose.motion import (
    find_homography,
    homography_flow,
    optical_flow,
    pixel_grid,
    to_gray,
    warp,
)
from layert2v_engine.decompose.protocols import Box

_FIT_POINTS, _FIT_ROUNDS = 6000, 6
_MIN_AREA, _MAX_AREA = 0.004, 0.75  # of the picture
_MOVES = 0.3  # mean independence of a mask that moves by itself
_MAX_CUT = 0.06  # of a mask's outline that the border of its crop may cut


class FrameMotion(NamedTuple):
    """Motion at one frame: ``independent`` and ``texture`` ``[H, W]`` in 0..1, flow to a neighbor.

    ``independent`` is 1 where pixels do not move as the camera does and the camera's motion does
    not explain them.
    """

    independent: FloatArray
    texture: FloatArray
    flow: FloatArray


class ClipMotion:
    """Motion between the frames of a short clip ``[T, H, W, 3]``, computed when asked for."""

    def __init__(self, pictures: ByteArray) -> None:
        self.pictures = pictures
        self._gray = [to_gray(picture) for picture in pictures]
        self._flows: dict[tuple[int, int], FloatArray] = {}
        self._frames: dict[int, FrameMotion] = {}

    def flow(self, first: int, second: int) -> FloatArray:
        """Return the displacement ``[H, W, 2]`` from one frame to another."""
        if (first, second) not in self._flows:
            flow = optical_flow(self._gray[first], self._gray[second])
            self._flows[first, second] = flow
        return self._flows[first, second]

    def carry(self, mask: FloatArray, frame: int, to: int) -> FloatArray:
        """Return the mask of a frame moved to another by the flow alone."""
        step = 1 if to > frame else -1
        for before in range(frame, to, step):
            mask = warp(mask, self.flow(before + step, before))
        return mask

    def at(self, frame: int) -> FrameMotion:
        """Return the motion at a frame."""
        if frame not in self._frames:
            self._frames[frame] = self._measure(frame)
        return self._frames[frame]

    def _measure(self, frame: int) -> FrameMotion:
        height, width = self._gray[frame].shape
        residuals, unexplained = [], []
        neighbors = [k for k in (frame - 1, frame + 1) if 0 <= k < len(self._gray)]
        for other in neighbors:
            camera = homography_flow(
                find_homography(self._gray[frame], self._gray[other]), height, width
            )
            flow = self.flow(frame, other)
            residuals.append(np.linalg.norm(flow - camera, axis=-1))
            moved = warp(self.pictures[other].astype(np.float32), camera)
            error = np.abs(moved - self.pictures[frame]).max(-1)
            end = pixel_grid(height, width) + camera
            inside = ((end >= 0) & (end < (width, height))).all(-1)
            unexplained.append(np.clip(blur(error, 1.5) / 18.0, 0, 1) * inside)
        residual = np.mean(residuals, 0)
        usual = float(np.median(residual)) + 1e-3
        moving = (residual - max(0.35, 1.2 * usual)) / max(1.5, 2.0 * usual)
        independent = np.clip(moving, 0, 1) * np.mean(unexplained, 0)
        texture = _texture(self._gray[frame])
        other = neighbors[-1]
        return FrameMotion(independent.astype(np.float32), texture, self.flow(frame, other))


class Evidence(NamedTuple):
    """How much speaks for a mask; ``total`` is None for one that cannot be the subject."""

    total: float | None
    contrast: float = 0.0
    recall: float = 0.0
    sharpness: float = 0.0

    @classmethod
    def weigh(cls, mask: FloatArray, motion: FrameMotion, box: Box) -> Self:
        """Return the evidence for a mask that was made inside ``box``."""
        inside = mask > 0.5
        area = float(inside.mean())
        cut = _cut_share(inside, box)
        if not _MIN_AREA <= area <= _MAX_AREA or cut > _MAX_CUT:
            return cls(None)
        contrast = _motion_contrast(inside, motion)
        weight = motion.independent * motion.texture
        moving = float(weight.sum())
        recall = float((weight * inside).sum()) / (moving + 1e-3)
        recall = recall if moving > 0.002 * mask.size else 0.0
        sharpness = float(np.abs(2 * mask - 1)[mask > 0.08].mean())
        # Something small that moves before something large does not make that the subject.
        own = min(1.0, float(motion.independent[inside].mean()) / _MOVES)
        total = 0.8 * contrast + own * (0.6 + 0.5 * recall) + 0.6 * sharpness - 2.0 * cut
        return cls(total + 0.3 * min(1.0, area / 0.05), contrast, recall, sharpness)


def _texture(gray: ByteArray) -> FloatArray:
    values = gray.astype(np.float32)
    edges = np.hypot(cv2.Sobel(values, cv2.CV_32F, 1, 0), cv2.Sobel(values, cv2.CV_32F, 0, 1))
    return np.clip(blur(np.asarray(edges, np.float32), 2.0) / 40.0, 0, 1).astype(np.float32)


def _cut_share(inside: BoolArray, box: Box) -> float:
    """Return how much of the outline lies along the sides of a crop that are no picture border."""
    height, width = inside.shape
    left, top, right, bottom = (int(side) for side in box)
    cut = 0
    if left > 0:
        cut += int(inside[:, left : left + 4].any(1).sum())
    if right < width:
        cut += int(inside[:, right - 4 : right].any(1).sum())
    if top > 0:
        cut += int(inside[top : top + 4].any(0).sum())
    if bottom < height:
        cut += int(inside[bottom - 4 : bottom].any(0).sum())
    outline = int(inside.sum()) - int(erode(inside, 1).sum())
    return cut / max(outline, 1)


def _motion_contrast(inside: BoolArray, motion: FrameMotion) -> float:
    """Return in -1..1 how unlike its surroundings a mask moves."""
    around = ~dilate(inside, 4) & (motion.texture > 0.15)
    core = erode(inside, 1) & (motion.texture > 0.1)
    camera = _fit_affine(motion.flow, around)
    if camera is None or core.sum() < 20:
        return 0.0
    grid = pixel_grid(*inside.shape)
    points = np.concatenate([grid, np.ones_like(grid[..., :1])], -1)
    residual = np.linalg.norm(points @ camera - motion.flow, axis=-1)
    inner, outer = float(np.median(residual[core])), float(np.median(residual[around]))
    return float(np.clip(np.log((inner + 0.15) / (outer + 0.15)) / 1.5, -1, 1))


def _fit_affine(flow: FloatArray, selected: BoolArray) -> FloatArray | None:
    """Return the affine motion ``[3, 2]`` of selected pixels, by reweighted least squares."""
    rows, columns = np.where(selected)
    if len(rows) < 200:
        return None
    step = -(-len(rows) // _FIT_POINTS)
    rows, columns = rows[::step], columns[::step]
    points = np.stack([columns, rows, np.ones_like(rows)], 1).astype(np.float64)
    targets = flow[rows, columns].astype(np.float64)
    weights = np.ones(len(rows))
    for _ in range(_FIT_ROUNDS):
        weighted = (points * weights[:, None], targets * weights[:, None])
        solution = np.linalg.lstsq(*weighted, rcond=None)[0]
        residual = np.linalg.norm(points @ solution - targets, axis=1)
        weights = 1 / (1 + (residual / (1.5 * (np.median(residual) + 0.05))) ** 2)
    return np.asarray(solution, np.float32)
