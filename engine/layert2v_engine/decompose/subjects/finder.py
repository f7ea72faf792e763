"""The masks of one subject over a shot, window by window, so that any length fits into memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from layert2v_engine.decompose.arrays import FloatArray, Frames, WritableFrames
from layert2v_engine.decompose.networks.remembered import RememberedDetector, RememberedSaliency
from layert2v_engine.decompose.protocols import ObjectDetector, SaliencyNetwork
from layert2v_engine.decompose.shots import Window, split_windows
from layert2v_engine.decompose.subjects.clicks import Click, ClickFollower, is_lost, read_clicks
from layert2v_engine.decompose.subjects.difference import draw_to_difference
from layert2v_engine.decompose.subjects.evidence import ClipMotion
from layert2v_engine.decompose.subjects.hints import FrameHints, SubjectHints
from layert2v_engine.decompose.subjects.proposals import MOVING, Proposal, propose
from layert2v_engine.decompose.subjects.regions import SeenMask, keep_main_parts, overlap
from layert2v_engine.decompose.subjects.seeds import (
    apply_strokes,
    box_fit,
    limit_to_boxes,
    seed_mask,
)
from layert2v_engine.decompose.subjects.tracking import SubjectTracker
from layert2v_engine.decompose.subjects.words import WordMatcher
from layert2v_engine.errors import FootageError

WINDOW, OVERLAP = 12, 1
_KEYS = 3
_SAME = 0.5  # intersection over union of two masks of one subject
_WORSE = 0.3  # scores of key frames that are as good as the best
_STEADY = 0.8  # the same, where all of them show the subject
_DRAWN = 0.96  # overlap with a mask that was not drawn anew
_SMOOTHED = 3  # times: masks as steady as what they are of
_FITS = 0.7  # overlap with the box of a mask that an artist's box has led to
_WITHIN, _FIT_LOSS = 0.97, 0.03  # of a mask found without a box, if it is to count instead


class _Shown(NamedTuple):
    """What an artist has shown of a subject on a frame, and the mask ``[h, w]`` it led to."""

    seed: FloatArray
    hints: FrameHints


class SubjectFinder:
    """Finds and follows subjects with two small networks and optical flow."""

    def __init__(self, saliency: SaliencyNetwork, detector: ObjectDetector | None) -> None:
        self._saliency = RememberedSaliency(saliency)
        self._detector = None if detector is None else RememberedDetector(detector)

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
        if hints.words and not any(each.is_shown for each in hints.frames.values()):
            hints = self._see(pictures, hints)
        shown = {k: each for k, each in hints.frames.items() if each.is_outlined}
        marks = {k: each for k, each in hints.frames.items() if not each.is_outlined}
        if not shown:  # points alone have to do
            shown = {k: each for k, each in marks.items() if each.inside}
            marks = {k: each for k, each in marks.items() if not each.inside}
        seeds = {
            frame: seed_mask(
                np.asarray(pictures[frame]),
                each,
                self._saliency,
                moving=_find_moving(pictures, frame) if each.boxes else None,
            )
            for frame, each in shown.items()
        }
        for seed in list(seeds.values())[:1]:
            on_first(seed)
        exact = [frame for frame, each in shown.items() if each.mask is not None]
        done = 0
        for window, frames in _plan_windows(len(pictures), sorted(seeds), exact):
            part = np.asarray(pictures[window.start : window.end])
            known = {k: seeds.get(k, np.array(masks[k])) for k in frames}
            priors = {k - window.start: m for k, m in known.items() if float(m.max()) > 0.5}
            near = {k - window.start: each for k, each in marks.items()}
            near = {k: each for k, each in near.items() if 0 <= k < len(part)}
            seen = {k - window.start: _Shown(seeds[k], shown[k]) for k in sorted(seeds)}
            seen = {k: each for k, each in seen.items() if 0 <= k < len(part)}
            found = self._find_shown(ClipMotion(part), priors, near, on_first, seen)
            if found is not None:
                _write(masks, window, found, [k for k in frames if k not in seeds])
            done += window.end - window.start
            on_frames(min(done, len(pictures)))
        for frame, seed in seeds.items():
            masks[frame] = _obey(np.array(masks[frame]), seed, shown[frame])
        if float(np.max([mask.max() for mask in masks])) < 0.5:
            raise _not_found()

    def _find_shown(
        self,
        motion: ClipMotion,
        priors: Mapping[int, FloatArray],
        marks: Mapping[int, FrameHints],
        on_first: Callable[[FloatArray], None],
        shown: Mapping[int, _Shown],
    ) -> FloatArray | None:
        """Return what ``_find_window`` does, drawn to the difference from the background.

        A box whose content no view, color or motion tells must not lead to less than none at all:
        what is found without it counts if it fills it more, and as much as what is found
        with it where the difference tells how either is wrong. Where it obeys all that was shown,
        it is taken.
        """
        found = self._find_window(motion, priors, marks, on_first, shown)
        if found is None:
            return None
        boxed = [k for k, each in shown.items() if each.hints.boxes and k in priors][:1]
        alone = self._find_window(motion, {}, marks, on_first) if boxed else None
        if alone is None:
            return self._draw(motion, _combine_all(found, shown))
        place = boxed[0]
        seed, hints = shown[place]
        free = self._draw(motion, alone)
        is_poor = box_fit(seed, hints) < _FITS
        if is_poor and box_fit(alone[place], hints) > box_fit(found[place], hints):
            found = alone
        found = _combine_all(found, shown)
        drawn = draw_to_difference(motion.pictures, found)
        is_moved = not is_poor and _overlap_of_all(found, drawn) < _DRAWN
        if is_moved and _overlap_of_all(found, alone) > _SAME:
            alone[place] = limit_to_boxes(alone[place], hints)
            both = np.asarray((found + alone) / 2, np.float32)
            drawn = draw_to_difference(motion.pictures, both)
        drawn = self._smooth(motion, drawn)
        return free if _is_as_shown(free, drawn, shown, marks) else drawn

    def _draw(self, motion: ClipMotion, masks: FloatArray) -> FloatArray:
        """Return the masks of a window drawn to the difference, as steady as what they are of."""
        return self._smooth(motion, draw_to_difference(motion.pictures, masks))

    def _smooth(self, motion: ClipMotion, masks: FloatArray) -> FloatArray:
        tracker = SubjectTracker(motion.pictures, motion, self._saliency)
        for _ in range(_SMOOTHED):
            masks = tracker.smooth(masks)
        return masks

    def _see(self, pictures: Frames, hints: SubjectHints) -> SubjectHints:
        """Return hints with boxes where the words of an artist were recognized."""
        if self._detector is None:
            raise _not_found()
        found = WordMatcher(self._detector).find(pictures, hints.words)
        frames = dict(hints.frames)
        for each in found:
            frames[each.frame] = replace(frames.get(each.frame, FrameHints()), boxes=(each.box,))
        return replace(hints, frames=frames)

    def _find_window(
        self,
        motion: ClipMotion,
        priors: Mapping[int, FloatArray],
        marks: Mapping[int, FrameHints],
        on_first: Callable[[FloatArray], None],
        shown: Mapping[int, _Shown] = MappingProxyType({}),
    ) -> FloatArray | None:
        """Return the masks of a window, None where nothing is found.

        ``priors`` are masks that are known on some of its frames, the surest first. Proposals that
        agree with that one help to follow it; between two of them it is followed from both. Where
        what is found is far from ``marks``, points of other frames, or is something else than what
        was ``shown`` on a frame beside the first, that is followed as well.
        """
        pictures = motion.pictures
        tracker = SubjectTracker(pictures, motion, self._saliency)
        last = len(pictures) - 1
        prior = next(iter(priors.items()), None)
        keys = {round(k * last / (_KEYS - 1)) for k in range(_KEYS)}
        keys |= set() if prior is None else {prior[0]}
        order = sorted(keys)
        proposals = propose(pictures, motion, order, self._saliency, self._detector, prior)
        steady = {} if len(priors) > 1 else _steady_views(proposals, order, prior)
        candidates = {key: [each.seen[k] for each in proposals] for k, key in enumerate(order)}
        if steady:
            if prior is None:
                on_first(next(iter(steady.values())).mask)
            masks = tracker.look_everywhere(steady)
            masks = masks if prior is None else tracker.keep_near(masks, *prior)
        elif len(priors) > 1:
            masks = tracker.follow_between(priors, candidates)
        else:
            known = _known_masks(proposals, order, prior, tracker, motion)
            if not known:
                return None
            if prior is None:
                on_first(next(iter(known.values())))
            masks = tracker.follow(known, candidates)
        corrected = _find_missed(masks, {k: each for k, each in shown.items() if k not in priors})
        corrected |= {
            frame: seed_mask(pictures[frame], hints, self._saliency, masks[frame])
            for frame, hints in marks.items()
            if is_lost(masks[frame], hints)
        }
        if corrected:
            masks = tracker.follow({**priors, **corrected}, candidates)
        return np.stack([keep_main_parts(mask) for mask in tracker.smooth(masks)])


def _find_missed(masks: FloatArray, shown: Mapping[int, _Shown]) -> dict[int, FloatArray]:
    """Return the masks that were shown on frames where those found do not fill the boxes."""
    fits = {k: box_fit(masks[k], each.hints) for k, each in shown.items()}
    return {
        k: each.seed
        for k, each in shown.items()
        if fits[k] < min(_FITS, box_fit(each.seed, each.hints))
    }


def _steady_views(
    proposals: Sequence[Proposal], keys: Sequence[int], prior: tuple[int, FloatArray] | None
) -> dict[int, SeenMask]:
    """Return the best proposal's masks if it is about as good on all key frames, else nothing.

    Nothing either where it is something else than ``prior``, or was cut out because it moves:
    saliency would not find that again.
    """
    if not proposals or proposals[0].name == MOVING or not _agrees(proposals[0], keys, prior):
        return {}
    best = proposals[0]
    scores = [each for each in best.scores if each is not None]
    if len(scores) < len(keys) or max(scores) - min(scores) > _STEADY:
        return {}
    return dict(zip(keys, best.seen, strict=True))


def _known_masks(
    proposals: Sequence[Proposal],
    keys: Sequence[int],
    prior: tuple[int, FloatArray] | None,
    tracker: SubjectTracker,
    motion: ClipMotion,
) -> dict[int, FloatArray]:
    """Return ``prior`` and the best proposal's masks where they are sure enough to follow.

    These are the key frames on which it is about as good as it gets, and those to which the flow
    from them leads to the same. Nothing of it where it is something else than ``prior``.
    """
    known = {} if prior is None else dict([prior])
    if not proposals or not _agrees(proposals[0], keys, prior):
        return known
    best = proposals[0]
    least = max(each for each in best.scores if each is not None) - _WORSE
    rated = list(zip(keys, best.seen, best.scores, strict=True))
    surest = {key: seen for key, seen, score in rated if score is not None and score >= least}
    sure = {key: seen.mask for key, seen in surest.items()} | known
    for key, seen, score in rated:
        if score is not None and key not in surest and _is_same(key, seen, sure, motion):
            surest[key] = seen
    is_cut = best.name == MOVING  # what was cut out seldom stands out
    for key, seen in surest.items():
        found = seen.mask if is_cut else tracker.look_closely(key, seen)
        known.setdefault(key, found)
    return known


def _agrees(proposal: Proposal, keys: Sequence[int], prior: tuple[int, FloatArray] | None) -> bool:
    if prior is None:
        return True
    mask = proposal.seen[list(keys).index(prior[0])].mask
    return overlap(mask > 0.5, prior[1] > 0.5) > _SAME


def _is_same(key: int, seen: SeenMask, sure: Mapping[int, FloatArray], motion: ClipMotion) -> bool:
    """Tell whether a mask shows what is known on other frames, by the flow from the nearest."""
    nearest = min(sure, key=lambda each: abs(each - key))
    carried = motion.carry(sure[nearest], nearest, key)
    return overlap(carried > 0.5, seen.mask > 0.5) > _SAME


def _plan_windows(
    count: int, hinted: Sequence[int], exact: Sequence[int] = ()
) -> list[tuple[Window, list[int]]]:
    """Return windows in the order of work, each with frames whose masks are known by then.

    Windows with hints come first, then their neighbors, which share a frame with them. Without
    hints nothing is known in the first. All ``exact`` frames of a window are known, and where
    there are any, what its neighbors have found by then; else one frame alone.
    """
    windows = list(split_windows(count, WINDOW, OVERLAP))
    shown = [[h for h in hinted if w.start <= h < w.end] for w in windows]
    known = [k for k, frames in enumerate(shown) if frames] or [0]
    order = sorted(range(len(windows)), key=lambda k: (min(abs(k - each) for each in known), k))
    done: set[int] = set()
    plan: list[tuple[Window, list[int]]] = []
    for k in order:
        window, before, after = windows[k], k - 1 in done, k + 1 in done
        frames = [h for h in shown[k] if h in exact] or shown[k][:1]
        if exact or not frames:  # what the neighbors share with it
            sides = [window.start] * before + [window.end - 1] * after
            nearest = min(known, key=lambda each: abs(each - k))
            frames += sides if nearest < k else sides[::-1]
        plan.append((window, list(dict.fromkeys(frames if exact else frames[:1]))))
        done.add(k)
    return plan


def _write(masks: WritableFrames, window: Window, found: FloatArray, shared: Sequence[int]) -> None:
    """Put the masks of a window in place, but not those of frames it has from its neighbors."""
    for k, mask in enumerate(found):
        if window.start + k not in shared:
            masks[window.start + k] = mask


def correct_masks(
    pictures: Frames,
    masks: WritableFrames,
    hints: SubjectHints,
    turned: WritableFrames,
    on_frames: Callable[[int], None] = lambda count: None,
) -> None:
    """Correct ``masks`` ``[T, h, w]`` of a shot ``[T, h, w, 3]`` in place, as points say.

    Points are followed to the end, then to the beginning; a frame whose matte was shown stays.
    ``turned`` ``[T, h, w]`` becomes 1 where a mask does, or does no longer, show the subject.
    ``on_frames`` is told how many frames are done, and may raise to stop.
    """
    exact = {k for k, each in hints.frames.items() if each.mask is not None}
    clicks = {
        k: read_clicks(np.asarray(pictures[k]), np.asarray(masks[k]), each)
        for k, each in hints.frames.items()
        if k not in exact and (each.inside or each.outside)
    }
    for k in range(len(pictures)):
        turned[k] = 0.0
    if not clicks:
        return
    windows = list(split_windows(len(pictures), WINDOW, OVERLAP))
    for done, window in enumerate((*windows, *windows[::-1]), 1):
        motion = ClipMotion(np.asarray(pictures[window.start : window.end]))
        before = np.stack([masks[k] for k in range(window.start, window.end)])
        corrected = _correct(before, window, clicks, ClickFollower(motion))
        for k, (old, new) in enumerate(zip(before, corrected, strict=True), window.start):
            if k not in exact:
                masks[k] = new
                turned[k] = np.maximum(turned[k], (old > 0.5) != (new > 0.5))
        on_frames(done * len(pictures) // (2 * len(windows)))


def _correct(
    found: FloatArray, window: Window, clicks: dict[int, list[Click]], follower: ClickFollower
) -> FloatArray:
    """Return the masks of a window as clicks say, which its neighbors learn of."""
    near = {k - window.start: each for k, each in clicks.items() if window.start <= k < window.end}
    for end in (window.start, window.end - 1):
        carried = follower.carry_all(near, end - window.start)
        clicks[end] = clicks.get(end, []) + carried
    return follower.correct(found, near)


def _find_moving(pictures: Frames, frame: int) -> FloatArray:
    """Return what moves unlike the camera on a frame, by its neighbors, ``[h, w]`` in 0..1."""
    first = max(0, frame - 1)
    return ClipMotion(np.asarray(pictures[first : frame + 2])).at(frame - first).independent


def _combine(found: FloatArray, seed: FloatArray, hints: FrameHints) -> FloatArray:
    """Return what was found on a hinted frame together with what was shown."""
    if hints.mask is not None:
        return hints.mask
    found = limit_to_boxes(found, hints)
    is_same = overlap(found > 0.5, seed > 0.5) > _SAME
    if is_same:
        seed = np.asarray((found + seed) / 2, np.float32)
    elif box_fit(found, hints) > box_fit(seed, hints):
        seed = found
    return apply_strokes(seed, hints)


def _is_as_shown(
    free: FloatArray,
    drawn: FloatArray,
    shown: Mapping[int, _Shown],
    marks: Mapping[int, FrameHints],
) -> bool:
    """Tell whether the masks ``free`` of hints obey them about as well as ``drawn``.

    Points say which subject is meant; where one lies beside its outline, that is corrected later.
    """
    if any(is_lost(free[k], each) for k, each in marks.items()):
        return False
    for place, (_, hints) in shown.items():
        if hints.mask is not None or hints.scribble is not None:
            return False
        kept = limit_to_boxes(free[place], hints) > 0.5
        within = float(kept.sum()) / max(float((free[place] > 0.5).sum()), 1.0)
        fit = box_fit(free[place], hints) - box_fit(drawn[place], hints)
        if within < _WITHIN or fit < -_FIT_LOSS or is_lost(free[place], hints):
            return False
    return True


def _combine_all(masks: FloatArray, shown: Mapping[int, _Shown]) -> FloatArray:
    """Return the masks of a window, those of hinted frames together with what was shown."""
    combined = masks.copy()
    for place, (seed, hints) in shown.items():
        combined[place] = _combine(combined[place], seed, hints)
    return combined


def _overlap_of_all(first: FloatArray, second: FloatArray) -> float:
    """Return the mean overlap of the masks of two windows ``[T, h, w]``."""
    return float(np.mean([overlap(a > 0.5, b > 0.5) for a, b in zip(first, second, strict=True)]))


def _obey(found: FloatArray, seed: FloatArray, hints: FrameHints) -> FloatArray:
    """Return the mask of a hinted frame as it is delivered: what was shown has the last word."""
    if hints.mask is not None:
        return hints.mask
    found = limit_to_boxes(found, hints)
    return apply_strokes(found if float(found.max()) > 0.5 else seed, hints)


def _not_found() -> FootageError:
    return FootageError(
        "No subject was found in the footage.",
        "Show it with --box or --point on a frame, or give a matte.",
        reason="SUBJECT_NOT_FOUND",
    )
