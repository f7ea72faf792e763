"""Proposals for the main subject of a few frames: masks on many boxes, the best ones kept.

U2-Net finds what stands out of the box it is shown, so the box decides: the whole frame, where
something moves, thirds of a wide frame, and what the detector knows. What moves by itself is a
proposal of its own, cut out by its colors, since not everything that moves stands out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray, blur
from layert2v_engine.decompose.protocols import Box, Detection, ObjectDetector, SaliencyNetwork
from layert2v_engine.decompose.subjects.colors import cut_by_colors
from layert2v_engine.decompose.subjects.evidence import ClipMotion, Evidence, FrameMotion
from layert2v_engine.decompose.subjects.regions import (
    SeenMask,
    box_plane,
    grow,
    mask_box,
    overlap,
    predict_in_box,
)

MOVING = "moving"  # name of the proposal that is cut out by its colors
_MIN_SIDE = 24
_DETECTIONS, _MIN_SCORE = 4, 0.35
_MOVED, _LEAST_MOVED = 0.5, 0.004  # independence of what moves; its least share of the picture
# Weights beside those of the evidence.
_AGREEMENT, _WHOLE, _PRIOR, _KNOWN = 0.4, 0.1, 1.5, 0.5
_FOLLOWS = 1.0  # of masks that follow from one another
_CUT = -0.15  # a cut is sharp of itself
_ALIKE = 0.95  # overlap of boxes that show the same
_FITS = 0.4  # overlap of boxes of a subject that has hardly moved


class Proposal(NamedTuple):
    """What one way of looking makes of the subject on the key frames, and for how good each is.

    ``scores`` are None for masks that cannot be the subject.
    """

    name: str
    seen: tuple[SeenMask, ...]
    scores: tuple[float | None, ...]


class _Look(NamedTuple):
    name: str
    boxes: tuple[Box, ...]
    masks: tuple[FloatArray, ...]


def propose(
    pictures: ByteArray,
    motion: ClipMotion,
    keys: Sequence[int],
    saliency: SaliencyNetwork,
    detector: ObjectDetector | None,
    prior: tuple[int, FloatArray] | None = None,
) -> list[Proposal]:
    """Return proposals for a short clip ``[T, H, W, 3]``, the best first.

    ``keys`` are the frames they are made for. ``prior`` is a mask known at one of them; what
    agrees with it goes first.
    """
    detections = [[] if detector is None else detector.detect(pictures[key]) for key in keys]
    looks = [
        _Look(name, boxes, tuple(_see(saliency, pictures, keys, boxes)))
        for name, boxes in _boxes(pictures, motion, keys, detections, prior)
    ]
    whole = Box(0, 0, pictures.shape[2], pictures.shape[1])
    moving = tuple(_cut_moving(pictures[key], motion.at(key)) for key in keys)
    if any(mask.any() for mask in moving):
        looks.append(_Look(MOVING, (whole,) * len(keys), moving))
    ranked: list[tuple[float, Proposal]] = []
    for look in looks:
        others = [other for other in looks if other is not look]
        scores = _scores(look, others, motion, keys, detections)
        total = sum(-1.0 if each is None else each for each in scores) / len(keys)
        total += _FOLLOWS * _consistency(look.masks, keys, motion)
        if prior is not None and prior[0] in keys:
            same = look.masks[list(keys).index(prior[0])] > 0.5
            total += _PRIOR * overlap(same, prior[1] > 0.5)
        if any(each is not None for each in scores):
            seen = tuple(map(SeenMask, look.masks, look.boxes))
            ranked.append((total, Proposal(look.name, seen, scores)))
    ranked.sort(key=lambda each: -each[0])
    return [proposal for _, proposal in ranked]


def _see(
    saliency: SaliencyNetwork, pictures: ByteArray, keys: Sequence[int], boxes: Sequence[Box]
) -> Iterator[FloatArray]:
    for key, box in zip(keys, boxes, strict=True):
        yield predict_in_box(saliency, pictures[key], box)


def _scores(
    look: _Look,
    others: Sequence[_Look],
    motion: ClipMotion,
    keys: Sequence[int],
    detections: Sequence[list[Detection]],
) -> tuple[float | None, ...]:
    """Return how good the mask of each key frame is."""
    scores: list[float | None] = []
    for k, (key, mask) in enumerate(zip(keys, look.masks, strict=True)):
        total = Evidence.weigh(mask, motion.at(key), look.boxes[k]).total
        if total is not None:
            agreement = max(
                (overlap(mask > 0.5, other.masks[k] > 0.5) for other in others), default=0.0
            )
            total += _AGREEMENT * agreement + _WHOLE * (look.name == "whole")
            total += _KNOWN * _recognition(mask, detections[k]) + _CUT * (look.name == MOVING)
        scores.append(total)
    return tuple(scores)


def _consistency(masks: Sequence[FloatArray], keys: Sequence[int], motion: ClipMotion) -> float:
    """Return in 0..1 how well the mask of each key frame leads to the next along the flow."""
    shared = [
        overlap(motion.carry(masks[k], keys[k], keys[k + 1]) > 0.5, masks[k + 1] > 0.5)
        for k in range(len(keys) - 1)
    ]
    return float(np.mean(shared)) if shared else 0.0


def _recognition(mask: FloatArray, detections: Sequence[Detection]) -> float:
    """Return in 0..1 how well a mask fills the box of something that was recognized."""
    box = mask_box(mask)
    if box is None:
        return 0.0
    plane = box_plane(box, mask.shape)
    fits = (each.score * overlap(plane, box_plane(each.box, mask.shape)) for each in detections)
    return max(fits, default=0.0)


def _cut_moving(picture: ByteArray, motion: FrameMotion) -> FloatArray:
    """Return what moves by itself on a frame, empty where nothing much does."""
    moved = blur(motion.independent, 1.5)
    share = float((moved > _MOVED).mean())
    if not _LEAST_MOVED <= share <= 0.5:
        return np.zeros_like(moved)
    return cut_by_colors(picture, moved, certain=0.8)


def _boxes(
    pictures: ByteArray,
    motion: ClipMotion,
    keys: Sequence[int],
    detections: Sequence[list[Detection]],
    prior: tuple[int, FloatArray] | None,
) -> list[tuple[str, tuple[Box, ...]]]:
    """Return names and the boxes on every key frame."""
    height, width = pictures.shape[1:3]
    whole = Box(0, 0, width, height)
    boxes = [("whole", (whole,) * len(keys))]
    moving = _motion_box(motion, keys)
    if moving is not None:
        boxes.append(("motion", (grow(moving, width, height, 0.35, 0.5),) * len(keys)))
    known = None if prior is None else mask_box(prior[1])
    if known is not None:
        boxes.append(("before", (grow(known, width, height, 0.3, 0.4),) * len(keys)))
    for k, left in enumerate((0.0, (width - height) / 2, float(width - height))):
        if width > height and known is None:
            part = Box(int(left), 0, int(left) + height, height)
            boxes.append((f"part {k}", (part,) * len(keys)))
    for label, found in _follow_detections(detections, whole):
        boxes.append((label, tuple(grow(box, width, height, 0.3, 0.4) for box in found)))
    kept: list[tuple[str, tuple[Box, ...]]] = []
    for name, found in boxes:
        sides = min(min(box.right - box.left, box.bottom - box.top) for box in found)
        is_new = not any(_are_alike(found, other) for _, other in kept)
        if sides >= _MIN_SIDE and is_new:
            kept.append((name, found))
    return kept


def _are_alike(first: Sequence[Box], second: Sequence[Box]) -> bool:
    """Tell whether boxes show the same on every key frame."""
    return all(_box_overlap(a, b) > _ALIKE for a, b in zip(first, second, strict=True))


def _box_overlap(first: Box, second: Box) -> float:
    """Return intersection over union of two boxes."""
    both = Box(*map(max, first[:2], second[:2]), *map(min, first[2:], second[2:]))
    return both.area / max(first.area + second.area - both.area, 1e-6)


def _follow_detections(
    detections: Sequence[list[Detection]], whole: Box
) -> list[tuple[str, tuple[Box, ...]]]:
    """Return what is recognized on the middle key frame, with its boxes on the others.

    A box that still fits is kept, since the middle one of a subject that stays is as good.
    """
    middle = len(detections) // 2
    sized = [
        each
        for each in detections[middle]
        if each.score >= _MIN_SCORE and 0.01 < each.box.area / whole.area < 0.6
    ]
    sized.sort(key=lambda each: -each.score * np.sqrt(each.box.area))
    found = []
    for each in sized[:_DETECTIONS]:
        boxes = [each.box] * len(detections)
        for order in (range(middle + 1, len(detections)), range(middle - 1, -1, -1)):
            last = each.box
            for k in order:
                same = [other for other in detections[k] if other.label == each.label]
                nearest = min(same, key=lambda other: _distance(other.box, last), default=None)
                if nearest is not None and _distance(nearest.box, last) < _reach(last):
                    last = nearest.box
                boxes[k] = each.box if _box_overlap(each.box, last) > _FITS else last
        found.append((each.label, tuple(boxes)))
    return found


def _distance(first: Box, second: Box) -> float:
    """Return how far two boxes are apart, in pixels: of their centers, and their sides."""
    return max(abs(a - b) for a, b in zip(first, second, strict=True))


def _reach(box: Box) -> float:
    return 0.75 * max(box.right - box.left, box.bottom - box.top)


def _motion_box(motion: ClipMotion, keys: Sequence[int]) -> Box | None:
    frames = [motion.at(key) for key in keys]
    moving = np.mean([each.independent * each.texture for each in frames], 0)
    smooth = blur(moving.astype(np.float32), 3.0)
    return mask_box(smooth / (1e-6 + float(smooth.max())), 0.35)
