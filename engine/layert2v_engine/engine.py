"""The engine as a server or a command line drives it.

Finds models, reports progress, can be cancelled, writes stacks. Knows requests, progress and
folders; how layers are generated is the business of ``pipeline``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from layert2v.decompose import (
    SCRATCH_FOLDER,
    DecomposeSpec,
    RefineSpec,
    resolve_refine,
    validate_decompose,
    validate_refine,
)
from layert2v.rerender import AffectedLayers, RerenderSpec, affected_layers
from layert2v.spec import GenerateSpec, ModelInfo
from layert2v.stack import NetworkRecord, Role, Stack
from layert2v_engine.decompose.pipeline import Decomposition
from layert2v_engine.decompose.refine import Refinement
from layert2v_engine.decompose.stages import DefaultStages, Stages
from layert2v_engine.errors import (
    BadCheckpoint,
    BadConfig,
    InvalidSpec,
    ModelNotFound,
)
from layert2v_engine.generation import (
    MAX_NEW_SEED,
    declare_layers,
    make_provenance,
    open_writer,
    save_latents,
    validate_and_resolve,
    write_layers,
)
from layert2v_engine.image.exr_header import ExrOptions
from layert2v_engine.model.checkpoint import CheckpointConfig
from layert2v_engine.model.memory import MemoryOptions
from layert2v_engine.model.speed import SpeedOptions
from layert2v_engine.model_pool import ModelPool
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.progress import Progress, ProgressReporter, should_preview
from layert2v_engine.recipes.catalog import DEFAULT_RECIPE, find_recipe
from layert2v_engine.recipes.models import recipe_models
from layert2v_engine.recipes.preflight import check_recipe, recipe_networks
from layert2v_engine.rerender.execute import Rerender, apply_without_model
from layert2v_engine.rerender.prepare import prepare_rerender
from layert2v_engine.sampling.denoise import Step
from layert2v_engine.sampling.run_state import RunState
from layert2v_engine.stack.editor import StackEditor
from layert2v_engine.stack.state_writer import ColorOptions, WriterOptions
from layert2v_engine.weights.folder import WeightsFolder
from layert2v_engine.weights.ledger import require_commercial_use
from layert2v_engine.weights.models import model_records

__all__ = ["Engine", "Progress"]


class Engine:
    """Models by name, and layer stacks from them. Keeps the models in memory that fit there.

    ``weights`` is the folder with networks of others, by default in the user's data. Where
    ``commercial_only``, networks whose licence does not simply allow commercial use are refused.
    """

    def __init__(
        self,
        models: Path | None = None,
        device: str = "cpu",
        *,
        memory: MemoryOptions | None = None,
        speed: SpeedOptions | None = None,
        weights: Path | None = None,
        commercial_only: bool = False,
    ) -> None:
        """Find the models. memory: None chooses for each request what makes it fit."""
        self._commercial_only = commercial_only
        self._speed, self._device = speed, device
        self._weights = WeightsFolder(weights)
        self._pool = ModelPool(models, device, memory, speed)
        self._decompose_stages = DefaultStages(self._weights)
        self._recipe_models = recipe_models(self._weights)

    def models(self) -> tuple[ModelInfo, ...]:
        """Return the models whose index can be read, and then recipes that are like models."""
        return (*self._pool.infos(), *self._recipe_models.values())

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
        progress = ProgressReporter(folder, report, cancelled)
        with self._pool.raise_out_of_memory():
            if spec.model in self._recipe_models:
                return self._generate_by_recipe(spec, progress)
            return self._generate(spec, progress)

    def complete(self, spec: GenerateSpec) -> GenerateSpec:
        """Return a request with its defaults and a seed. Raises InvalidSpec, ModelNotFound."""
        recipe = self._recipe_models.get(spec.model)
        info = self._pool.config(spec.model).info if recipe is None else recipe
        return validate_and_resolve(spec, info)

    def is_recipe(self, model: str) -> bool:
        """Return whether a model is a recipe of networks of others."""
        return model in self._recipe_models

    def release_models(self) -> None:
        """Let all models in memory go."""
        self._pool.keep(0)

    def assist(self, spec: GenerateSpec) -> None:
        """Take part in a run that another process of the group writes, and write nothing.

        Raises what ``generate`` does.
        """
        with self._pool.raise_out_of_memory():
            config = self._pool.config(spec.model)
            spec = validate_and_resolve(spec, config.info)
            pipeline = self._pipeline_for(spec, config)
            pipeline.sample(spec, pipeline.plan(spec))

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
        with self._pool.raise_out_of_memory():
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
        with self._pool.raise_out_of_memory():
            self._pool.keep(1)  # nobody estimates what these networks take
            return Decomposition(spec, inputs, self._stages(spec), progress).run()

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
        with (
            self._pool.raise_out_of_memory(),
            StackEditor(folder, at=spec.at, options=options) as editor,
        ):
            violations = validate_refine(spec, editor.base)
            if violations:
                raise InvalidSpec(violations)
            editor.set_color_options(ColorOptions(source=editor.base.colorspace))
            spec = resolve_refine(spec, editor.base)
            stages = self._decompose_stages.stages
            self._check_licences(stages.networks)
            return Refinement(spec, editor, inputs, stages, progress).run()

    def _generate_by_recipe(self, spec: GenerateSpec, progress: ProgressReporter) -> Stack:
        """Carry out a request whose model is a recipe that begins with a sentence."""
        if self._speed is not None and self._speed.parallel is not None:
            raise BadConfig(f"The recipe {spec.model} runs on one device.", "Omit --parallel.")
        # Pipelines of diffusers take seconds to import, and most requests need none.
        from layert2v_engine.recipes.alpha import generate_alpha_stack
        from layert2v_engine.recipes.from_prompt import RecipeRun, generate_flat_stack

        generate = generate_alpha_stack if spec.model == "alpha" else generate_flat_stack
        recipe, device = find_recipe(spec.model), torch.device(self._device)
        self._pool.keep(1)  # nobody estimates what these networks take
        spec = validate_and_resolve(spec, self._recipe_models[spec.model])
        check_recipe(recipe, self._weights, device, with_words=False)
        self._check_licences([self._weights.state(n).network.record() for n in recipe.networks])
        run = RecipeRun(
            recipe=recipe,
            weights=self._weights,
            device=device,
            stages=self._decompose_stages.stages,
            progress=progress,
        )
        with closing(progress):
            return generate(spec, run)

    def _stages(self, spec: DecomposeSpec) -> Stages:
        """Return the networks of a request. Raises WeightsMissing, LicenceRefused, ..."""
        recipe = find_recipe(spec.recipe)
        if recipe.name != DEFAULT_RECIPE:
            with_words = any(each.words and not each.has_hints for each in spec.subjects)
            device = torch.device(self._device)
            check_recipe(recipe, self._weights, device, with_words=with_words)
            names = recipe_networks(recipe, with_words=with_words)
            self._check_licences([self._weights.state(n).network.record() for n in names])
            from layert2v_engine.recipes.stages import open_stages  # takes seconds to import

            included = self._decompose_stages.stages
            return open_stages(recipe, included, self._weights, device, with_words=with_words)
        self._check_licences(self._decompose_stages.stages.networks)
        return self._decompose_stages.stages

    def _generate(self, spec: GenerateSpec, progress: ProgressReporter) -> Stack:
        config = self._pool.config(spec.model)
        spec = validate_and_resolve(spec, config.info)
        networks = self._model_networks(spec.model, config)
        # The folder is claimed first: one that cannot be used must not cost the time of a model.
        # Removed before the writer ends: a folder that this run has made is taken back as a whole.
        state = RunState(progress.folder / SCRATCH_FOLDER)
        with open_writer(progress.folder, spec, config) as writer, closing(progress), state:
            progress.report("load", 0, 1, f"loading {spec.model}")
            pipeline = self._pipeline_for(spec, config)
            progress.report("load", 1, 1)
            progress.report("text", 0, 1, "reading the prompt")
            plan = pipeline.plan(spec)
            progress.report("text", 1, 1, f"understood as: {plan.interpretation}")

            def on_step(step: Step) -> None:
                if should_preview(step.done, step.total):
                    progress.set_preview(pipeline.decode_first_frame(step.estimate))
                progress.report("denoise", step.done, step.total)

            progress.report("denoise", 0, spec.steps)
            latents = pipeline.sample(spec, plan, on_step, state)
            layout = pipeline.layout(len(plan.foregrounds))
            declare_layers(writer, plan, layout, spec.seed or 0)
            on_group = partial(progress.report, "decode", 0, spec.frames)
            groups = pipeline.decode(latents, len(plan.foregrounds), on_group=on_group)
            write_layers(writer, groups, progress)
            save_latents(writer, layout, latents, pipeline.info.digest)
            provenance = replace(make_provenance(pipeline.info, spec, plan), networks=networks)
            return writer.finish(provenance, progress=partial(progress.report, "write"))

    def _rerender(
        self, spec: RerenderSpec, inputs: Mapping[str, Path], progress: ProgressReporter
    ) -> Stack:
        options = WriterOptions(exr=ExrOptions(compression=spec.compression))
        state = RunState(progress.folder / SCRATCH_FOLDER)
        editing = StackEditor(progress.folder, at=spec.at, options=options)
        with editing as editor, closing(progress), state:
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
            networks = self._model_networks(name, config) if config and plan.uses_model else ()
            self._check_licences(plan.networks)
            plan = replace(plan, networks=(*plan.networks, *networks))
            if not plan.uses_model:
                return apply_without_model(plan, editor, progress)
            progress.report("load", 0, 1, f"loading {name}")
            canvas = editor.format
            pipeline = self._pool.pipeline(
                name,
                size=(canvas.width, canvas.height),
                frames=canvas.frames,
                foregrounds=sum(layer.role is Role.foreground for layer in plan.layers),
            )
            progress.report("load", 1, 1)
            return Rerender(plan, editor, pipeline, progress, state).run()

    def _config_for(self, name: str, affected: AffectedLayers) -> CheckpointConfig | None:
        """Return the declarations of the model that may take part in a re-render.

        None where none takes part, or it is not here; the validation says so if that matters.
        Raises BadCheckpoint where more than ``ref`` is generated.
        """
        if not affected.updates_ref:
            return None
        absent = [ModelNotFound] if affected.needs_model else [ModelNotFound, BadCheckpoint]
        with suppress(*absent):
            return self._pool.config(name)
        return None

    def _model_networks(self, name: str, config: CheckpointConfig) -> tuple[NetworkRecord, ...]:
        """Return the networks of a model. Raises LicenceRefused."""
        records = model_records(self._pool.folder(name), config, self._weights)
        self._check_licences(records)
        return records

    def _check_licences(self, networks: Iterable[NetworkRecord]) -> None:
        if self._commercial_only:
            require_commercial_use(networks)

    def _pipeline_for(self, spec: GenerateSpec, config: CheckpointConfig) -> LayeredPipeline:
        return self._pool.pipeline(
            spec.model,
            size=(spec.width, spec.height),
            frames=spec.frames,
            foregrounds=len(spec.foreground_prompts) or config.info.max_foregrounds,
        )
