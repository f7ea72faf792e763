"""Proposals for the main subject of a few frames: saliency on many boxes, the best one kept.

U2-Net finds what stands out of the box it is shown, so the box decides: the whole frame, where
something moves, thirds of a wide frame, and what the detector knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray, blur
from layert2v_engine.decompose.protocols import Box, ObjectDetector, SaliencyNetwork
from layert2v_engine.decompose.subjects.evidence import ClipMotion, Evidence
from layert2v_engine.decompose.subjects.regions import grow, mask_box, overlap, predict_in_box

_MIN_SIDE = 24
_DETECTIONS, _MIN_SCORE = 4, 0.35
_AGREEMENT, _WHOLE, _PRIOR = 0.4, 0.1, 1.5  # weights beside those of the evidence


class Proposal(NamedTuple):
    """A box that shows the subject, and what saliency makes of it on the key frames."""

    name: str
    box: Box
    masks: tuple[FloatArray, ...]


def propose(
    pictures: ByteArray,
    motion: ClipMotion,
    keys: Sequence[int],
    saliency: SaliencyNetwork,
    detector: ObjectDetector | None,
    prior: tuple[int, FloatArray] | None = None,
) -> Proposal | None:
    """Return the best proposal for a short clip ``[T, H, W, 3]``, None where there is none.

    ``keys`` are the frames it is judged on. ``prior`` is a mask known at one of them.
    """
    proposals = [
        Proposal(name, box, tuple(predict_in_box(saliency, pictures[key], box) for key in keys))
        for name, box in _boxes(pictures, motion, keys, detector, prior)
    ]
    best: tuple[float, Proposal] | None = None
    for proposal in proposals:
        others = [other for other in proposals if other is not proposal]
        score = _score(proposal, others, motion, keys, prior)
        if score is not None and (best is None or score > best[0]):
            best = (score, proposal)
    return None if best is None else best[1]


def _score(
    proposal: Proposal,
    others: Sequence[Proposal],
    motion: ClipMotion,
    keys: Sequence[int],
    prior: tuple[int, FloatArray] | None,
) -> float | None:
    evidence = [
        Evidence.weigh(mask, motion.at(key), proposal.box).total
        for key, mask in zip(keys, proposal.masks, strict=True)
    ]
    valid = [each for each in evidence if each is not None]
    if not valid:
        return None
    score = sum(valid) - (len(evidence) - len(valid))
    score /= len(keys)
    agreement = [
        max((overlap(mask > 0.5, other.masks[k] > 0.5) for other in others), default=0.0)
        for k, mask in enumerate(proposal.masks)
    ]
    score += _AGREEMENT * float(np.mean(agreement)) + _WHOLE * (proposal.name == "whole")
    if prior is not None and prior[0] in keys:
        same = proposal.masks[list(keys).index(prior[0])] > 0.5
        score += _PRIOR * overlap(same, prior[1] > 0.5)
    return score


def _boxes(
    pictures: ByteArray,
    motion: ClipMotion,
    keys: Sequence[int],
    detector: ObjectDetector | None,
    prior: tuple[int, FloatArray] | None,
) -> list[tuple[str, Box]]:
    height, width = pictures.shape[1:3]
    whole = Box(0, 0, width, height)
    boxes = [("whole", whole)]
    moving = _motion_box(motion, keys)
    if moving is not None:
        boxes.append(("motion", grow(moving, width, height, 0.35, 0.5)))
    for k, left in enumerate((0.0, (width - height) / 2, float(width - height))):
        if width > height:
            boxes.append((f"part {k}", Box(int(left), 0, int(left) + height, height)))
    known = None if prior is None else mask_box(prior[1])
    if known is not None:
        boxes.append(("before", grow(known, width, height, 0.3, 0.4)))
    if detector is not None:
        found = detector.detect(pictures[keys[len(keys) // 2]])
        sized = [
            each
            for each in found
            if each.score >= _MIN_SCORE and 0.01 < each.box.area / whole.area < 0.6
        ]
        sized.sort(key=lambda each: -each.score * np.sqrt(each.box.area))
        for each in sized[:_DETECTIONS]:
            boxes.append((each.label, grow(each.box, width, height, 0.3, 0.4)))
    return [
        (name, box)
        for name, box in boxes
        if min(box.right - box.left, box.bottom - box.top) >= _MIN_SIDE
        and (name == "whole" or box != whole)
    ]


def _motion_box(motion: ClipMotion, keys: Sequence[int]) -> Box | None:
    frames = [motion.at(key) for key in keys]
    moving = np.mean([each.independent * each.texture for each in frames], 0)
    smooth = blur(moving.astype(np.float32), 3.0)
    return mask_box(smooth / (1e-6 + float(smooth.max())), 0.35)
