"""A request for a generated stack, made complete, and the files of its first state.

Knows models by what they declare, and layers as tensors; which model runs, and how, is the business
of ``engine``.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from layert2v.spec import GenerateSpec, ModelInfo, resolve, spec_to_json, validate
from layert2v.stack import Role, slug
from layert2v_engine.errors import ColorError, InvalidSpec
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.exr_header import ExrOptions
from layert2v_engine.layout import Stream, StreamLayout, StreamRole
from layert2v_engine.model.checkpoint import CheckpointConfig
from layert2v_engine.progress import ProgressReporter
from layert2v_engine.prompting.planner import PromptPlan
from layert2v_engine.rerender.latents import save_latents as save_layer_latents
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.writer import StackWriter
from layert2v_engine.stream_codec import LayerFrames

MAX_NEW_SEED = 2**31  # short enough to be read aloud


def validate_and_resolve(spec: GenerateSpec, info: ModelInfo) -> GenerateSpec:
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


def open_writer(folder: Path, spec: GenerateSpec, config: CheckpointConfig) -> StackWriter:
    """Claim a folder for the stack of a resolved request. Raises StackError."""
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


def make_provenance(info: ModelInfo, spec: GenerateSpec, plan: PromptPlan) -> Provenance:
    """Return where the stack comes from."""
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


def declare_layers(writer: StackWriter, plan: PromptPlan, layout: StreamLayout, seed: int) -> None:
    """Name the layers, from bottom to top."""
    writer.add_layer("bg", Role.background, prompt=plan.background, seed=seed)
    for number, prompt in enumerate(plan.foregrounds, 1):
        name, shadow = f"fg_{number:02d}", f"shadow_{number:02d}"
        if shadow in layout.names:
            writer.add_layer(shadow, Role.shadow, prompt=prompt, seed=seed, caster=name)
        writer.add_layer(name, Role.foreground, prompt=prompt, seed=seed)


def write_layers(
    writer: StackWriter, groups: Iterable[LayerFrames], progress: ProgressReporter
) -> None:
    """Write decoded frames as they come."""
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


def save_latents(writer: StackWriter, layout: StreamLayout, latents: Tensor, digest: str) -> None:
    """Save what a re-render starts from."""
    layers: dict[str, dict[str, Tensor]] = {}
    for index, stream in enumerate(layout.streams):
        layers.setdefault(_layer_name(stream), {})[stream.role.value] = latents[0, index]
    for name, tensors in layers.items():
        save_layer_latents(writer.latents_path(name), tensors, digest)


def _layer_name(stream: Stream) -> str:
    """Return the layer that a stream belongs to; the composite is delivered as ``ref``."""
    if stream.foreground is None:
        return "bg" if stream.role is StreamRole.background else "ref"
    prefix = "shadow" if stream.role is StreamRole.shadow else "fg"
    return f"{prefix}_{stream.foreground:02d}"
