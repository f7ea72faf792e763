"""Stage 3: a clip to layers by ``Engine.decompose``, kept as lossless movies."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layert2v.decompose import DecomposeSpec, SubjectSpec
from layert2v.stack import Role, Stack
from layert2v_engine.decompose.protocols import ObjectDetector
from layert2v_engine.engine import Engine
from layert2v_engine.errors import FootageError
from layert2v_engine.vidlayer.annotate import foreground_captions, notes_of
from layert2v_engine.vidlayer.clip_stage import PerClipStage
from layert2v_engine.vidlayer.clips import FOOTAGE
from layert2v_engine.vidlayer.peels import peels
from layert2v_engine.vidlayer.readers.own import LAYERS, OVER
from layert2v_engine.vidlayer.readers.sample import LayerFiles, SampleFiles, read_sample
from layert2v_engine.vidlayer.recognition import describe
from layert2v_engine.vidlayer.state import ClipState
from layert2v_engine.vidlayer.stored_layers import write_layers
from layert2v_engine.vidlayer.template import BY_TEMPLATE

COLORSPACE = "lin_rec709_scene"
FEWER = ("SUBJECT_NOT_FOUND", "SUBJECTS_COINCIDE", "SUBJECT_FILLS_FRAME")  # subjects than asked for


class CutStage(PerClipStage):
    """Writes the layers of a clip as ``layers/*.mkv`` and what the decomposition measured.

    Of up to ``subjects``: where fewer are found, the clip is cut again with one less.
    """

    name = "cut"
    after = "annotate"

    def __init__(
        self,
        root: Path,
        detector: ObjectDetector,
        engine: Engine | None = None,
        subjects: int = 1,
    ) -> None:
        super().__init__(root)
        self._engine, self._detector, self._most = engine or Engine(), detector, subjects

    def work_on(self, state: ClipState) -> dict[str, Any]:
        """Decompose one clip; its stack is removed when the layers are written."""
        folder = state.folder / "stack"
        notes = state.read("annotate")
        stack = self._decompose(state, subjects_of(notes, self._most), folder)
        fps = float(state.read("clip")["fps"])
        write_layers(folder, stack, state.folder / LAYERS, fps)
        measures = {name: dict(found) for name, found in stack.history[-1].measures.items()}
        shutil.rmtree(folder)
        foregrounds = sum(layer.role is Role.foreground for layer in stack.layers)
        result = {"measures": measures, "foregrounds": foregrounds}
        if notes["captions_by"] == BY_TEMPLATE:
            sample = read_sample(layer_files(state, foregrounds))
            described = [describe(each, self._detector) for each in peels(sample)]
            result["captions"] = join_captions(described)
        return result

    def _decompose(
        self, state: ClipState, subjects: tuple[SubjectSpec, ...], folder: Path
    ) -> Stack:
        """Return a stack of the subjects, or of the first of them, as many as are there."""
        shutil.rmtree(folder, ignore_errors=True)
        try:
            return self._engine.decompose(
                DecomposeSpec(subjects=subjects, colorspace=COLORSPACE),
                folder,
                inputs={"footage": state.folder / FOOTAGE},
                report=lambda _: None,
                cancelled=lambda: False,
            )
        except FootageError as error:
            if len(subjects) == 1 or error.reason not in FEWER:
                raise
        return self._decompose(state, subjects[:-1], folder)


def subjects_of(notes: Mapping[str, Any], most: int) -> tuple[SubjectSpec, ...]:
    """Return what to cut out, the nearest first: what an annotation names, else what stands out."""
    if words := notes.get("subject"):
        others = [each["subject"] for each in notes.get("further_subjects", ())]
        return tuple(SubjectSpec(words=each) for each in [words, *others][:most])
    return (SubjectSpec(),) * most


def join_captions(described: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Return the captions of a clip from those of its foregrounds, bottom to top."""
    captions = [each["foreground_caption"] for each in described]
    joined = dict(described[-1]) | {"full_caption": ", ".join(reversed(captions))}
    return joined if len(captions) == 1 else joined | {"foreground_captions": captions}


def layer_files(state: ClipState, foregrounds: int) -> SampleFiles:
    """Return the layers of a clip while it is in work."""
    layers, notes = state.folder / LAYERS, notes_of(state)
    captions = foreground_captions(notes, foregrounds)
    files = tuple(
        LayerFiles(
            matte=layers / f"matte_{number:02d}.mkv",
            color=layers / f"foreground_{number:02d}.mkv",
            shadow=layers / f"shadow_{number:02d}.mkv",
            light=light if light.exists() else None,
            over=layers / OVER.format(number) if number < foregrounds else None,
            caption=caption,
        )
        for number, caption in enumerate(captions, 1)
        for light in (layers / f"light_{number:02d}.mkv",)
    )
    return SampleFiles(
        name=state.clip,
        full=layers / "full_video.mkv",
        background=layers / "background.mkv",
        foregrounds=files,
        caption=notes.get("full_caption", ""),
        background_caption=notes.get("background_caption", ""),
    )
