"""What a server or a command line drives: finds models, reports progress, listens for a stop,
writes stacks.

Knows requests, progress and folders; how a picture is drawn is the business of `pipeline`.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from layert2v.spec import GenerateSpec, ModelInfo, resolve, spec_to_json, validate
from layert2v.stack import Role, Stack
from layert2v_engine.errors import (
    BadCheckpoint,
    Cancelled,
    ColorError,
    InvalidSpec,
    ModelNotFound,
    OutOfMemory,
)
from layert2v_engine.layers import LayerFrames
from layert2v_engine.layout import Stream, StreamLayout, StreamRole
from layert2v_engine.model.checkpoint import CheckpointConfig, read_index
from layert2v_engine.pipeline import LayeredPipeline, find_models
from layert2v_engine.prompts import PromptPlan
from layert2v_engine.sampling.denoise import Step
from layert2v_engine.stack.color import ColorConfig
from layert2v_engine.stack.deliver import Provenance, StackWriter
from layert2v_engine.stack.files import appearing
from layert2v_engine.stack.preview import FOLDER

# Share of a job's time per stage, measured on two cores with the Mini; only the bar depends on it.
STAGE_SHARES = {"load": 0.25, "text": 0.05, "denoise": 0.5, "decode": 0.15, "write": 0.05}
PREVIEW_NAME = "progress.png"
NAME_LENGTH = 40
NEW_SEEDS = 2**31  # short enough to be read aloud


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a job is: `done` of `total` in its stage, `fraction` in 0..1 over the whole job.

    stage: load, text, denoise, decode or write. `preview` is a picture (PNG) to show meanwhile.
    """

    stage: str
    done: int
    total: int
    message: str = ""
    preview: Path | None = None
    fraction: float = 0.0
    eta_s: float | None = None


