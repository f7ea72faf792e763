"""The masks of one subject over a shot, window by window, so that any length fits into memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray, dilate
from layert2v_engine.decompose.motion import warp
from layert2v_engine.decompose.protocols import ObjectDetector, SaliencyNetwork
from layert2v_engine.decompose.shots import split_windows
from layert2v_engine.decompose.subjects.evidence import ClipMotion
from layert2v_engine.decompose.subjects.hints import FrameHints, SubjectHints
from layert2v_engine.decompose.subjects.proposals import Proposal, propose
from layert2v_engine.decompose.subjects.regions import (
    grow,
    keep_main_parts,
    mask_box,
    overlap,
    predict_in_box,
)
from layert2v_engine.decompose.subjects.seeds import seed_mask
from layert2v_engine.decompose.subjects.words import WordMatcher
from layert2v_engine.errors import FootageError

WINDOW, OVERLAP = 12, 1
_KEYS = 3
_ZOOM_SHARE = 0.8  # a zoomed box that is hardly smaller shows nothing new
_ZOOMED = 0.65  # weight of what the network sees close up
_COLOR_MATCH = 20.0  # of 255: pixels of neighbors count less, the more their colors differ
_NEIGHBOR = 0.5


class SubjectFinder:
    """Finds and follows subjects with two small networks and optical flow."""

    def __init__(self, saliency: SaliencyNetwork, detector: ObjectDetector | None) -> None:
        self._saliency, self._detector = saliency, detector

    def find(
        self,
        pictures: ByteArray,
        hints: SubjectHints,
        masks: FloatArray,
        on_frames: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Write the subject of a shot ``[T, h, w, 3]`` into ``masks`` ``[T, h, w]``, 0..1.

        ``on_frames`` is told how many frames are done, and may raise to stop. Raises
        ``FootageError`` where no subject is found.
        """
        if hints.words and not hints.frames:
            hints = self._see(pictures, hints)
        if hints.frames:
            self._follow(pictures, hints, masks, on_frames)
            return
        prior: FloatArray | None = None
        for window in split_windows(len(pictures), WINDOW, OVERLAP):
            part = np.asarray(pictures[window.start : window.end])
            found = self._find_window(part, prior)
            if found is not None:
                skipped = 0 if window.start == 0 else OVERLAP
                masks[window.start + skipped : window.end] = found[skipped:]
                prior = found[-1]
            on_frames(window.end)
        if float(np.max([mask.max() for mask in masks])) < 0.5:
            raise _not_found()

    def _see(self, pictures: ByteArray, hints: SubjectHints) -> SubjectHints:
        """Return hints with boxes where the words of an artist were recognized."""
        if self._detector is None:
            raise _not_found()
        found = WordMatcher(self._detector).find(pictures, hints.words)
        frames = {each.frame: FrameHints(boxes=(each.box,)) for each in found}
        return replace(hints, frames=frames)

    def _find_window(self, pictures: ByteArray, prior: FloatArray | None) -> FloatArray | None:
        motion = ClipMotion(pictures)
        last = len(pictures) - 1
        keys = sorted({round(k * last / (_KEYS - 1)) for k in range(_KEYS)})
        known = None if prior is None else (0, prior)
        best = propose(pictures, motion, keys, self._saliency, self._detector, known)
        if best is None:
            return None
        masks = self._zoom(pictures, motion, best, keys)
        return np.stack([keep_main_parts(mask) for mask in smooth(masks, pictures, motion)])

    def _zoom(
        self, pictures: ByteArray, motion: ClipMotion, best: Proposal, keys: list[int]
    ) -> FloatArray:
        """Return the masks of a proposal, each seen again close up in a box that follows it."""
        height, width = pictures.shape[1:3]
        known = dict(zip(keys, best.masks, strict=True))
        masks: list[FloatArray] = []
        for frame, picture in enumerate(pictures):
            mask = known.get(frame)
            if mask is None:
                mask = predict_in_box(self._saliency, picture, best.box)
            expected = mask
            if masks:
                expected = 0.5 * mask + 0.5 * warp(masks[-1], motion.flow(frame, frame - 1))
            box = mask_box(keep_main_parts(expected))
            close = None if box is None else grow(box, width, height, 0.22, 0.4)
            if close is not None and close.area <= _ZOOM_SHARE * best.box.area:
                zoomed = predict_in_box(self._saliency, picture, close)
                mask = (1 - _ZOOMED) * mask + _ZOOMED * zoomed
            masks.append(mask)
        return np.stack(masks)

    def _follow(
        self,
        pictures: ByteArray,
        hints: SubjectHints,
        masks: FloatArray,
        on_frames: Callable[[int], None],
    ) -> None:
        """Carry what is known on hinted frames to all others, each from its nearest hint."""
        hinted = sorted(hints.frames)
        for frame in hinted:
            masks[frame] = seed_mask(pictures[frame], hints.frames[frame], self._saliency)
        done = len(hinted)
        for frame, source in _order(len(pictures), hinted):
            masks[frame] = self._step(pictures[[source, frame]], masks[source])
            done += 1
            on_frames(done)

    def _step(self, pair: ByteArray, mask: FloatArray) -> FloatArray:
        """Return the mask of the second picture from that of the first."""
        height, width = mask.shape
        moved = warp(mask, ClipMotion(pair).flow(1, 0))
        box = mask_box(moved)
        if box is None:
            return moved
        near = dilate(moved > 0.3, max(2, round(0.02 * width)))
        close = grow(box, width, height, 0.22, 0.4)
        seen = predict_in_box(self._saliency, pair[1], close) * near
        if overlap(seen > 0.5, moved > 0.5) < 0.5:
            return moved  # the network sees something else
        return keep_main_parts((1 - _ZOOMED) * moved + _ZOOMED * seen)


def smooth(masks: FloatArray, pictures: ByteArray, motion: ClipMotion) -> FloatArray:
    """Return masks averaged with those of their neighbors along the flow, where colors agree."""
    smoothed = []
    for frame, mask in enumerate(masks):
        total, weight = mask.copy(), np.ones_like(mask)
        for other in (frame - 1, frame + 1):
            if 0 <= other < len(masks):
                flow = motion.flow(frame, other)
                color = warp(pictures[other].astype(np.float32), flow)
                error = np.abs(color - pictures[frame]).max(-1) / _COLOR_MATCH
                share = _NEIGHBOR * np.exp(-(error**2))
                total += share * warp(masks[other], flow)
                weight += share
        smoothed.append((total / weight).astype(np.float32))
    return np.stack(smoothed)


def _order(count: int, hinted: list[int]) -> list[tuple[int, int]]:
    """Return every frame without a hint with the neighbor that it is made from."""
    nearest = [min(hinted, key=lambda hint: abs(hint - frame)) for frame in range(count)]
    steps = [(frame, frame - 1) for frame in range(count) if frame > nearest[frame]]
    back = [(frame, frame + 1) for frame in range(count) if frame < nearest[frame]]
    return steps + back[::-1]


def _not_found() -> FootageError:
    return FootageError(
        "No subject was found in the footage.",
        "Show it with --box or --point on a frame, or give a matte.",
        reason="SUBJECT_NOT_FOUND",
    )
