"""The part of a change that a model draws: some layers of a stack anew, around those that stay.

Files of layers that are kept are never written, and of those only what the model must be shown is
read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor

from layert2v.spec import CLEAN_CONDITIONING
from layert2v.stack import Role, Stack
from layert2v_engine.image.compositing import flatten
from layert2v_engine.layout import Stream, StreamRole
from layert2v_engine.pipeline import LayeredPipeline, SamplingRequest
from layert2v_engine.progress import ProgressReporter
from layert2v_engine.prompting.planner import PromptPlan
from layert2v_engine.rerender.latents import (
    Encoder,
    Pixels,
    flattened,
    latent_mask,
    latents_of,
    save_latents,
)
from layert2v_engine.rerender.plan import Cast, Fate, Part
from layert2v_engine.rerender.prepare import Change, declare, provenance
from layert2v_engine.sampling.denoise import Step
from layert2v_engine.stack.editor import StackEditor
from layert2v_engine.stack.pixel_sources import DonorSource, blend_masked
from layert2v_engine.stream_codec import clean_opacity, foreground_frames

# Straight colour [1, 3, t, H, W] and opacity [1, 1, t, H, W] of a layer.
Pair = tuple[Tensor | None, Tensor | None]


class Redrawing:
    """One change that a model takes part in."""

    def __init__(
        self,
        change: Change,
        editor: StackEditor,
        pipeline: LayeredPipeline,
        progress: ProgressReporter,
    ) -> None:
        self._change, self._editor, self._pipeline, self._progress = (
            change,
            editor,
            pipeline,
            progress,
        )
        self._cast = Cast.of(change.parts, pipeline.info.max_foregrounds)
        layout, colorspace = self._cast.layout, editor.format.colorspace
        self._encoder = Encoder(pipeline, layout, colorspace)
        self._encoded: list[str] = []

    def carry_out(self) -> Stack:
        """Draw, write, and finish the state. Raises Cancelled, StackError, DiskFull, ..."""
        progress, editor = self._progress, self._editor
        progress.report("text", 0, 1, "reading the prompts")
        plan = self._plan()
        scene = self._scene(plan)
        progress.report("text", 1, 1, f"understood as: {plan.interpretation}")
        progress.report("denoise", 0, scene.steps)
        latents = self._pipeline.sample_request(scene, self._on_step)
        for part in self._change.parts:
            drawn = part.fate is Fate.drawn
            seed = scene.seed if drawn else part.seed
            declare(editor, self._change, part, self._told(part, plan), seed)
        self._write(latents)
        self._save(latents)
        notes = [source.note for source in self._change.sources.values()] + self._notes()
        origin = provenance(self._change, notes, self._pipeline.info, plan)
        return editor.finish(origin, progress=partial(progress.report, "write"))

    def _plan(self) -> PromptPlan:
        cast = self._cast
        figures = [cast.parts[name].prompt for name in cast.foregrounds]
        ground = cast.parts[cast.below[0]].prompt
        return self._pipeline.plan_layers(figures, ground, self._change.base.negative_prompt)

    def _told(self, part: Part, plan: PromptPlan) -> str:
        """What the model was told of a layer it drew, else what is known of it."""
        if part.fate is not Fate.drawn:
            return part.prompt
        if part.role is Role.background:
            return plan.background or part.prompt
        return plan.foregrounds[self._cast.foregrounds.index(part.caster or part.name)]

    def _scene(self, plan: PromptPlan) -> SamplingRequest:
        spec, cast, format = self._change.spec, self._cast, self._editor.format
        if spec.seed is None:
            raise ValueError("the request has no seed; resolve it first")
        given, keep_shares = {}, {}
        for stream in cast.layout.streams:
            mask = self._change.masks.get(cast.layer(stream) or "")
            if not cast.is_drawn(stream) or spec.strength < 1 or mask is not None:
                given[stream.name] = self._known(stream)
            if mask is not None and cast.is_drawn(stream):
                shape = given[stream.name].shape[1:]
                keep_shares[stream.name] = latent_mask(mask.planes, (shape[0], shape[1], shape[2]))
        return SamplingRequest(
            layout=cast.layout,
            plan=plan,
            frames=format.frames,
            height=format.height,
            width=format.width,
            seed=spec.seed,
            steps=spec.steps,
            guidance=spec.guidance,
            strength=spec.strength,
            init_latents=given,
            frozen=cast.frozen,
            keep_masks=keep_shares,
            noise_names=cast.noise,
        )

    def _known(self, stream: Stream) -> Tensor:
        """Latents [C, F, h, w] of what a stream shows before anything is drawn."""
        cast, format = self._cast, self._editor.format
        name = cast.layer(stream)
        if name is None and stream.role is StreamRole.shadow:
            return self._encoder.empty(stream, format.frames, (format.height, format.width))
        if name is None:
            names = cast.below
            if stream.role is StreamRole.composite:
                names = tuple(each for each in cast.parts if each not in cast.above)
            layers = [self._pixels(each) for each in names]
            return self._encoder.stream(stream, flattened(layers, format.frames))
        kept = self._kept(name).get(stream.role.value)
        if kept is not None:
            return kept
        if name not in self._encoded:
            self._encoded.append(name)
        pixels = self._pixels(name)
        return self._encoder.stream(stream, (pixels(index) for index in range(format.frames)))

    def _kept(self, name: str) -> dict[str, Tensor]:
        """Latents by stream role that were kept of a layer, or of what is brought in its place."""
        change, digest = self._change, self._pipeline.info.digest
        source = change.sources.get(name)
        if source is None:
            return latents_of(self._editor.folder, change.base, name, digest)
        if change.donor is None or not isinstance(source, DonorSource) or not source.unchanged:
            return {}
        folder, stack = change.donor
        return latents_of(folder, stack, source.layer.name, digest)

    def _pixels(self, name: str) -> Pixels:
        source = self._change.sources.get(name)
        return partial(self._editor.read, name) if source is None else source.frame

    def _on_step(self, step: Step) -> None:
        if should_preview(step):
            self._progress.set_preview(self._pipeline.decode_first_frame(step.estimate))
        self._progress.report("denoise", step.done, step.total)

    def _write(self, latents: Tensor) -> None:
        cast, index = self._cast, 0
        for group in self._pipeline.decode_streams(latents, cast.layout, cast.drawn):
            made = self._layers_of(group)
            for t in range(group[StreamRole.composite].shape[2]):
                self._write_frame(index, group[StreamRole.composite][0, :, t], made, t)
                index += 1
                self._progress.report("decode", index, self._editor.format.frames)

    def _layers_of(self, group: Mapping[str, Tensor]) -> dict[str, Pair]:
        """The drawn layers of a decoded frame group."""
        cast, made = self._cast, dict[str, Pair]()
        for stream in cast.layout.streams:
            name = cast.layer(stream)
            if name is None or not cast.is_drawn(stream):
                continue
            if stream.role is StreamRole.background:
                made[name] = group[stream.name], None
            elif stream.role is StreamRole.shadow:
                made[name] = None, clean_opacity(group[stream.name])
            elif stream.role is StreamRole.foreground:
                actor = foreground_frames(
                    group, stream.foreground or 0, self._pipeline.config.matte_color
                )
                made[name] = actor.color, actor.alpha
        return made

    def _write_frame(
        self,
        index: int,
        composite: Tensor,
        made: Mapping[str, Pair],
        t: int,
    ) -> None:
        editor, change = self._editor, self._change
        for name, (color, opacity) in made.items():
            pixels = editor.pixels(
                name,
                None if color is None else color[0, :, t],
                None if opacity is None else opacity[0, 0, t],
            )
            if name in change.masks:
                mask = change.masks[name].soft_mask(index)
                pixels = blend_masked(editor.read(name, index), pixels, mask)
            editor.write_pixels(name, index, pixels)
        for name, source in change.sources.items():
            editor.write_pixels(name, index, source.frame(index))
        over = (self._pixels(name)(index) for name in self._cast.above)
        editor.write_ref(index, flatten((editor.pixels("", composite, None), *over)))

    def _save(self, latents: Tensor) -> None:
        """Keep the latents of what is new, for the next change."""
        cast, digest = self._cast, self._pipeline.info.digest
        layers: dict[str, dict[str, Tensor]] = {}
        for index, stream in enumerate(cast.layout.streams):
            name = "ref" if stream.role is StreamRole.composite else cast.layer(stream)
            if name == "ref" and cast.above:
                continue  # what is delivered shows more than the model drew
            if name is not None and (name == "ref" or cast.parts[name].fate is not Fate.kept):
                layers.setdefault(name, {})[stream.role.value] = latents[0, index]
        for name, tensors in layers.items():
            save_latents(self._editor.latents_path(name), tensors, digest)

    def _notes(self) -> list[str]:
        notes = [self._cast.note]
        if self._encoded:
            notes.append(f"encoded from pixels: {', '.join(self._encoded)}")
        if CLEAN_CONDITIONING not in self._pipeline.info.abilities and self._cast.frozen:
            notes.append("this model cannot be shown clean layers; held with fixed noise")
        return notes


def should_preview(step: Step) -> bool:
    """About three previews while denoising, the first as soon as something can be seen."""
    return step.done < step.total and step.done % max(step.total // 4, 1) == 0
