"""Boxes around masks and networks on parts of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from layert2v_engine.decompose.arrays import BoolArray, ByteArray, FloatArray
from layert2v_engine.decompose.protocols import Box, SaliencyNetwork

_MIN_PIXELS = 12


def mask_box(mask: FloatArray, threshold: float = 0.5) -> Box | None:
    """Return the box around a mask without its outermost specks, None for an empty one."""
    rows, columns = np.where(mask > threshold)
    if len(rows) < _MIN_PIXELS:
        return None
    left, right = np.percentile(columns, (0.5, 99.5))
    top, bottom = np.percentile(rows, (0.5, 99.5))
    return Box(left, top, right + 1, bottom + 1)


def grow(box: Box, width: int, height: int, margin: float, least: float) -> Box:
    """Return a box with ``margin`` of its longer side around it, not too narrow, inside a picture.

    ``least`` is the smallest side, as a share of the height of the picture.
    """
    center = ((box.left + box.right) / 2, (box.top + box.bottom) / 2)
    sides = (box.right - box.left, box.bottom - box.top)
    longest = max(sides) * (1 + 2 * margin)
    half = [max(side * (1 + 2 * margin), 0.75 * longest, least * height) / 2 for side in sides]
    return Box(
        center[0] - half[0], center[1] - half[1], center[0] + half[0], center[1] + half[1]
    ).clip(width, height)


def predict_in_box(network: SaliencyNetwork, picture: ByteArray, box: Box) -> FloatArray:
    """Return the saliency of a part of a picture, 0 around it."""
    left, top, right, bottom = (int(side) for side in box)
    mask = np.zeros(picture.shape[:2], np.float32)
    if right - left > 1 and bottom - top > 1:
        part = np.ascontiguousarray(picture[top:bottom, left:right])
        mask[top:bottom, left:right] = network.predict(part)
    return mask


def box_plane(box: Box, shape: tuple[int, ...]) -> BoolArray:
    """Return a plane ``[h, w]`` that is True inside of a box."""
    plane = np.zeros(shape[:2], bool)
    left, top, right, bottom = (int(max(0, side)) for side in box)
    plane[top:bottom, left:right] = True
    return plane


class SeenMask(NamedTuple):
    """A mask ``[h, w]`` that was made inside of a box, and says nothing of what lies outside."""

    mask: FloatArray
    box: Box


def average(mask: FloatArray, others: Sequence[SeenMask]) -> FloatArray:
    """Return the mean of a mask and the mean of others, of each where it says something."""
    total, weight = mask.copy(), np.ones_like(mask)
    for other in others:
        share = box_plane(other.box, mask.shape) / np.float32(len(others))
        total += share * other.mask
        weight += share
    return np.asarray(total / weight, np.float32)


def keep_main_parts(mask: FloatArray, share: float = 0.15) -> FloatArray:
    """Return a mask without separate parts smaller than ``share`` of its largest."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 0.5).astype(np.uint8))
    if count <= 2:
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = 1 + np.where(areas >= share * areas.max())[0]
    kept: BoolArray = np.isin(labels, large) | (mask <= 0.5)
    return np.asarray(mask * kept, np.float32)


def overlap(first: BoolArray, second: BoolArray) -> float:
    """Return intersection over union, 0 for two empty masks."""
    union = int((first | second).sum())
    return float((first & second).sum()) / union if union else 0.0
