"""Stage 3: a clip to layers by ``Engine.decompose``, kept as lossless movies."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from layert2v.decompose import DecomposeSpec, SubjectSpec
from layert2v.stack import Role
from layert2v_engine.decompose.protocols import ObjectDetector
from layert2v_engine.engine import Engine
from layert2v_engine.vidlayer.annotate import notes_of
from layert2v_engine.vidlayer.clip_stage import PerClipStage
from layert2v_engine.vidlayer.clips import FOOTAGE
from layert2v_engine.vidlayer.readers.own import LAYERS
from layert2v_engine.vidlayer.readers.sample import LayerFiles, SampleFiles, read_sample
from layert2v_engine.vidlayer.recognition import describe
from layert2v_engine.vidlayer.state import ClipState
from layert2v_engine.vidlayer.stored_layers import write_layers
from layert2v_engine.vidlayer.template import BY_TEMPLATE

COLORSPACE = "lin_rec709_scene"


class CutStage(PerClipStage):
    """Writes the layers of a clip as ``layers/*.mkv`` and what the decomposition measured."""

    name = "cut"
    after = "annotate"

    def __init__(self, root: Path, detector: ObjectDetector, engine: Engine | None = None) -> None:
        super().__init__(root)
        self._engine, self._detector = engine or Engine(), detector

    def work_on(self, state: ClipState) -> dict[str, Any]:
        """Decompose one clip; its stack is removed when the layers are written."""
        folder = state.folder / "stack"
        shutil.rmtree(folder, ignore_errors=True)
        notes = state.read("annotate")
        spec = DecomposeSpec(colorspace=COLORSPACE)
        if words := notes.get("subject"):
            spec = DecomposeSpec(subjects=(SubjectSpec(words=words),), colorspace=COLORSPACE)
        stack = self._engine.decompose(
            spec,
            folder,
            inputs={"footage": state.folder / FOOTAGE},
            report=lambda _: None,
            cancelled=lambda: False,
        )
        fps = float(state.read("clip")["fps"])
        write_layers(folder, stack, state.folder / LAYERS, fps)
        measures = {name: dict(found) for name, found in stack.history[-1].measures.items()}
        shutil.rmtree(folder)
        foregrounds = sum(layer.role is Role.foreground for layer in stack.layers)
        result = {"measures": measures, "foregrounds": foregrounds}
        if notes["captions_by"] == BY_TEMPLATE:
            sample = read_sample(layer_files(state, foregrounds))
            result["captions"] = describe(sample, self._detector)
        return result


def layer_files(state: ClipState, foregrounds: int) -> SampleFiles:
    """Return the layers of a clip while it is in work."""
    layers, notes = state.folder / LAYERS, notes_of(state)
    files = tuple(
        LayerFiles(
            matte=layers / f"matte_{number:02d}.mkv",
            color=layers / f"foreground_{number:02d}.mkv",
            shadow=layers / f"shadow_{number:02d}.mkv",
            light=light if light.exists() else None,
            caption=notes.get("foreground_caption", ""),
        )
        for number in range(1, foregrounds + 1)
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
