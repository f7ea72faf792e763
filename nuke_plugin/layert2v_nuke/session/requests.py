"""Requests for the server from the knobs of a LayerT2V node.

Whatever is wrong is a ``BadRequest`` with a sentence for the artist. Knows no host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from layert2v.errors import SpecError
from layert2v.placement import Placement, parse_placement
from layert2v.presets import Preset, apply_preset, find_preset
from layert2v.rerender import Plate, RerenderSpec, affected_layers, validate_rerender
from layert2v.spec import (
    COMPRESSIONS,
    FieldViolation,
    GenerateSpec,
    ModelInfo,
    fit_to_model,
    validate,
)
from layert2v.stack import Role, Stack
from layert2v_nuke.errors import BadRequest
from layert2v_nuke.graph.node import FOREGROUNDS, OWN_VALUES, PROJECT_COLORSPACE, shown_prompt
from layert2v_nuke.project import ProjectSettings

PLATE_INPUT = "plate"  # the key of the plate's folder among the uploads

Values = Mapping[str, Any]
Models = Mapping[str, ModelInfo]


def generate_spec(values: Values, project: ProjectSettings, models: Models) -> GenerateSpec:
    """Return the request for a new stack, its size and frames fitted to the model."""
    if not values["prompt"].strip():
        raise BadRequest("NO_PROMPT", "There is no prompt.", "Write in Prompt what should be seen.")
    model = _model(values, models)
    wanted = project if values["follow_project"] else _settings_of_knobs(values)
    preset = _preset(values, model)
    width, height, frames = wanted.width, wanted.height, max(wanted.frames, 0)
    if not (width or height):
        width, height = preset.width, preset.height
    width, height, frames = fit_to_model(model, width, height, frames or preset.frames)
    named = [n for n in range(1, FOREGROUNDS + 1) if values[f"foreground_{n}"].strip()]
    spec = GenerateSpec(
        prompt=values["prompt"],
        background_prompt=values["background"],
        foreground_prompts=tuple(values[f"foreground_{n}"].strip() for n in named),
        negative_prompt=values["negative"],
        width=width,
        height=height,
        frames=frames,
        fps=wanted.fps,
        seed=parse_seed(values["seed"]),
        steps=int(values["steps"]),
        guidance=float(values["guidance"]),
        model=model.name,
        colorspace=_colorspace(values, project, model),
        start_frame=wanted.first,
        nearest=takes_nearest(values),
        compression=chosen_compression(values),
        placements=_placements(values, named),
    )
    spec = apply_preset(spec, preset)
    raise_violations(validate(spec, model))
    return spec


def rerender_spec(
    values: Values, stack: Stack, layers: Sequence[str], models: Models
) -> RerenderSpec:
    """Return the request to generate ``layers`` of the state ``stack`` again.

    No layers means all that are not frozen.
    """
    frozen = _frozen_layers(values, stack)
    names = tuple(layers) or tuple(one.name for one in stack.layers if one.name not in frozen)
    if not names:
        raise BadRequest("FROZEN", "Every layer is frozen.", "Untick Freeze where one may change.")
    for name in names:
        if name in frozen:
            raise BadRequest("FROZEN", f"{name} is frozen.", "Untick its Freeze to draw it again.")
    prompts = {name: values[f"{name}_prompt"] for name in names}
    prefix = f"{names[0]}_" if len(names) == 1 else ""
    spec = RerenderSpec(
        action="regenerate",
        layers=names,
        prompts={
            name: text for name, text in prompts.items() if text != shown_prompt(stack.layer(name))
        },
        at=stack.state,
        seed=parse_seed(values[f"{prefix}seed"]),
        strength=float(values[f"{prefix}strength"]) if prefix else 1.0,
        steps=int(values["steps"]),
        guidance=float(values["guidance"]),
        model="" if stack.model else values["model"],  # footage has none of its own
        compression=chosen_compression(values),
        nearest=takes_nearest(values),
    )
    return _freeze_and_validate(spec, stack, frozen, models)


def lighting_spec(values: Values, stack: Stack, models: Models) -> RerenderSpec:
    """Return the request to draw the full video around all layers as they are."""
    spec = RerenderSpec(
        action="regenerate",
        layers=("ref",),
        at=stack.state,
        seed=parse_seed(values["seed"]),
        steps=int(values["steps"]),
        guidance=float(values["guidance"]),
        compression=chosen_compression(values),
    )
    return _freeze_and_validate(spec, stack, (), models)


def plate_spec(
    values: Values, stack: Stack, layer: str, colorspace: str, models: Models
) -> RerenderSpec:
    """Return the request to replace a layer by the images of an input."""
    alpha = "opaque" if stack.layer(layer).role is Role.background else "premultiplied"
    spec = RerenderSpec(
        action="replace",
        layers=(layer,),
        plate=Plate(input=PLATE_INPUT, colorspace=colorspace, alpha=alpha, fit="fit"),
        at=stack.state,
        steps=int(values["steps"]),
        guidance=float(values["guidance"]),
        compression=chosen_compression(values),
    )
    return _freeze_and_validate(spec, stack, _frozen_layers(values, stack), models)


def _preset(values: Values, model: ModelInfo) -> Preset:
    """Return the chosen preset of a model, or one that says nothing."""
    name = str(values.get("preset", OWN_VALUES))  # nodes of before do not have the knob
    if name == OWN_VALUES:
        return Preset("")
    try:
        return find_preset(name, model.title, model.presets)
    except SpecError as error:
        raise BadRequest("NO_PRESET", error.message, error.hint) from error


def _placements(values: Values, named: Sequence[int]) -> tuple[Placement, ...]:
    """Return the regions of the foregrounds that have a prompt; nodes of before have no knobs."""
    texts = [str(values.get(f"place_{number}", "")).strip() for number in named]
    try:
        return tuple(parse_placement(text, k) for k, text in enumerate(texts, 1) if text)
    except SpecError as error:
        raise BadRequest("PLACE_WRONG", error.message) from error


def chosen_compression(values: Values) -> str:
    """Return the compression of new files that the node's knob names."""
    return str(values.get("compression", COMPRESSIONS[0]))  # nodes of before do not have the knob


