"""The masks of one subject over a shot, window by window, so that any length fits into memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray, Frames, dilate
from layert2v_engine.decompose.motion import warp
from layert2v_engine.decompose.protocols import ObjectDetector, SaliencyNetwork
from layert2v_engine.decompose.shots import Window, split_windows
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
from layert2v_engine.decompose.subjects.seeds import apply_marks, limit_to_boxes, seed_mask
from layert2v_engine.decompose.subjects.words import WordMatcher
from layert2v_engine.errors import FootageError

WINDOW, OVERLAP = 12, 1
_KEYS = 3
_ZOOM_SHARE = 0.8  # a zoomed box that is hardly smaller shows nothing new
_ZOOMED = 0.65  # weight of what the network sees close up
_COLOR_MATCH = 20.0  # of 255: pixels of neighbors count less, the more their colors differ
_NEIGHBOR = 0.5
_SAME = 0.5  # intersection over union of two masks of one subject


class SubjectFinder:
    """Finds and follows subjects with two small networks and optical flow."""

    def __init__(self, saliency: SaliencyNetwork, detector: ObjectDetector | None) -> None:
        self._saliency, self._detector = saliency, detector

    def find(
        self,
        pictures: Frames,
        hints: SubjectHints,
        masks: Frames,
        on_frames: Callable[[int], None] = lambda count: None,
        on_first: Callable[[FloatArray], None] = lambda mask: None,
    ) -> None:
        """Write the subject of a shot ``[T, h, w, 3]`` into ``masks`` ``[T, h, w]``, 0..1.

        ``on_frames`` is told how many frames are done, and may raise to stop; ``on_first`` gets a
        first mask of one frame, long before that. Raises ``FootageError`` where no subject is
        found.
        """
        if hints.words and not hints.frames:
            hints = self._see(pictures, hints)
        seeds = {
            frame: seed_mask(np.asarray(pictures[frame]), shown, self._saliency)
            for frame, shown in hints.frames.items()
        }
        for seed in list(seeds.values())[:1]:
            on_first(seed)
        done = 0
        for window, frame in _plan_windows(len(pictures), sorted(seeds)):
            part = np.asarray(pictures[window.start : window.end])
            prior = None
            if frame is not None:
                known = seeds.get(frame, np.array(masks[frame]))
                prior = (frame - window.start, known) if float(known.max()) > 0.5 else None
            found = self._find_window(part, prior, on_first)
            if found is not None:
                _write(masks, window, found, None if frame in seeds else frame)
            done += window.end - window.start
            on_frames(min(done, len(pictures)))
        for frame, seed in seeds.items():
            masks[frame] = _combine(np.array(masks[frame]), seed, hints.frames[frame])
        if float(np.max([mask.max() for mask in masks])) < 0.5:
            raise _not_found()

    def _see(self, pictures: Frames, hints: SubjectHints) -> SubjectHints:
        """Return hints with boxes where the words of an artist were recognized."""
        if self._detector is None:
            raise _not_found()
        found = WordMatcher(self._detector).find(pictures, hints.words)
        frames = {each.frame: FrameHints(boxes=(each.box,)) for each in found}
        return replace(hints, frames=frames)

    def _find_window(
        self,
        pictures: ByteArray,
        prior: tuple[int, FloatArray] | None,
        on_first: Callable[[FloatArray], None],
    ) -> FloatArray | None:
        """Return the masks of a window, None where nothing is found.

        ``prior`` is a mask that is known at one of its frames. What does not agree with it is
        something else; then it is carried on along the flow.
        """
        motion = ClipMotion(pictures)
        last = len(pictures) - 1
        keys = {round(k * last / (_KEYS - 1)) for k in range(_KEYS)}
        keys |= set() if prior is None else {prior[0]}
        best = propose(pictures, motion, sorted(keys), self._saliency, self._detector, prior)
        if best is not None:
            on_first(best.masks[0])
            masks = self._zoom(pictures, motion, best, sorted(keys))
            found = np.stack([keep_main_parts(mask) for mask in smooth(masks, pictures, motion)])
            if prior is None or overlap(found[prior[0]] > 0.5, prior[1] > 0.5) > _SAME:
                return found
        return None if prior is None else self._follow(pictures, *prior)

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

    def _follow(self, pictures: ByteArray, frame: int, mask: FloatArray) -> FloatArray:
        """Return the mask of one frame carried on to all others, both ways."""
        masks = {frame: mask}
        for k in range(frame + 1, len(pictures)):
            masks[k] = self._step(pictures[[k - 1, k]], masks[k - 1])
        for k in range(frame - 1, -1, -1):
            masks[k] = self._step(pictures[[k + 1, k]], masks[k + 1])
        return np.stack([masks[k] for k in range(len(pictures))])

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


def _plan_windows(count: int, hinted: list[int]) -> list[tuple[Window, int | None]]:
    """Return windows in the order of work, each with a frame whose mask is known by then.

    Windows with hints come first, then their neighbors, which share a frame with them. Without
    hints nothing is known in the first.
    """
    windows = list(split_windows(count, WINDOW, OVERLAP))
    shown = [next((h for h in hinted if w.start <= h < w.end), None) for w in windows]
    known = [k for k, frame in enumerate(shown) if frame is not None] or [0]
    order = sorted(range(len(windows)), key=lambda k: (min(abs(k - each) for each in known), k))
    plan: list[tuple[Window, int | None]] = []
    for k in order:
        nearest = min(known, key=lambda each: abs(each - k))
        frame = shown[k]
        if frame is None and k != nearest:
            frame = windows[k].start if k > nearest else windows[k].end - 1
        plan.append((windows[k], frame))
    return plan


def _write(masks: Frames, window: Window, found: FloatArray, shared: int | None) -> None:
    """Put the masks of a window in place, but not that of the frame it has from its neighbor."""
    for k, mask in enumerate(found):
        if window.start + k != shared:
            masks[window.start + k] = mask


def _combine(found: FloatArray, seed: FloatArray, hints: FrameHints) -> FloatArray:
    """Return the mask of a hinted frame: what was shown has the last word."""
    if hints.mask is not None:
        return hints.mask
    found = limit_to_boxes(found, hints)
    is_same = overlap(found > 0.5, seed > 0.5) > _SAME
    return apply_marks(np.asarray((found + seed) / 2, np.float32) if is_same else seed, hints)


def _not_found() -> FootageError:
    return FootageError(
        "No subject was found in the footage.",
        "Show it with --box or --point on a frame, or give a matte.",
        reason="SUBJECT_NOT_FOUND",
    )
