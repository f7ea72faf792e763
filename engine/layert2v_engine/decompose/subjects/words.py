"""Words of an artist matched to what a detector sees, by what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from layert2v_engine.decompose.arrays import Frames
from layert2v_engine.decompose.protocols import Box, Detection, ObjectDetector
from layert2v_engine.errors import FootageError
from layert2v_engine.model.text import MiniLMTextEncoder

# Of 23 names for what COCO's labels show, 20 are this close to their label ("the lady" and "the
# person" 0.64; "the skater" has 0.47), and 1.9 % of all other pairs are; 11 % are at 0.45.
_MIN_SIMILARITY = 0.55
_LOOKS = 5  # frames, spread over the shot
_MIN_SCORE = 0.3


class Sighting(NamedTuple):
    """Where on which frame the subject was recognized."""

    frame: int
    box: Box
    label: str


class WordMatcher:
    """Finds what words mean among detections."""

    def __init__(self, detector: ObjectDetector) -> None:
        self._detector = detector

    def find(self, pictures: Frames, words: str) -> list[Sighting]:
        """Return where ``words`` are in a shot ``[T, h, w, 3]``, on up to three frames, best first.

        Raises ``FootageError`` with what was seen instead.
        """
        count = len(pictures)
        frames = sorted({round(k * (count - 1) / (_LOOKS - 1)) for k in range(_LOOKS)})
        seen = {frame: self._detector.detect(np.asarray(pictures[frame])) for frame in frames}
        labels = sorted({each.label for found in seen.values() for each in found})
        similar = self._similarity(words, labels)
        best: list[tuple[float, Sighting]] = []
        for frame, found in seen.items():
            ranked = [(_rank(each, similar), each) for each in found]
            ranked = [pair for pair in ranked if pair[0] > 0]
            if ranked:
                rank, each = max(ranked, key=lambda pair: pair[0])
                best.append((rank, Sighting(frame, each.box, each.label)))
        if not best:
            raise _not_seen(words, labels)
        best.sort(key=lambda pair: -pair[0])
        return [sighting for _, sighting in best[:3] if sighting.label == best[0][1].label]

    def _similarity(self, words: str, labels: Sequence[str]) -> dict[str, float]:
        if not labels:
            return {}
        vectors = self._encoder.sentence_embeddings([words, *(f"the {label}" for label in labels)])
        return dict(zip(labels, (vectors[1:] @ vectors[0]).tolist(), strict=True))

    @cached_property
    def _encoder(self) -> MiniLMTextEncoder:
        return MiniLMTextEncoder()


def _rank(detection: Detection, similar: dict[str, float]) -> float:
    """Return how well a detection fits, 0 for one that means something else."""
    close = similar[detection.label]
    if close < _MIN_SIMILARITY or detection.score < _MIN_SCORE:
        return 0.0
    return close * detection.score * float(np.sqrt(max(detection.box.area, 1.0)))


def _not_seen(words: str, labels: Sequence[str]) -> FootageError:
    seen = f"what is seen: {', '.join(labels)}" if labels else "nothing known is seen"
    return FootageError(
        f"{words!r} was not found in the footage; {seen}.",
        "Show the subject with --box or --point on a frame.",
        reason="SUBJECT_NOT_FOUND",
    )