def takes_nearest(values: Values) -> bool:
    """Return whether the subject nearest in meaning may stand for one that is not known."""
    return bool(values.get("nearest", False))  # nodes of before do not have the knob


def plate_colorspace(values: Values, project: ProjectSettings) -> str:
    """Return the space that an input is rendered in: the project's working space."""
    if project.working_space:
        return project.working_space
    raise BadRequest(
        "WORKING_SPACE_UNKNOWN",
        "The name of this project's working space does not say which space it is.",
        "Convert the input to ACEScg or to Linear Rec.709 in a project that names one of them.",
    )


def raise_violations(violations: Sequence[FieldViolation]) -> None:
    """Raise ``BadRequest`` with all that is wrong with a request."""
    if violations:
        raise BadRequest("REQUEST_INVALID", " ".join(one.message for one in violations))


def parse_seed(text: str) -> int | None:
    """Return the seed in a text knob, since Nuke's integers have 32 bits; None where empty."""
    stripped = text.strip()
    if not stripped:
        return None
    if not (stripped.isascii() and stripped.isdecimal()):
        raise BadRequest("SEED_WRONG", "The seed is not a whole number.", "Empty it for a new one.")
    return int(stripped)


def _settings_of_knobs(values: Values) -> ProjectSettings:
    width, height, start = (int(values[name]) for name in ("width", "height", "start"))
    last = start + int(values["frames"]) - 1
    return ProjectSettings(width, height, start, last, float(values["fps"]))


def _model(values: Values, models: Models) -> ModelInfo:
    if values["model"] in models:
        return models[values["model"]]
    available = ", ".join(models) or "none"
    raise BadRequest(
        "MODEL_NOT_FOUND", f"The server has no model {values['model']!r}.", f"It has: {available}."
    )


def _colorspace(values: Values, project: ProjectSettings, model: ModelInfo) -> str:
    if values["colorspace"] != PROJECT_COLORSPACE:
        return str(values["colorspace"])
    offered = project.working_space in model.colorspaces
    return project.working_space if offered else GenerateSpec.colorspace


def _frozen_layers(values: Values, stack: Stack) -> tuple[str, ...]:
    return tuple(layer.name for layer in stack.layers if values[f"{layer.name}_freeze"])


def _freeze_and_validate(
    spec: RerenderSpec, stack: Stack, frozen: Sequence[str], models: Models
) -> RerenderSpec:
    dependent = affected_layers(spec, stack).dependent  # only these need freezing
    spec = replace(spec, frozen=tuple(name for name in frozen if name in dependent))
    affected = affected_layers(spec, stack)
    raise_violations(
        validate_rerender(spec, stack, affected, models.get(spec.model or stack.model))
    )
    return spec