class Engine:
    """Models by name, and layer stacks from them. Keeps the last used model in memory."""

    def __init__(self, models: Path | None = None, device: str = "cpu") -> None:
        self._folders = find_models(models)
        self._device = device
        self._loaded: tuple[str, LayeredPipeline] | None = None

    def models(self) -> tuple[ModelInfo, ...]:
        """What can be asked for: the models whose index can be read."""
        readable = []
        for folder in self._folders.values():
            with suppress(BadCheckpoint):  # logged when it was found, raised when asked for
                readable.append(read_index(folder).info)
        return tuple(readable)

    def generate(
        self,
        spec: GenerateSpec,
        folder: Path,
        *,
        report: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> Stack:
        """Write the stack a request asks for into `folder` (created).

        Raises InvalidSpec, ModelNotFound, BadCheckpoint, Cancelled, DiskFull, OutOfMemory or
        StackError; then no manifest and no half-written file is left in the folder.
        """
        try:
            return self._generate(spec, _Job(folder, report, cancelled))
        except (MemoryError, torch.OutOfMemoryError) as error:
            raise OutOfMemory(
                "There was not enough memory for this request.",
                "Ask for fewer frames, a smaller size or fewer foregrounds.",
            ) from error

    def _generate(self, spec: GenerateSpec, job: _Job) -> Stack:
        config = self._config(spec.model)
        spec = _accepted(spec, config.info)
        # The folder is claimed first: one that cannot be used must not cost the time of a model.
        with _open_writer(job.folder, spec, config) as writer, closing(job):
            job.tell("load", 0, 1, f"loading {spec.model}")
            pipeline = self._pipeline(spec.model)
            job.tell("load", 1, 1)
            job.tell("text", 0, 1, "reading the prompt")
            plan = pipeline.plan(spec)
            job.tell("text", 1, 1, f"understood as: {plan.understood}")

            def on_step(step: Step) -> None:
                if _worth_a_look(step):
                    job.show(pipeline.first_frame(step.estimate))
                job.tell("denoise", step.done, step.total)

            job.tell("denoise", 0, spec.steps)
            latents = pipeline.sample(spec, plan, on_step)
            _declare_layers(writer, plan, spec.seed or 0)
            _write_layers(writer, pipeline.decode(latents, len(plan.foregrounds)), job)
            _save_latents(writer, plan, latents, pipeline.info.digest)
            provenance = _provenance(pipeline.info, spec, plan)
            return writer.finish(provenance, progress=partial(job.tell, "write"))

    def _config(self, name: str) -> CheckpointConfig:
        """What a model declares: that of the weights in memory, if it is there."""
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


class _Job:
    """The caller's side of one request: progress, previews, and the wish to stop."""

    def __init__(
        self, folder: Path, report: Callable[[Progress], None], cancelled: Callable[[], bool]
    ) -> None:
        self.folder = folder
        self._report, self._cancelled = report, cancelled
        self._began = time.monotonic()
        self._preview: Path | None = None

    def tell(self, stage: str, done: int, total: int, message: str = "") -> None:
        """Report progress. Raises Cancelled when the caller wants to stop."""
        if self._cancelled():
            raise Cancelled("The job was cancelled.")
        stages = list(STAGE_SHARES)
        before = sum(STAGE_SHARES[s] for s in stages[: stages.index(stage)])
        fraction = before + STAGE_SHARES[stage] * done / total
        spent = time.monotonic() - self._began
        eta_s = spent * (1 - fraction) / fraction if fraction > 0.1 else None
        self._report(
            Progress(
                stage=stage,
                done=done,
                total=total,
                message=message,
                preview=self._preview,
                fraction=min(fraction, 1.0),
                eta_s=eta_s,
            )
        )

    def show(self, picture: Tensor) -> None:
        """Make a picture [3, H, W] in 0..1 the preview of the reports to come."""
        path = self.folder / FOLDER / PREVIEW_NAME
        pixels = (picture.clamp(0, 1) * 255).round().byte().movedim(0, -1).cpu().numpy()
        with appearing(path) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")
        self._preview = path

    def close(self) -> None:
        """Take the preview back: a finished stack has better ones, an aborted one has none."""
        if self._preview is not None:
            self._preview.unlink(missing_ok=True)


def stack_name(prompt: str) -> str:
    """The first words of a prompt as a name that files and nodes can carry."""
    words = re.findall(r"[a-z0-9]+", prompt.lower())
    return "_".join(words)[:NAME_LENGTH].strip("_") or "stack"


def _worth_a_look(step: Step) -> bool:
    """About three previews while denoising, the first as soon as something can be seen."""
    return step.done < step.total and step.done % max(step.total // 4, 1) == 0


def _accepted(spec: GenerateSpec, info: ModelInfo) -> GenerateSpec:
    """The request with everything filled in. Raises InvalidSpec for one the model cannot answer."""
    spec = replace(spec, colorspace=_offered(spec.colorspace, info.colorspaces))
    violations = validate(spec, info)
    if violations:
        raise InvalidSpec(violations)
    return resolve(spec, info, secrets.randbelow(NEW_SEEDS))


def _offered(colorspace: str, offered: Collection[str]) -> str:
    """The one of the colour spaces `offered` that is meant by a name, an alias or an interop id;
    what was given, where there is none.
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
        name=stack_name(spec.prompt),
        width=spec.width,
        height=spec.height,
        fps=spec.fps,
        start_frame=spec.start_frame,
        frames=spec.frames,
        colorspace=spec.colorspace,
        source_colorspace=config.info.source_colorspace,
        shadow_domain=config.shadow_domain,
    )


def _provenance(info: ModelInfo, spec: GenerateSpec, plan: PromptPlan) -> Provenance:
    return Provenance(
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        seed=spec.seed or 0,
        model=info.name,
        model_digest=info.digest,
        understood=plan.understood,
        warnings=plan.warnings,
        spec=spec_to_json(spec),
    )


def _declare_layers(writer: StackWriter, plan: PromptPlan, seed: int) -> None:
    writer.add_layer("bg", Role.background, prompt=plan.background, seed=seed)
    for number, prompt in enumerate(plan.foregrounds, 1):
        name = f"fg_{number:02d}"
        writer.add_layer(f"shadow_{number:02d}", Role.shadow, prompt=prompt, seed=seed, caster=name)
        writer.add_layer(name, Role.foreground, prompt=prompt, seed=seed)


def _write_layers(writer: StackWriter, groups: Iterable[LayerFrames], job: _Job) -> None:
    index = 0
    for group in groups:
        for t in range(group.composite.shape[2]):
            _write_frame(writer, group, t, index)
            index += 1
            job.tell("decode", index, writer.format.frames)


def _write_frame(writer: StackWriter, group: LayerFrames, t: int, index: int) -> None:
    writer.write_ref(index, group.composite[0, :, t])
    writer.write_frame("bg", index, group.background[0, :, t])
    for number, actor in enumerate(group.foregrounds, 1):
        if actor.shadow is not None:
            writer.write_frame(f"shadow_{number:02d}", index, None, actor.shadow[0, 0, t])
        writer.write_frame(f"fg_{number:02d}", index, actor.colour[0, :, t], actor.alpha[0, 0, t])


def _save_latents(writer: StackWriter, plan: PromptPlan, latents: Tensor, digest: str) -> None:
    """Whitened latents [C, F, h, w] by layer and stream role, float16: what a re-render starts
    from."""
    layers: dict[str, dict[str, Tensor]] = {}
    for index, stream in enumerate(StreamLayout.for_foregrounds(len(plan.foregrounds)).streams):
        tensor = latents[0, index].half().cpu().contiguous()
        layers.setdefault(_layer_name(stream), {})[stream.role.value] = tensor
    for name, tensors in layers.items():
        with appearing(writer.latents_path(name)) as temporary:
            temporary.write_bytes(save(tensors, {"model_digest": digest}))


def _layer_name(stream: Stream) -> str:
    """The layer that a stream is drawn for; the composite is kept as `ref`."""
    if stream.foreground is None:
        return "bg" if stream.role is StreamRole.background else "ref"
    prefix = "shadow" if stream.role is StreamRole.shadow else "fg"
    return f"{prefix}_{stream.foreground:02d}"
