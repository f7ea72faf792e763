"""Carry out a re-render that is prepared: write the new state, with a model or without.

Files of layers that are kept are never written, and of those only what the model must be shown is
read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

from torch import Tensor

from layert2v.rerender import rerender_to_json
from layert2v.spec import CLEAN_CONDITIONING, ModelInfo
from layert2v.stack import Role, Stack
from layert2v_engine.image.compositing import flatten
from layert2v_engine.layout import StreamRole
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.progress import WRITE_STAGE_WEIGHTS, ProgressReporter, should_preview
from layert2v_engine.prompting.free_text import revise_sentence
from layert2v_engine.prompting.planner import NewText, PromptPlan
from layert2v_engine.rerender.latents import InitLatents, latent_mask, save_latents
from layert2v_engine.rerender.plan import LayerAction, LayerPlan, StreamMapping
from layert2v_engine.rerender.prepare import RerenderPlan
from layert2v_engine.sampling.denoise import Step
from layert2v_engine.sampling.run_state import RunState
from layert2v_engine.sampling_request import SamplingRequest
from layert2v_engine.stack.editor import StackEditor
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.pixel_sources import blend_masked
from layert2v_engine.stream_codec import clean_opacity, foreground_frames


class DecodedLayer(NamedTuple):
    """Frames of one layer in 0..1: straight color ``[1, 3, t, H, W]``, opacity ``[1, 1, t, H, W]``.

    None where the layer has no such channel: shadows have no color, the background no opacity.
    """

    color: Tensor | None
    opacity: Tensor | None


class Rerender:
    """One re-render that a model takes part in; ``state`` is where a killed one is kept."""

    def __init__(
        self,
        plan: RerenderPlan,
        editor: StackEditor,
        pipeline: LayeredPipeline,
        progress: ProgressReporter,
        state: RunState | None = None,
    ) -> None:
        self._plan = plan
        self._state = state
        self._editor = editor
        self._pipeline = pipeline
        self._progress = progress
        self._mapping = StreamMapping.for_model(
            plan.layers,
            pipeline.info.max_foregrounds,
            makes_shadows=pipeline.info.makes_shadows,
        )
        self._init_latents = InitLatents(plan, self._mapping, editor, pipeline)

    def run(self) -> Stack:
        """Generate, write, and finish the state. Raises Cancelled, StackError, DiskFull, ..."""
        progress, editor = self._progress, self._editor
        progress.report("text", 0, 1, "reading the prompts")
        prompts = self._plan_prompts()
        request = self._sampling_request(prompts)
        progress.report("text", 1, 1, f"understood as: {prompts.interpretation}")
        progress.report("denoise", 0, request.steps)
        latents = self._pipeline.sample_request(request, self._on_step, self._state)
        for layer in self._plan.layers:
            is_generated = layer.action is LayerAction.generate
            seed = request.seed if is_generated else layer.seed
            _declare_layer(editor, self._plan, layer, self._final_prompt(layer, prompts), seed)
        self._write_frames(latents)
        self._save_latents(latents)
        notes = [source.note for source in self._plan.sources.values()] + self._notes()
        provenance = _provenance(self._plan, notes, self._pipeline.info, prompts)
        return editor.finish(provenance, progress=partial(progress.report, "write"))

    def _plan_prompts(self) -> PromptPlan:
        mapping = self._mapping
        foregrounds = [mapping.layers[name].prompt for name in mapping.foregrounds]
        background = mapping.layers[mapping.below[0]].prompt
        negative_prompt = self._plan.base.negative_prompt
        return self._pipeline.plan_layers(
            foregrounds,
            background,
            negative_prompt,
            sentence=self._revised_sentence(),
            new=self._new_texts(),
            seed=self._plan.spec.seed or 0,
        )

    def _new_texts(self) -> dict[int, NewText]:
        """Return the foregrounds (from 0) whose prompts are new.

        Their subjects must be known, unless the request allows the nearest.
        """
        spec = self._plan.spec
        before = {layer.name: layer.prompt for layer in self._plan.base.layers}
        return {
            index: NewText(
                before=before.get(name, ""), field="" if spec.nearest else f"prompts[{name}]"
            )
            for index, name in enumerate(self._mapping.foregrounds)
            if spec.prompts.get(name) and spec.action in ("regenerate", "add")
        }

    def _revised_sentence(self) -> str:
        """Return the artist's sentence for the layers as they are now; empty if it cannot be."""
        first, current = self._plan.first, self._plan.layers
        if first is None or self._mapping.above or self._mapping.is_background_flattened:
            return ""  # it speaks of layers that the model does not see
        return revise_sentence(
            first.prompt,
            {layer.name: layer.prompt for layer in first.layers if layer.caster is None},
            {layer.name: layer.prompt for layer in current if layer.caster is None},
        )

    def _final_prompt(self, layer: LayerPlan, prompts: PromptPlan) -> str:
        """Return the prompt that the model had for a layer it generated, else the layer's own."""
        if layer.action is not LayerAction.generate:
            return layer.prompt
        if layer.role is Role.background:
            return prompts.background or layer.prompt
        return prompts.foregrounds[self._mapping.foregrounds.index(layer.caster or layer.name)]

    def _sampling_request(self, prompts: PromptPlan) -> SamplingRequest:
        spec, mapping, format = self._plan.spec, self._mapping, self._editor.format
        if spec.seed is None:
            raise ValueError("the request has no seed; resolve it first")
        init_latents, keep_masks = {}, {}
        for stream in mapping.layout.streams:
            mask = self._plan.masks.get(mapping.layer_of(stream) or "")
            if not mapping.is_active(stream) or spec.strength < 1 or mask is not None:
                init_latents[stream.name] = self._init_latents.stream_latents(stream)
            if mask is not None and mapping.is_active(stream):
                frames, rows, columns = init_latents[stream.name].shape[1:]
                keep_masks[stream.name] = latent_mask(mask.planes, (frames, rows, columns))
        return SamplingRequest(
            layout=mapping.layout,
            plan=prompts,
            frames=format.frames,
            height=format.height,
            width=format.width,
            seed=spec.seed,
            steps=spec.steps,
            guidance=spec.guidance,
            strength=spec.strength,
            init_latents=init_latents,
            frozen=mapping.frozen,
            keep_masks=keep_masks,
            noise_names=mapping.noise_names,
        )

    def _on_step(self, step: Step) -> None:
        if should_preview(step.done, step.total):
            self._progress.set_preview(self._pipeline.decode_first_frame(step.estimate))
        self._progress.report("denoise", step.done, step.total)

    def _write_frames(self, latents: Tensor) -> None:
        mapping, index = self._mapping, 0
        on_group = partial(self._progress.report, "decode", 0, self._editor.format.frames)
        groups = self._pipeline.decode_streams(
            latents, mapping.layout, mapping.active, on_group=on_group
        )
        for group in groups:
            decoded = self._decoded_layers(group)
            composite = group[StreamRole.composite]
            for t in range(composite.shape[2]):
                self._write_frame(index, composite[0, :, t], decoded, t)
                index += 1
                self._progress.report("decode", index, self._editor.format.frames)

    def _decoded_layers(self, group: Mapping[str, Tensor]) -> dict[str, DecodedLayer]:
        """Return the generated layers of a decoded frame group, by name."""
        mapping, decoded = self._mapping, dict[str, DecodedLayer]()
        for stream in mapping.layout.streams:
            name = mapping.layer_of(stream)
            if name is None or not mapping.is_active(stream):
                continue
            if stream.role is StreamRole.background:
                decoded[name] = DecodedLayer(group[stream.name], None)
            elif stream.role is StreamRole.shadow:
                decoded[name] = DecodedLayer(None, clean_opacity(group[stream.name]))
            elif stream.role is StreamRole.foreground:
                matte_color = self._pipeline.config.matte_color
                frames = foreground_frames(group, stream.foreground or 0, matte_color)
                decoded[name] = DecodedLayer(frames.color, frames.alpha)
        return decoded

    def _write_frame(
        self, index: int, composite: Tensor, decoded: Mapping[str, DecodedLayer], t: int
    ) -> None:
        """Write frame ``index``: frame ``t`` of a group, whose composite is ``[3, H, W]``."""
        editor, plan = self._editor, self._plan
        for name, (color, opacity) in decoded.items():
            pixels = editor.pixels(
                name,
                None if color is None else color[0, :, t],
                None if opacity is None else opacity[0, 0, t],
            )
            if name in plan.masks:
                mask = plan.masks[name].soft_mask(index)
                pixels = blend_masked(editor.read(name, index), pixels, mask)
            editor.write_pixels(name, index, pixels)
        for name, source in plan.sources.items():
            editor.write_pixels(name, index, source.frame(index))
        above = (self._init_latents.frame_reader(name)(index) for name in self._mapping.above)
        editor.write_ref(index, flatten((editor.pixels("", composite, None), *above)))

    def _save_latents(self, latents: Tensor) -> None:
        """Save the latents ``[1, S, C, F, h, w]`` of what is new, for the next re-render."""
        mapping, digest = self._mapping, self._pipeline.info.digest
        layers: dict[str, dict[str, Tensor]] = {}
        for index, stream in enumerate(mapping.layout.streams):
            name = "ref" if stream.role is StreamRole.composite else mapping.layer_of(stream)
            if name == "ref" and mapping.above:
                continue  # what is delivered shows more than the model generated
            if name is None:
                continue
            if name == "ref" or mapping.layers[name].action is not LayerAction.keep:
                layers.setdefault(name, {})[stream.role.value] = latents[0, index]
        for name, tensors in layers.items():
            save_latents(self._editor.latents_path(name), tensors, digest)

    def _notes(self) -> list[str]:
        notes = [self._mapping.note]
        if self._init_latents.encoded:
            notes.append(f"encoded from pixels: {', '.join(self._init_latents.encoded)}")
        if CLEAN_CONDITIONING not in self._pipeline.info.abilities and self._mapping.frozen:
            notes.append("this model cannot be shown clean layers; held with fixed noise")
        return notes


