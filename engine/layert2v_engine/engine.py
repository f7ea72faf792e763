"""The engine as a server or a command line drives it.

Finds models, reports progress, can be cancelled, writes stacks. Knows requests, progress and
folders; how layers are generated is the business of ``pipeline``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from layert2v.decompose import (
    DecomposeSpec,
    RefineSpec,
    resolve_refine,
    validate_decompose,
    validate_refine,
)
from layert2v.rerender import AffectedLayers, RerenderSpec, affected_layers
from layert2v.spec import GenerateSpec, ModelInfo, resolve, spec_to_json, validate
from layert2v.stack import Role, Stack, slug
from layert2v_engine.decompose.pipeline import Decomposition
from layert2v_engine.decompose.refine import Refinement
from layert2v_engine.decompose.stages import DefaultStages
from layert2v_engine.errors import (
    BadCheckpoint,
    ColorError,
    InvalidSpec,
    ModelNotFound,
    OutOfMemory,
)
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.exr import ExrOptions
from layert2v_engine.layout import Stream, StreamLayout, StreamRole
from layert2v_engine.model.checkpoint import CheckpointConfig, read_index
from layert2v_engine.pipeline import LayeredPipeline, find_models
from layert2v_engine.progress import Progress, ProgressReporter, should_preview
from layert2v_engine.prompting.planner import PromptPlan
from layert2v_engine.rerender.execute import Rerender, apply_without_model
from layert2v_engine.rerender.latents import save_latents
from layert2v_engine.rerender.prepare import prepare_rerender
from layert2v_engine.sampling.denoise import Step
from layert2v_engine.stack.editor import StackEditor
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.state_writer import ColorOptions, WriterOptions
from layert2v_engine.stack.writer import StackWriter
from layert2v_engine.stream_codec import LayerFrames

__all__ = ["Engine", "Progress"]

MAX_NEW_SEED = 2**31  # short enough to be read aloud


class Engine:
    """Models by name, and layer stacks from them. Keeps the last used model in memory."""

    def __init__(self, models: Path | None = None, device: str = "cpu") -> None:
        self._folders = find_models(models)
        self._device = device
        self._loaded: tuple[str, LayeredPipeline] | None = None
        self._decompose_stages = DefaultStages()

    def models(self) -> tuple[ModelInfo, ...]:
        """Return the models whose index can be read."""
        infos = []
        for folder in self._folders.values():
            with suppress(BadCheckpoint):  # logged when it was found, raised when asked for
                infos.append(read_index(folder).info)
        return tuple(infos)

    def generate(
        self,
        spec: GenerateSpec,
        folder: Path,
        *,
        report: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> Stack:
        """Write the stack a request asks for into ``folder`` (created).

        Raises InvalidSpec, ModelNotFound, BadCheckpoint, Cancelled, DiskFull, OutOfMemory or
        StackError; then no manifest and no half-written file is left in the folder.
        """
        with _raise_out_of_memory():
            return self._generate(spec, ProgressReporter(folder, report, cancelled))

    def rerender(
        self,
        spec: RerenderSpec,
        folder: Path,
        *,
        inputs: Mapping[str, Path],
        report: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> Stack:
        """Write the state a request asks for into the stack in ``folder``.

        Nothing there is changed. inputs: by key, the folder of a donor's stack, of a plate's or of
        a mask's images. Raises what ``generate`` does, FootageError and ColorError; whatever was
        written is then removed.
        """
        with _raise_out_of_memory():
            return self._rerender(spec, inputs, ProgressReporter(folder, report, cancelled))

    def decompose(
        self,
        spec: DecomposeSpec,
        folder: Path,
        *,
        inputs: Mapping[str, Path],
        report: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> Stack:
        """Write the layers of footage as a new stack into ``folder`` (created).

        inputs: by key, folders of frames or of one movie, or files. What a killed run had finished
        lies in ``folder`` and is taken up again. Raises InvalidSpec, FootageError, ColorError,
        BadCheckpoint, Cancelled, DiskFull, OutOfMemory or StackError; then nothing is left there.
        """
        violations = validate_decompose(spec)
        if violations:
            raise InvalidSpec(violations)
        progress = ProgressReporter(folder, report, cancelled)
        with _raise_out_of_memory():
            stages = self._decompose_stages.stages
            return Decomposition(spec, inputs, stages, progress).run()

    def refine(
        self,
        spec: RefineSpec,
        folder: Path,
        *,
        inputs: Mapping[str, Path],
        report: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> Stack:
        """Write a new state of the stack in ``folder`` with another matte for one foreground.

        Nothing there is changed. inputs: by key, images of the matte and of a clean plate. Raises
        what ``decompose`` does; whatever was written is then removed.
        """
        progress = ProgressReporter(folder, report, cancelled)
        options = WriterOptions(exr=ExrOptions(compression=spec.compression))
        with _raise_out_of_memory(), StackEditor(folder, at=spec.at, options=options) as editor:
            violations = validate_refine(spec, editor.base)
            if violations:
                raise InvalidSpec(violations)
            editor.set_color_options(ColorOptions(source=editor.base.colorspace))
            spec = resolve_refine(spec, editor.base)
            stages = self._decompose_stages.stages
            return Refinement(spec, editor, inputs, stages, progress).run()

    def _generate(self, spec: GenerateSpec, progress: ProgressReporter) -> Stack:
        config = self._config(spec.model)
        spec = _validate_and_resolve(spec, config.info)
        # The folder is claimed first: one that cannot be used must not cost the time of a model.
        with _open_writer(progress.folder, spec, config) as writer, closing(progress):
            progress.report("load", 0, 1, f"loading {spec.model}")
            pipeline = self._pipeline(spec.model)
            progress.report("load", 1, 1)
            progress.report("text", 0, 1, "reading the prompt")
            plan = pipeline.plan(spec)
            progress.report("text", 1, 1, f"understood as: {plan.interpretation}")

            def on_step(step: Step) -> None:
                if should_preview(step.done, step.total):
                    progress.set_preview(pipeline.decode_first_frame(step.estimate))
                progress.report("denoise", step.done, step.total)

            progress.report("denoise", 0, spec.steps)
            latents = pipeline.sample(spec, plan, on_step)
            layout = pipeline.layout(len(plan.foregrounds))
            _declare_layers(writer, plan, layout, spec.seed or 0)
            _write_layers(writer, pipeline.decode(latents, len(plan.foregrounds)), progress)
            _save_latents(writer, layout, latents, pipeline.info.digest)
            provenance = _make_provenance(pipeline.info, spec, plan)
            return writer.finish(provenance, progress=partial(progress.report, "write"))

    def _rerender(
        self, spec: RerenderSpec, inputs: Mapping[str, Path], progress: ProgressReporter
    ) -> Stack:
        options = WriterOptions(exr=ExrOptions(compression=spec.compression))
        with StackEditor(progress.folder, at=spec.at, options=options) as editor, closing(progress):
            affected = affected_layers(spec, editor.base)
            name = spec.model or editor.base.model
            config = self._config_for(name, affected)
            if config is not None:
                source = config.info.source_colorspace
                editor.set_color_options(
                    ColorOptions(source=source, shadow_domain=config.shadow_domain)
                )
            info = config.info if config else None
            seed = secrets.randbelow(MAX_NEW_SEED)
            plan = prepare_rerender(spec, editor, affected, inputs, info, seed)
            if not plan.uses_model:
                return apply_without_model(plan, editor, progress)
            progress.report("load", 0, 1, f"loading {name}")
            pipeline = self._pipeline(name)
            progress.report("load", 1, 1)
            return Rerender(plan, editor, pipeline, progress).run()

    def _config_for(self, name: str, affected: AffectedLayers) -> CheckpointConfig | None:
        """Return the declarations of the model that may take part in a re-render.

        None where none takes part, or it is not here; the validation says so if that matters.
        Raises BadCheckpoint where more than ``ref`` is generated.
        """
        if not affected.updates_ref:
            return None
        absent = [ModelNotFound] if affected.needs_model else [ModelNotFound, BadCheckpoint]
        with suppress(*absent):
            return self._config(name)
        return None

    def _config(self, name: str) -> CheckpointConfig:
        """Return what a model declares: that of the weights in memory, if it is there."""
        if self._loaded is not None and self._loaded[0] == name:
            return self._loaded[1].config
        if name not in self._folders:
            known = ", ".join(self._folders) or "none"
            raise ModelNotFound(
                f"There is no model called {name!r} here.", f"Models here: {known}."
            )
        return read_index(self._folders[name])

    def _pipeline(self, name: str) -> LayeredPipeline:
        if self._loaded is None or self._loaded[0] != name:
            self._loaded = None  # two models at once may not fit
            pipeline = LayeredPipeline.from_pretrained(self._folders[name], device=self._device)
            self._loaded = (name, pipeline)
        return self._loaded[1]


@contextmanager
def _raise_out_of_memory() -> Iterator[None]:
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory(
            "There was not enough memory for this request.",
            "Ask for fewer frames, a smaller size or fewer foregrounds.",
        ) from error


def _validate_and_resolve(spec: GenerateSpec, info: ModelInfo) -> GenerateSpec:
    """Return the request with defaults filled in. Raises InvalidSpec for one outside its limits."""
    spec = replace(spec, colorspace=_match_colorspace(spec.colorspace, info.colorspaces))
    violations = validate(spec, info)
    if violations:
        raise InvalidSpec(violations)
    return resolve(spec, info, secrets.randbelow(MAX_NEW_SEED))


def _match_colorspace(colorspace: str, offered: Collection[str]) -> str:
    """Return the color space among ``offered`` that a name, an alias or an interop id means.

    The name itself where there is none.
    """
    if colorspace in offered:
        return colorspace
    try:
        found = ColorConfig.load().find(colorspace).interop_id
    except ColorError:
        return colorspace
    return found if found in offered else colorspace


def _open_writer(folder: Path, spec: GenerateSpec, config: CheckpointConfig) -> StackWriter:
    return StackWriter(
        folder,
        name=slug(spec.prompt),
        width=spec.width,
        height=spec.height,
        fps=spec.fps,
        start_frame=spec.start_frame,
        frames=spec.frames,
        colorspace=spec.colorspace,
        source_colorspace=config.info.source_colorspace,
        shadow_domain=config.shadow_domain,
        exr=ExrOptions(compression=spec.compression),
    )


def _make_provenance(info: ModelInfo, spec: GenerateSpec, plan: PromptPlan) -> Provenance:
    return Provenance(
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        seed=spec.seed or 0,
        model=info.name,
        model_digest=info.digest,
        prompt_interpretation=plan.interpretation,
        warnings=plan.warnings,
        spec=spec_to_json(spec),
    )


def _declare_layers(writer: StackWriter, plan: PromptPlan, layout: StreamLayout, seed: int) -> None:
    writer.add_layer("bg", Role.background, prompt=plan.background, seed=seed)
    for number, prompt in enumerate(plan.foregrounds, 1):
        name, shadow = f"fg_{number:02d}", f"shadow_{number:02d}"
        if shadow in layout.names:
            writer.add_layer(shadow, Role.shadow, prompt=prompt, seed=seed, caster=name)
        writer.add_layer(name, Role.foreground, prompt=prompt, seed=seed)


def _write_layers(
    writer: StackWriter, groups: Iterable[LayerFrames], progress: ProgressReporter
) -> None:
    index = 0
    for group in groups:
        for t in range(group.composite.shape[2]):
            _write_frame(writer, group, t, index)
            index += 1
            progress.report("decode", index, writer.format.frames)


def _write_frame(writer: StackWriter, group: LayerFrames, t: int, index: int) -> None:
    writer.write_ref(index, group.composite[0, :, t])
    writer.write_frame("bg", index, group.background[0, :, t])
    for number, foreground in enumerate(group.foregrounds, 1):
        if foreground.shadow is not None:
            writer.write_frame(f"shadow_{number:02d}", index, None, foreground.shadow[0, 0, t])
        writer.write_frame(
            f"fg_{number:02d}", index, foreground.color[0, :, t], foreground.alpha[0, 0, t]
        )


def _save_latents(writer: StackWriter, layout: StreamLayout, latents: Tensor, digest: str) -> None:
    """Save what a re-render starts from."""
    layers: dict[str, dict[str, Tensor]] = {}
    for index, stream in enumerate(layout.streams):
        layers.setdefault(_layer_name(stream), {})[stream.role.value] = latents[0, index]
    for name, tensors in layers.items():
        save_latents(writer.latents_path(name), tensors, digest)


def _layer_name(stream: Stream) -> str:
    """Return the layer that a stream belongs to; the composite is delivered as ``ref``."""
    if stream.foreground is None:
        return "bg" if stream.role is StreamRole.background else "ref"
    prefix = "shadow" if stream.role is StreamRole.shadow else "fg"
    return f"{prefix}_{stream.foreground:02d}"
