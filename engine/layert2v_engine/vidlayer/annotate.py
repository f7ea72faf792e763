"""Stage 2: what a clip shows, in words of a vision model, if there is one.

The structure is the one that VOID made public: what belongs to the subject, what it affects, and
the scene without it. Without a model a template says what is seen of the subject once it is cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from layert2v_engine.vidlayer.clip_stage import PerClipStage
from layert2v_engine.vidlayer.clips import FOOTAGE
from layert2v_engine.vidlayer.movies import read_bytes
from layert2v_engine.vidlayer.state import ClipState
from layert2v_engine.vidlayer.template import BY_TEMPLATE
from layert2v_engine.vidlayer.vision import VisionClient, VisionRefused

_PICTURES, _GRID, _SIDE = 10, 8, 512
QUESTION = (
    "These are pictures of one video, from its first to its last frame, under a grid of yellow "
    "lines whose cells are counted from 0 at the upper left. Answer with one JSON object and "
    "nothing else:\n"
    '{"subject": the main subject in a few words,\n'
    ' "full_caption": one sentence about the whole video,\n'
    ' "foreground_caption": one sentence about the subject alone and what it does,\n'
    ' "background_caption": one sentence about the scene as if the subject had never been there,\n'
    ' "integral_belongings": a list of 0 to 3 things that go where the subject goes and are part '
    "of it, such as a bicycle or a hat, not things merely held,\n"
    ' "affected_objects": a list of 0 to 5 objects {"name", "kind": "visual_artifact" (shadow, '
    'reflection; with "cells") or "physical" (with "will_move": true or false)}}'
)


FURTHER = (
    ',\n "further_subjects": a list of 0 to {} others that move by themselves and are not in front '
    'of the subject, the nearest first, each {{"subject", "foreground_caption"}} as above; '
    "background_caption is then the scene without these too}}"
)


class AnnotateStage(PerClipStage):
    """Writes ``annotate.json``: subject, captions, belongings, affected objects, and by whom."""

    name = "annotate"
    after = "clip"

    def __init__(self, root: Path, client: VisionClient | None = None, subjects: int = 1) -> None:
        super().__init__(root)
        self._client, self._question = client, question_of(subjects)

    def work_on(self, state: ClipState) -> dict[str, Any]:
        """Return the annotation of one clip."""
        if self._client is None:
            return {"captions_by": BY_TEMPLATE}
        pictures = read_bytes(state.folder / FOOTAGE)
        shown = [draw_grid(each) for each in sample_pictures(pictures, _PICTURES)]
        try:
            answer = self._client.ask(self._question, shown, find_problem)
        except VisionRefused as error:
            return {"captions_by": BY_TEMPLATE, "refused": str(error)}
        return answer | {"captions_by": "model", "model": self._client.config.model}


def question_of(subjects: int) -> str:
    """Return what a model is asked of a clip with up to so many subjects."""
    return QUESTION if subjects == 1 else QUESTION.removesuffix("}") + FURTHER.format(subjects - 1)


def foreground_captions(notes: Mapping[str, Any], foregrounds: int) -> list[str]:
    """Return the captions of so many foregrounds, bottom to top."""
    top = notes.get("foreground_caption", "")
    if "further_subjects" in notes:
        further = [each["foreground_caption"] for each in notes["further_subjects"]]
        return [top, *further][:foregrounds][::-1]
    return list(notes.get("foreground_captions", [top] * foregrounds))


def notes_of(state: ClipState) -> dict[str, Any]:
    """Return the annotation of a clip; one by template is complete when the clip is cut."""
    return state.read("annotate") | state.read("cut").get("captions", {})


def find_problem(answer: dict[str, Any]) -> str:
    """Return what is wrong with an answer, "" where nothing is."""
    for key in ("subject", "full_caption", "foreground_caption", "background_caption"):
        if not isinstance(answer.get(key), str) or not answer[key].strip():
            return f"{key} is missing"
    for key, most in (("integral_belongings", 3), ("affected_objects", 5)):
        if not isinstance(answer.get(key), list) or len(answer[key]) > most:
            return f"{key} is not a list of at most {most}"
    for each in answer["affected_objects"]:
        if not isinstance(each, dict) or each.get("kind") not in ("visual_artifact", "physical"):
            return "an affected object has no kind"
    further = answer.get("further_subjects", [])
    if not isinstance(further, list) or not all(isinstance(each, dict) for each in further):
        return "further_subjects is not a list of objects"
    for each in further:
        for key in ("subject", "foreground_caption"):
            if not isinstance(each.get(key), str) or not each[key].strip():
                return f"a further subject has no {key}"
    return ""


def sample_pictures(pictures: NDArray[np.uint8], count: int) -> list[NDArray[np.uint8]]:
    """Return ``count`` pictures from the first to the last, or all of fewer."""
    places = np.linspace(0, len(pictures) - 1, min(count, len(pictures)))
    return [pictures[round(place)] for place in places]


def draw_grid(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture, no larger than is needed, under a labeled grid."""
    scale = min(1.0, _SIDE / max(picture.shape[:2]))
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    drawn = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    for k in range(1, _GRID):
        x, y = k * size[0] // _GRID, k * size[1] // _GRID
        cv2.line(drawn, (x, 0), (x, size[1]), (255, 220, 0), 1)
        cv2.line(drawn, (0, y), (size[0], y), (255, 220, 0), 1)
        cv2.putText(drawn, str(k), (x + 2, 10), cv2.FONT_HERSHEY_SIMPLEX, 0.3, (255, 220, 0))
        cv2.putText(drawn, str(k), (2, y + 10), cv2.FONT_HERSHEY_SIMPLEX, 0.3, (255, 220, 0))
    return np.asarray(drawn, np.uint8)
