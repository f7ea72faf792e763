"""Another matte for one foreground of a decomposed stack, and the layers under it solved again.

It is the artist's, or the layer's own, corrected around points that are wrong in it.

The footage of that foreground is the over of everything up to it, so that nearer layers stay right
above it. Its shadow, its color and the background change; all other layers stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from layert2v.decompose import (
    REFINE_ACTION,
    SCRATCH_FOLDER,
    RefineSpec,
    SubjectSpec,
    refine_to_json,
)
from layert2v.stack import Role, Stack
from layert2v_engine.decompose.arrays import FloatArray, HalfArray, Size, resize
from layert2v_engine.decompose.footage import FrameRange, reading_options
from layert2v_engine.decompose.inputs import MatteInput, PlateInput, read_hints
from layert2v_engine.decompose.matting import FrameProposal
from layert2v_engine.decompose.measures import SubjectMeasures
from layert2v_engine.decompose.pipeline import (
    STAGE_WEIGHTS,
    describe_measures,
    opaque_pixels,
)
from layert2v_engine.decompose.scratch import Scratch, request_key
from layert2v_engine.decompose.solve import (
    FrameLayers,
    expand_proposal,
    solve_frame,
    solve_over,
)
from layert2v_engine.decompose.stages import Stages
from layert2v_engine.decompose.workspace import Workspace
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import over
from layert2v_engine.progress import ProgressReporter
from layert2v_engine.stack.editor import StackEditor
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.preview import DISPLAY_SPACE


class Refinement:
    """One request to refine a layer; ``run`` writes the new state through ``editor``."""

    def __init__(
        self,
        spec: RefineSpec,
        editor: StackEditor,
        inputs: Mapping[str, Path],
        stages: Stages,
        progress: ProgressReporter,
    ) -> None:
        self._spec, self._editor, self._progress = spec, editor, progress
        self._stages = stages
        self._config = ColorConfig.load()
        base = editor.base
        names = [layer.name for layer in base.layers]
        top = names.index(spec.layer)
        shadows = [each.name for each in base.layers if each.caster == spec.layer]
        self._shadow = shadows[0] if shadows else ""
        self._own = {spec.layer, *shadows}
        self._upto = names[: top + 1]
        self._lower = [name for name in self._upto if name not in self._own and name != "bg"]
        size = Size(base.width, base.height)
        numbers = FrameRange(
            first=base.start_frame,
            frames=base.frames,
            start=0,
            size=size,
            full=size,
            pixel_aspect=base.pixel_aspect,
        )
        reading = reading_options(spec)
        self._matte = None
        if spec.matte:
            matte = inputs[spec.matte]
            self._matte = MatteInput(matte, numbers, "matte", can_hold=True, reading=reading)
        self._plate = None
        if spec.plate is not None:
            self._plate = PlateInput(
                spec.plate,
                inputs[spec.plate.input],
                numbers,
                base.colorspace,
                self._config,
                reading=reading,
            )
        key = request_key([repr(spec), base.state], inputs)
        scratch = Scratch(progress.folder / SCRATCH_FOLDER, key)
        self._space = Workspace(numbers, scratch, stages, progress)
        self._hints = read_hints(SubjectSpec(points=spec.points), {}, numbers, self._space.small)
        self._measures = SubjectMeasures()
        progress.stage_weights = STAGE_WEIGHTS

    def run(self) -> Stack:
        """Write the state. Raises ``FootageError``, ``Cancelled``, ``StackError``, ``DiskFull``."""
        try:
            with closing(self._progress):
                return self._run()
        finally:
            self._space.scratch.remove()

    def _run(self) -> Stack:
        space, editor = self._space, self._editor
        if self._matte is not None and not self._matte.is_complete:
            raise FootageError(
                f"The matte does not have all of the {space.frames} frames of the stack.",
                "Give one picture, or one for every frame, numbered like the stack.",
                reason="FRAMES_MISSING",
            )
        to_picture = self._config.display_transform(editor.base.colorspace, DISPLAY_SPACE)
        for index in range(space.frames):
            self._progress.report("read", index, space.frames)
            footage = self._compose(self._upto, index)
            space.put(index, footage.astype(np.float16), to_picture)
        if self._matte is not None:
            space.take_matte(0, self._matte)
        else:
            self._correct_matte()
        space.check_cover(0)
        space.make_plate(1, self._plate)
        self._declare()
        proposals = space.proposals(
            0,
            space.source,
            has_matte=True,
            has_own_plate=self._plate is not None,
            corrected=None if self._matte is not None else space.corrections(0),
        )
        for found in proposals:
            index = found.frame
            self._progress.report("solve", index, space.frames)
            layers, background = self._solve(found)
            self._measures.add(found, layers)
            if self._shadow:
                editor.write_pixels(self._shadow, index, torch.from_numpy(layers.shadow))
            editor.write_pixels(self._spec.layer, index, torch.from_numpy(layers.foreground))
            editor.write_pixels("bg", index, opaque_pixels(background))
        return editor.finish(
            self._provenance(),
            progress=lambda done, total: self._progress.report("write", done, total),
        )

    def _correct_matte(self) -> None:
        """Take the layer's own matte, and correct it where points say."""
        space = self._space
        masks, mattes = space.mask(0), space.half("matte_0")
        for index in range(space.frames):
            mattes[index] = self._read(self._spec.layer, index)[..., 3].numpy()
            masks[index] = resize(mattes[index].astype(np.float32), space.small)

        def on_frames(done: int) -> None:
            self._progress.report("find", done, space.frames)

        if not space.correct_mask(0, self._hints, on_frames):
            raise FootageError(
                "The layer's matte is right already at every point.",
                "Give points on the subject where it is missing, or beside it where there is "
                "too much.",
                reason="NOTHING_TO_CORRECT",
            )

    def _solve(self, found: FrameProposal) -> tuple[FrameLayers, HalfArray]:
        """Return the layer's own pixels, and the background of the whole stack."""
        index, frame, proposal = found.frame, found.source, found.proposal
        if not self._shadow:
            proposal = proposal._replace(shadow=np.zeros_like(proposal.shadow))
        layers = solve_frame(frame, proposal, found.part)
        if not self._lower:
            return layers, layers.background
        old = self._read("bg", index)[..., :3].numpy()
        lower = [self._read(name, index) for name in self._lower]
        is_open = np.all([(layer == 0).all(-1).numpy() for layer in lower], axis=0)
        background = np.where(is_open[..., None], layers.background, old)
        below = self._over(opaque_pixels(background).float(), lower)
        whole = expand_proposal(proposal, found.part, *frame.shape[:2])
        return solve_over(frame, whole, below), background

    def _declare(self) -> None:
        editor = self._editor
        for layer in editor.base.layers:
            if layer.name in self._own or layer.name == "bg":
                editor.add_layer(
                    layer.name,
                    layer.role,
                    prompt=layer.prompt,
                    caster=layer.caster if layer.role is Role.shadow else None,
                    source="imported",
                )
            else:
                editor.keep_layer(layer.name)

    def _compose(self, names: list[str], index: int) -> FloatArray:
        """Return the over of layers from bottom to top, ``[H, W, 3]``."""
        layers = [self._read(name, index) for name in names]
        return self._over(layers[0].float(), layers[1:])

    def _over(self, pixels: torch.Tensor, layers: list[torch.Tensor]) -> FloatArray:
        for layer in layers:
            pixels = over(layer.float(), pixels)
        return np.asarray(pixels[..., :3].numpy(), np.float32)

    def _read(self, name: str, index: int) -> torch.Tensor:
        return self._editor.read(name, index)

    def _provenance(self) -> Provenance:
        measures = self._measures.to_json()
        given = (each for each in (self._matte, self._plate) if each is not None)
        notes = (note for each in given for note in each.notes)
        return Provenance(
            action=REFINE_ACTION,
            note=" ".join([*notes, describe_measures(self._spec.layer, measures)]),
            networks=self._stages.networks,
            spec=refine_to_json(self._spec),
            measures={self._spec.layer: measures},
        )
