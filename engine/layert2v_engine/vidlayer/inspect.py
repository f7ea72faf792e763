"""Stage 4: is a cut clip good enough? Numbers first, since they cost nothing, then a judge.

Every rejection has reasons. The judge is a vision model that is asked the same several times. Of
several foregrounds each peel is judged too, with the background that is left below it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layert2v_engine.decompose.protocols import ObjectDetector
from layert2v_engine.vidlayer.annotate import sample_pictures
from layert2v_engine.vidlayer.clip_stage import PerClipStage
from layert2v_engine.vidlayer.cut import layer_files
from layert2v_engine.vidlayer.measures import measure_sample
from layert2v_engine.vidlayer.peels import peels
from layert2v_engine.vidlayer.readers.sample import LayeredSample, SampleFiles, read_sample
from layert2v_engine.vidlayer.recognition import recognize
from layert2v_engine.vidlayer.state import ClipState
from layert2v_engine.vidlayer.template import BY_TEMPLATE
from layert2v_engine.vidlayer.thresholds import Thresholds
from layert2v_engine.vidlayer.vision import VisionClient, VisionRefused

CRITERIA = ("caption_fits", "subject_whole", "subject_gone", "background_real")
_JUDGED_PICTURES = 4


class InspectStage(PerClipStage):
    """Writes ``inspect.json``: scores, votes of the judge, and the reasons of a rejection."""

    name = "inspect"
    after = "cut"

    def __init__(
        self,
        root: Path,
        thresholds: Thresholds,
        inspector: VisionClient | None = None,
        votes: int = 3,
        detector: ObjectDetector | None = None,
    ) -> None:
        super().__init__(root)
        self._thresholds, self._inspector, self._votes = thresholds, inspector, votes
        self._detector = detector

    def work_on(self, state: ClipState) -> dict[str, Any]:
        """Judge one clip."""
        cut = state.read("cut")
        sample = read_sample(layer_files(state, cut["foregrounds"]))
        by_template = state.read("annotate").get("captions_by") == BY_TEMPLATE
        scores = _worst(cut["measures"]) | self._measure(sample, by_template=by_template)
        reasons = self._thresholds.reasons(self.name, scores)
        result: dict[str, Any] = {"scores": scores, "reasons": reasons}
        parts = peels(sample)
        if len(parts) > 1:  # each is judged by itself: with one foreground, over what is below it
            result["peels"] = [self._measure(each, by_template=by_template) for each in parts]
            for number, found in enumerate(result["peels"], 1):
                reasons += _of_peel(self._thresholds.reasons(self.name, found), number)
        if not reasons and self._inspector is not None:
            for number, part in enumerate(parts, 1):
                result |= self._ask(part)
                if len(parts) > 1:
                    result["reasons"] = _of_peel(result["reasons"], number)
                if result["reasons"]:
                    break
        return result

    def _measure(self, sample: LayeredSample, *, by_template: bool) -> dict[str, float]:
        scores = measure_sample(sample)
        if self._detector is not None:
            scores |= recognize(sample, self._detector, by_template=by_template)
        return scores

    def _ask(self, sample: LayeredSample) -> dict[str, Any]:
        """Return the votes of the judge; a criterion falls where most votes are against it."""
        assert self._inspector is not None  # noqa: S101 - its only caller asked
        pictures = _strips(sample)
        answers = []
        try:
            for vote in range(self._votes):
                answers.append(
                    self._inspector.ask(_question(sample.files), pictures, _find_problem, vote=vote)
                )
        except VisionRefused as error:
            return {"judge": "refused", "judge_message": str(error)}
        against = {each: sum(not answer[each]["yes"] for answer in answers) for each in CRITERIA}
        reasons = [
            f"{each}: {count} of {len(answers)} votes against it, such as "
            + next(a[each]["why"] for a in answers if not a[each]["yes"])
            for each, count in against.items()
            if 2 * count > len(answers)
        ]
        return {"judge": self._inspector.config.model, "votes_against": against, "reasons": reasons}


def _of_peel(reasons: Sequence[str], number: int) -> list[str]:
    return [f"{each} (foreground {number})" for each in reasons]


def _worst(measures: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the decomposition's own scores that the gates use, the largest of all subjects."""
    names = ("invented_share", "light_share")
    return {n: max((each.get(n, 0.0) for each in measures.values()), default=0.0) for n in names}


def _question(files: SampleFiles) -> str:
    asked = (
        f'does the sentence "{files.foregrounds[-1].caption}" fit the second row',
        "does the second row show the whole subject, without holes and without pieces of the scene",
        "is the subject gone from the third row, with its shadow and reflection",
        "could the third row be a real video, without smears, ghosts or distortions",
    )
    lines = [f'"{key}": {text}?' for key, text in zip(CRITERIA, asked, strict=True)]
    return (
        "Each picture has three rows of one moment of a video: the video, its subject cut out on "
        "gray, and the background without the subject. Answer with one JSON object that has for "
        'each key {"yes": true or false, "why": a short reason}:\n' + "\n".join(lines)
    )


def _find_problem(answer: dict[str, Any]) -> str:
    for key in CRITERIA:
        given = answer.get(key)
        if not isinstance(given, dict) or not isinstance(given.get("yes"), bool):
            return f"{key} has no yes"
        if not isinstance(given.get("why"), str):
            return f"{key} has no why"
    return ""


def _strips(sample: LayeredSample) -> list[NDArray[np.uint8]]:
    """Return some moments of a sample, each with video, subject and background in rows."""
    top = sample.foregrounds[-1]
    on_gray = 0.5 + (top.color - 0.5) * top.matte
    rows = [each.movedim(1, -1).numpy() for each in (sample.full, on_gray, sample.background)]
    strips = (np.concatenate(rows, 1).clip(0, 1) * 255).round().astype(np.uint8)
    return sample_pictures(strips, _JUDGED_PICTURES)
