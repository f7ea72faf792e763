"""The rules of a request that changes a stack, and its defaults.

Knows what such a request may say, not how it is carried out: client, server and engine call the
same functions. The ``stack`` they take is the state that the request starts from with the whole
history, as ``layert2v.stack.read_start`` gives it; ``affected`` is what ``affected_layers`` returns
for the request and that stack. Use it through ``layert2v.rerender``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace

from layert2v.limits import MAX_LAYERS, MAX_NAME_CHARS, MAX_PROMPT_CHARS, MAX_SEED
from layert2v.rerender.affected import AffectedLayers, next_foreground, shadow_of
from layert2v.rerender.spec import AUTO, Plate, RerenderSpec
from layert2v.spec import FieldViolation, ModelInfo, check_compression, check_range
from layert2v.stack import Layer, Role, Stack

ACTIONS = ("regenerate", "replace", "add", "remove", "reorder")
ALPHAS = (AUTO, "premultiplied", "straight", "opaque")
FITS = ("exact", "fit")

_KEY = re.compile(r"[a-z0-9_]{1,64}")


def validate_rerender(
    spec: RerenderSpec, stack: Stack, affected: AffectedLayers, model: ModelInfo | None
) -> list[FieldViolation]:
    """Return everything that keeps ``spec`` from being carried out on ``stack``.

    ``model`` is the one that the request names, or the stack's; None where there is no such model.
    """
    too_large = check_lengths(spec)
    if too_large:
        return too_large  # what follows quotes names
    if spec.action not in ACTIONS:
        message = f"The action must be one of: {', '.join(ACTIONS)}."
        return [FieldViolation("action", message)]
    found = [*_check_layers(spec, stack), *_check_inputs(spec), *check_state(spec.at, stack)]
    if found:
        return found  # what follows speaks of layers that are there
    found = [
        *_check_prompts(spec, affected),
        *_check_masks(spec, stack, affected),
        *_check_numbers(spec),
        *check_compression(spec.compression),
    ]
    if uses_model(stack, affected, model):
        found += _check_model(spec, stack, affected, model)
    return found


def check_lengths(spec: RerenderSpec) -> list[FieldViolation]:
    """Return the fields that hold more names than a stack can have, or longer ones."""
    plate, donor = spec.plate, spec.donor
    names = {
        "action": [spec.action],
        "layers": spec.layers,
        "frozen": spec.frozen,
        "prompts": list(spec.prompts),
        "above": [spec.above],
        "plate": [] if plate is None else [plate.input, plate.colorspace, plate.alpha, plate.fit],
        "donor": [] if donor is None else [donor.input, donor.layer],
        "masks": [*spec.masks, *spec.masks.values()],
        "model": [spec.model],
    }
    found = []
    for field, values in names.items():
        if len(values) > 2 * MAX_LAYERS:
            message = f"There must be at most {2 * MAX_LAYERS} names, not {len(values)}."
            found.append(FieldViolation(field, message))
        elif any(len(value) > MAX_NAME_CHARS for value in values):
            message = f"A name must be at most {MAX_NAME_CHARS} characters."
            found.append(FieldViolation(field, message))
    return found


def check_plate(plate: Plate) -> Iterator[FieldViolation]:
    """Yield what is wrong with a plate, as far as the request tells."""
    if plate.alpha not in ALPHAS:
        yield FieldViolation("plate.alpha", f"The alpha must be one of: {', '.join(ALPHAS)}.")
    if plate.fit not in FITS:
        yield FieldViolation("plate.fit", f"The fit must be one of: {', '.join(FITS)}.")
    if not plate.colorspace:
        yield FieldViolation("plate.colorspace", "Say which color space the plate is in.")


def check_input_key(key: str) -> Iterator[FieldViolation]:
    """Yield what is wrong with the key of an input, which names a folder."""
    if not _KEY.fullmatch(key):
        message = f"The key {key!r} must be 1 to 64 lower-case letters, digits or underscores."
        yield FieldViolation("inputs", message)


def check_state(at: int, stack: Stack) -> Iterator[FieldViolation]:
    """Yield what is wrong with ``at``, the state of ``stack`` that a request starts from."""
    if not 0 <= at <= stack.state:
        message = f"There is no state v{at:03d}; the newest is v{stack.state:03d}."
        yield FieldViolation("at", message)


def uses_model(stack: Stack, affected: AffectedLayers, model: ModelInfo | None) -> bool:
    """Return whether a model takes part: it must, or ``ref`` changes and it can generate that.

    The request must name layers that are there.
    """
    if affected.needs_model or not affected.updates_ref:
        return affected.needs_model
    return model is not None and not list(_check_ability(stack, affected, model))


def validate_donor(spec: RerenderSpec, stack: Stack, other: Stack) -> list[FieldViolation]:
    """Return everything that keeps ``other``, the donor's stack, from giving the layer.

    ``spec`` must be valid for ``stack``.
    """
    donor = spec.donor
    if donor is None:
        return []
    layers = {layer.name: layer for layer in other.layers}
    if donor.layer not in layers:
        message = f"The other stack has no layer {donor.layer!r}; it has: {', '.join(layers)}."
        return [FieldViolation("donor.layer", message)]
    given = layers[donor.layer].role
    wanted = Role.foreground if spec.action == "add" else stack.layer(spec.layers[0]).role
    if given is not wanted:
        message = f"The layer must be a {wanted.value}, but {donor.layer} is a {given.value}."
        return [FieldViolation("donor.layer", message)]
    if donor.with_shadow and shadow_of(donor.layer, other) is None:
        message = f"{donor.layer} of the other stack has no shadow."
        return [FieldViolation("donor.with_shadow", message)]
    return []


def resolve_rerender(
    spec: RerenderSpec,
    stack: Stack,
    affected: AffectedLayers,
    model: ModelInfo | None,
    seed: int,
) -> RerenderSpec:
    """Return the request with every default filled in.

    ``seed`` is used where the artist gave none and a model takes part.
    """
    resolved = replace(
        spec,
        at=spec.at or stack.state,
        model=spec.model or stack.model,
        seed=seed if spec.seed is None and uses_model(stack, affected, model) else spec.seed,
    )
    if model is None:
        return resolved
    return replace(
        resolved,
        steps=spec.steps or model.default_steps,
        guidance=spec.guidance if spec.guidance >= 0 else model.default_guidance,
    )


def _check_layers(spec: RerenderSpec, stack: Stack) -> list[FieldViolation]:
    """Return what is wrong with the layers that are named, given the action."""
    there = {layer.name: layer for layer in stack.layers}
    if spec.action == "add":
        return _check_new_layer(spec, stack)
    if not spec.layers:
        return [FieldViolation("layers", "Name at least one layer.")]
    if len(set(spec.layers)) != len(spec.layers):
        return [FieldViolation("layers", "Name each layer once.")]
    asked = tuple(n for n in spec.layers if (spec.action, n) != ("regenerate", "ref"))
    found = [*_check_known("layers", asked, stack), *_check_known("frozen", spec.frozen, stack)]
    if found:
        return found
    if spec.above:
        found.append(FieldViolation("above", "Only a new layer is put above another."))
    frozen = [name for name in spec.layers if name in spec.frozen]
    if frozen:
        found.append(FieldViolation("frozen", f"{frozen[0]} cannot be frozen and changed at once."))
    named = [there[name] for name in asked]
    if spec.action == "replace" and (len(named) != 1 or named[0].role is Role.shadow):
        message = "Exactly one background or foreground is replaced at a time."
        found.append(FieldViolation("layers", message))
    if spec.action == "remove" and any(layer.role is Role.background for layer in named):
        message = "The background cannot be removed; replace it instead."
        found.append(FieldViolation("layers", message))
    if spec.action == "reorder":
        found += _check_order(named, stack)
    return found


def _check_new_layer(spec: RerenderSpec, stack: Stack) -> list[FieldViolation]:
    name = next_foreground(stack)
    if spec.layers != (name,):
        return [FieldViolation("layers", f"The new layer must be called {name}.")]
    shadow = name.replace("fg_", "shadow_")
    known = tuple(layer for layer in spec.frozen if layer != shadow)
    found = [
        replace(violation, message=f"{violation.message} The new ones are {name} and {shadow}.")
        for violation in _check_known("frozen", known, stack)
    ]
    grounds = [layer.name for layer in stack.layers if layer.role is not Role.shadow]
    if spec.above and spec.above not in grounds:
        message = f"There is no layer {spec.above!r} to put it above; choose from: "
        found.append(FieldViolation("above", message + ", ".join(grounds) + "."))
    return found


def _check_order(named: list[Layer], stack: Stack) -> list[FieldViolation]:
    whole = [layer.name for layer in stack.layers if layer.role is not Role.shadow]
    if sorted(layer.name for layer in named) != sorted(whole):
        message = f"Name all of these, from bottom to top: {', '.join(whole)}."
        return [FieldViolation("layers", message)]
    if any(layer.role is Role.background for layer in named[1:]):
        return [FieldViolation("layers", "The background stays at the bottom.")]
    if [layer.name for layer in named] == whole:
        return [FieldViolation("layers", "The layers are in this order already.")]
    return []


def _check_known(where: str, names: tuple[str, ...], stack: Stack) -> list[FieldViolation]:
    there = [layer.name for layer in stack.layers]
    return [
        FieldViolation(where, f"There is no layer {name!r}; there are: {', '.join(there)}.")
        for name in names
        if name not in there
    ]


def _check_inputs(spec: RerenderSpec) -> Iterator[FieldViolation]:
    """Yield what is wrong with the images that come along, as far as the request tells."""
    given = sum(source is not None for source in (spec.plate, spec.donor))
    if given and spec.action not in ("replace", "add"):
        field = "plate" if spec.plate is not None else "donor"
        yield FieldViolation(field, f"The action {spec.action} takes no pictures.")
    elif spec.action == "replace" and given != 1:
        yield FieldViolation("plate", "Give either a plate or a layer of another stack.")
    elif given > 1:
        yield FieldViolation("plate", "Give a plate or a layer of another stack, not both.")
    if spec.plate is not None:
        yield from check_plate(spec.plate)
    for key in spec.input_keys:
        yield from check_input_key(key)


def _check_prompts(spec: RerenderSpec, affected: AffectedLayers) -> Iterator[FieldViolation]:
    for name, text in spec.prompts.items():
        where = f"prompts[{name}]"
        if name not in affected.generated:
            message = f"{name} takes no prompt here; "
            message += f"generated layers are: {', '.join(affected.generated) or 'none'}."
            yield FieldViolation(where, message)
        elif not text.strip():
            yield FieldViolation(where, "A prompt must say something; leave it out otherwise.")
        elif len(text) > MAX_PROMPT_CHARS:
            message = f"The text must be at most {MAX_PROMPT_CHARS} characters, not {len(text)}."
            yield FieldViolation(where, message)
    if spec.action == "add" and affected.generates_named and spec.layers[0] not in spec.prompts:
        where = f"prompts[{spec.layers[0]}]"
        yield FieldViolation(where, "Write a prompt that says what should be added.")


def _check_masks(
    spec: RerenderSpec, stack: Stack, affected: AffectedLayers
) -> Iterator[FieldViolation]:
    there = {layer.name for layer in stack.layers}
    old = [name for name in affected.generated if name in there]
    for name in spec.masks:
        if name not in old:
            message = f"{name} takes no mask here; "
            message += f"layers that are generated again are: {', '.join(old) or 'none'}."
            yield FieldViolation(f"masks[{name}]", message)


def _check_numbers(spec: RerenderSpec) -> Iterator[FieldViolation]:
    if spec.seed is not None and not 0 <= spec.seed <= MAX_SEED:
        yield FieldViolation("seed", f"The seed must be between 0 and {MAX_SEED}.")
    if not 0 < spec.strength <= 1:
        yield FieldViolation("strength", "The strength must be above 0 and at most 1.")
    elif spec.strength < 1 and spec.action != "regenerate":
        yield FieldViolation(
            "strength", "Only a layer that is generated again has a strength below 1."
        )
    if not math.isfinite(spec.guidance):
        yield FieldViolation("guidance", "The guidance must be a finite number.")


def _check_model(
    spec: RerenderSpec, stack: Stack, affected: AffectedLayers, model: ModelInfo | None
) -> Iterator[FieldViolation]:
    """Yield what keeps ``model`` from generating what the request wants."""
    if model is None:
        name = spec.model or stack.model
        message = f"The model {name!r} is not here, and this request needs one."
        if not name:  # of footage
            message = "This stack was made without a model; name the one that should generate."
        if spec.action == "add" and not affected.generates_named:
            shadow = spec.layers[0].replace("fg_", "shadow_")
            message += f" It would only draw a shadow: freeze {shadow} to go without one."
        yield FieldViolation("model", message)
        return
    if spec.steps != 0:
        yield from check_range("steps", "The number of steps", spec.steps, model.steps_range)
    if spec.guidance >= 0:
        yield from check_range("guidance", "The guidance", spec.guidance, model.guidance_range)
    yield from _check_ability(stack, affected, model)


def _check_ability(
    stack: Stack, affected: AffectedLayers, model: ModelInfo
) -> Iterator[FieldViolation]:
    if "generate" not in model.abilities:
        message = f"{model.title} cannot generate layers; name a model that can."
        yield FieldViolation("model", message)
        return
    if not _offers_size(model, stack):
        message = (
            f"{model.title} cannot generate {stack.width} x {stack.height} pixels and "
            f"{stack.frames} frames, which the stack has; name a model that can, such as the one "
            "that made it."
        )
        yield FieldViolation("model", message)
    if affected.foreground_span > model.max_foregrounds:
        message = (
            f"{model.title} generates at most {model.max_foregrounds} foreground(s) at once, and "
            f"from the lowest to the highest of these it is {affected.foreground_span}; "
            "change them one after another."
        )
        yield FieldViolation("layers", message)
    there = {layer.name for layer in stack.layers if layer.role is Role.shadow}
    shadows = [name for name in affected.generated if name in there]
    if shadows and not model.makes_shadows:
        message = f"{model.title} makes no shadows; freeze {shadows[0]}, or remove it first."
        yield FieldViolation("frozen", message)


def _offers_size(model: ModelInfo, stack: Stack) -> bool:
    sides = ((stack.width, model.width_range), (stack.height, model.height_range))
    fits = all(low <= side <= high and side % model.size_step == 0 for side, (low, high) in sides)
    low, high = model.frames_range
    return fits and low <= stack.frames <= high and (stack.frames - 1) % model.frames_step == 0
