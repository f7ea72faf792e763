"""What a detector of objects and optical flow say against a sample and its captions, offline.

Knows the kinds that the detector knows, and headings; of any other word of a caption nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from layert2v_engine.decompose.motion import optical_flow, to_gray
from layert2v_engine.decompose.protocols import Box, Detection, ObjectDetector
from layert2v_engine.vidlayer.readers.sample import LayeredSample
from layert2v_engine.vidlayer.still_parts import still_share
from layert2v_engine.vidlayer.template import SLOW, captions_by_template

_LOOKS = 3  # pictures that the detector sees
_SAME_PLACE = 0.3  # overlap of a detection with the subject, intersection over union
_SAME_BOX, _KNOWN = 0.85, 0.5  # overlap and score of a detection that is all of the matte
_SURE = 0.6  # score from which another kind speaks against a caption
_FLOW_HEIGHT = 128
_HEADINGS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_HEADING = re.compile(r"\bmov\w+ (?:to the )?(left|right|up|down)(?:wards?)?\b")


def recognize(
    sample: LayeredSample, detector: ObjectDetector, *, by_template: bool
) -> dict[str, float]:
    """Return what is seen of a subject that should be gone, and what speaks against its caption.

    Of the topmost foreground. ``subject_seen_again`` is a score of the detector, 0..1;
    ``caption_conflicts`` a number of statements; ``background_inside_share`` as ``still_share``, 0
    where the detector sees one thing in just the matte's box. by_template: the caption is a
    template's, so it has to be what the template says of these layers.
    """
    before, after = look_at(sample, detector), look_at(sample, detector, is_full=False)
    seen = [each for look in before for each in look]
    again = [each for look in after for each in look]
    kinds = {each.label for each in seen}
    caption = sample.files.foregrounds[-1].caption
    motion = subject_motion(sample)
    if by_template:
        conflicts = int(captions_by_template(before, motion)["foreground_caption"] != caption)
    else:
        conflicts = _names_another_kind(caption.lower(), seen, detector.labels)
        conflicts += _names_another_heading(caption.lower(), motion)
    return {
        "subject_seen_again": max(
            (each.score for each in again if each.label in kinds), default=0.0
        ),
        "caption_conflicts": float(conflicts),
        "background_inside_share": 0.0 if _has_same_box(sample, seen) else _still_share(sample),
    }


def describe(sample: LayeredSample, detector: ObjectDetector) -> dict[str, str]:
    """Return subject and captions of a cut clip by template."""
    return captions_by_template(look_at(sample, detector), subject_motion(sample))


def look_at(
    sample: LayeredSample, detector: ObjectDetector, *, is_full: bool = True
) -> list[list[Detection]]:
    """Return what is detected where the subject is, in up to three pictures of the full video.

    Or of the background.
    """
    cover = sample.foregrounds[-1].matte[:, 0].numpy()
    looks = []
    for t in sorted({round(t) for t in np.linspace(0, len(cover) - 1, _LOOKS)}):
        box = _box_of(cover[t])
        if box is not None:
            found = detector.detect(_picture(sample, t, is_full=is_full))
            looks.append([each for each in found if _overlap(each.box, box) >= _SAME_PLACE])
    return looks


def _has_same_box(sample: LayeredSample, seen: Sequence[Detection]) -> bool:
    boxes = [_box_of(each.numpy()) for each in sample.foregrounds[-1].matte[:, 0]]
    return any(
        each.score >= _KNOWN and _overlap(each.box, box) >= _SAME_BOX
        for each in seen
        for box in boxes
        if box is not None
    )


def _still_share(sample: LayeredSample) -> float:
    full = np.asarray(sample.full.movedim(1, -1).numpy(), np.float32)
    return still_share(full, np.asarray(sample.foregrounds[-1].matte[:, 0].numpy(), np.float32))


def _names_another_kind(caption: str, seen: Sequence[Detection], labels: Sequence[str]) -> bool:
    named = {label for label in labels if re.search(rf"\b{re.escape(label)}s?\b", caption)}
    if not named or any(each.label in named for each in seen):
        return False
    return any(each.score >= _SURE for each in seen)


def _names_another_heading(caption: str, motion: tuple[float, float]) -> bool:
    """Tell whether a caption says of a subject that moves that it goes elsewhere."""
    found = _HEADING.search(caption)
    if found is None:
        return False
    stated = _HEADINGS[found[1]]
    return motion[0] * stated[0] + motion[1] * stated[1] < -SLOW


def subject_motion(sample: LayeredSample) -> tuple[float, float]:
    """Return how the subject moves as seen from the background, in shares of the height per frame.

    To the right and down; the mean of up to three pairs of frames.
    """
    cover = sample.foregrounds[-1].matte[:, 0].numpy()
    if len(cover) < 2:
        return 0.0, 0.0
    height, width = cover.shape[1:]
    size = (max(16, round(width * _FLOW_HEIGHT / height)), _FLOW_HEIGHT)
    moves = []
    for t in sorted({round(t) for t in np.linspace(0, len(cover) - 2, _LOOKS)}):
        grays = [
            to_gray(np.asarray(cv2.resize(_picture(sample, k, is_full=True), size), np.uint8))
            for k in (t, t + 1)
        ]
        inside = cv2.resize(cover[t], size, interpolation=cv2.INTER_AREA) > 0.5
        if inside.any() and not inside.all():
            flow = optical_flow(*grays)
            moves.append(flow[inside].mean(0) - np.median(flow[~inside], 0))
    if not moves:
        return 0.0, 0.0
    x, y = np.mean(moves, 0) / _FLOW_HEIGHT
    return float(x), float(y)


def _overlap(a: Box, b: Box) -> float:
    left, top = max(a.left, b.left), max(a.top, b.top)
    common = Box(left, top, min(a.right, b.right), min(a.bottom, b.bottom))
    both = common.area if common.right > left and common.bottom > top else 0.0
    return both / max(a.area + b.area - both, 1e-6)


def _box_of(matte: NDArray[np.float32]) -> Box | None:
    rows, columns = (np.flatnonzero((matte > 0.5).any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _picture(sample: LayeredSample, t: int, *, is_full: bool) -> NDArray[np.uint8]:
    shown = (sample.full if is_full else sample.background)[t].movedim(0, -1).numpy()
    return np.ascontiguousarray((shown.clip(0, 1) * 255).round().astype(np.uint8))