def apply_without_model(
    plan: RerenderPlan, editor: StackEditor, progress: ProgressReporter
) -> Stack:
    """Carry out a re-render without a model; ``ref`` stays, which only a model can generate."""
    progress.stage_weights = WRITE_STAGE_WEIGHTS
    for layer in plan.layers:
        _declare_layer(editor, plan, layer, layer.prompt, layer.seed)
    for index in range(editor.format.frames):
        for name, source in plan.sources.items():
            editor.write_pixels(name, index, source.frame(index))
        progress.report("decode", index + 1, editor.format.frames)
    notes = [source.note for source in plan.sources.values()]
    notes += ["ref stays as it was"] if any(f.name == "ref" for f in plan.base.flats) else []
    provenance = _provenance(plan, notes)
    return editor.finish(provenance, progress=partial(progress.report, "write"))


def _declare_layer(
    editor: StackEditor, plan: RerenderPlan, layer: LayerPlan, prompt: str, seed: int
) -> None:
    """Declare a layer of the new state; files of one that is imported say how."""
    if layer.action is LayerAction.keep:
        editor.keep_layer(layer.name)
        return
    source = plan.sources.get(layer.name)
    editor.add_layer(
        layer.name,
        layer.role,
        prompt=prompt,
        seed=seed,
        caster=layer.caster,
        source=layer.source,
        tags={"input_transform": source.note} if source is not None else None,
    )


def _provenance(
    plan: RerenderPlan,
    notes: list[str],
    model: ModelInfo | None = None,
    prompts: PromptPlan | None = None,
) -> Provenance:
    """Return where the new state comes from; ``model`` and ``prompts`` where a model took part."""
    return Provenance(
        action=plan.spec.action,
        spec=rerender_to_json(plan.spec),
        note="; ".join(note for note in notes if note),
        networks=plan.networks,
        model=model.name if model else "",
        model_digest=model.digest if model else "",
        prompt_interpretation=prompts.interpretation if prompts else "",
        warnings=prompts.warnings if prompts else (),
    )
