"""The masks of one subject over a shot, window by window, so that any length fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from layert2v_engine.decompose.arrays import ByteArray, FloatArray, Frames, WritableFrames
from layert2v_engine.decompose.protocols import ObjectDetector, SaliencyNetwork
from layert2v_engine.decompose.shots import Window, split_windows
from layert2v_engine.decompose.subjects.evidence import ClipMotion
from layert2v_engine.decompose.subjects.hints import FrameHints, SubjectHints
from layert2v_engine.decompose.subjects.proposals import Proposal, propose
from layert2v_engine.decompose.subjects.regions import (
    SeenMask,
    average,
    keep_main_parts,
    overlap,
)
from layert2v_engine.decompose.subjects.seeds import (
    apply_marks,
    is_obeyed,
    limit_to_boxes,
    seed_mask,
)
from layert2v_engine.decompose.subjects.tracking import SubjectTracker
from layert2v_engine.decompose.subjects.words import WordMatcher
from layert2v_engine.errors import FootageError

WINDOW, OVERLAP = 12, 1
_KEYS = 3
_SAME = 0.5  # intersection over union of two masks of one subject
_AGREED = 0.6  # of two masks that are averaged
_WORSE = 0.3  # scores of key frames that are as good as the best


class SubjectFinder:
    """Finds and follows subjects with two small networks and optical flow."""

    def __init__(self, saliency: SaliencyNetwork, detector: ObjectDetector | None) -> None:
        self._saliency, self._detector = saliency, detector

    def find(
        self,
        pictures: Frames,
        hints: SubjectHints,
        masks: WritableFrames,
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
        shown = {k: each for k, each in hints.frames.items() if each.is_outlined}
        marks = {k: each for k, each in hints.frames.items() if not each.is_outlined}
        if not shown:  # points alone have to do
            shown, marks = {k: each for k, each in marks.items() if each.inside}, {}
        seeds = {
            frame: seed_mask(np.asarray(pictures[frame]), each, self._saliency)
            for frame, each in shown.items()
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
            near = {k - window.start: each for k, each in marks.items()}
            near = {k: each for k, each in near.items() if 0 <= k < len(part)}
            found = self._find_window(part, prior, near, on_first)
            if found is not None:
                _write(masks, window, found, None if frame in seeds else frame)
            done += window.end - window.start
            on_frames(min(done, len(pictures)))
        for frame, seed in seeds.items():
            masks[frame] = _combine(np.array(masks[frame]), seed, hints.frames[frame])
        for frame, marked in marks.items():
            masks[frame] = apply_marks(np.array(masks[frame]), marked)
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
        marks: Mapping[int, FrameHints],
        on_first: Callable[[FloatArray], None],
    ) -> FloatArray | None:
        """Return the masks of a window, None where nothing is found.

        ``prior`` is a mask that is known at one of its frames. Proposals that agree with it there
        help to follow it; ``marks`` are points that the masks of their frames must obey.
        """
        motion = ClipMotion(pictures)
        tracker = SubjectTracker(pictures, motion, self._saliency)
        last = len(pictures) - 1
        keys = {round(k * last / (_KEYS - 1)) for k in range(_KEYS)}
        keys |= set() if prior is None else {prior[0]}
        order = sorted(keys)
        proposals = propose(pictures, motion, order, self._saliency, self._detector, prior)
        anchors = _anchors(proposals, order, prior) if proposals else {}
        if prior is None and anchors:
            on_first(next(iter(anchors.values())).mask)
        known = {key: tracker.look_closely(key, seen) for key, seen in anchors.items()}
        known |= {} if prior is None else dict([prior])
        if not known:
            return None
        candidates = {key: [each.seen[k] for each in proposals] for k, key in enumerate(order)}
        masks = tracker.follow(known, candidates)
        corrected = self._correct(pictures, masks, marks)
        if corrected:
            known = corrected if prior is None else dict([prior]) | corrected
            masks = tracker.follow(known, candidates)
        return np.stack([keep_main_parts(mask) for mask in tracker.smooth(masks)])

    def _correct(
        self, pictures: ByteArray, masks: FloatArray, marks: Mapping[int, FrameHints]
    ) -> dict[int, FloatArray]:
        """Return other masks for the frames on which those found do not fit the points."""
        corrected = {}
        for frame, hints in marks.items():
            if not is_obeyed(masks[frame], hints):
                seed = seed_mask(pictures[frame], hints, self._saliency, masks[frame])
                fits = is_obeyed(seed, hints)
                corrected[frame] = seed if fits else apply_marks(masks[frame], hints)
        return corrected


def _anchors(
    proposals: Sequence[Proposal], keys: Sequence[int], prior: tuple[int, FloatArray] | None
) -> dict[int, SeenMask]:
    """Return the masks of the key frames on which the best proposal is about as good as it gets.

    Other proposals that agree are averaged into them. Nothing where the best one is something
    else than ``prior``.
    """
    best = proposals[0]
    if prior is not None:
        at_prior = best.seen[list(keys).index(prior[0])].mask
        if overlap(at_prior > 0.5, prior[1] > 0.5) < _SAME:
            return {}
    least = max(each for each in best.scores if each is not None) - _WORSE
    found = {}
    for k, (key, score) in enumerate(zip(keys, best.scores, strict=True)):
        if score is not None and score >= least:
            mask, box = best.seen[k]
            others = [each.seen[k] for each in proposals[1:]]
            agreeing = [each for each in others if overlap(each.mask > 0.5, mask > 0.5) > _AGREED]
            found[key] = SeenMask(average(mask, agreeing), box)
    return found


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


def _write(masks: WritableFrames, window: Window, found: FloatArray, shared: int | None) -> None:
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
