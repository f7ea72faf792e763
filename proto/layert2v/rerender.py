"""Requests that change a stack: draw a layer again, swap, add, remove, reorder; one validation.

Knows the rules of such a request and what it touches, not how it is carried out: client, server
and engine call the same functions. The ``stack`` they take is the state that the request starts
from with the whole history, as ``layert2v.stack.read_start`` gives it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from layert2v.errors import SpecError
from layert2v.spec import MAX_PROMPT_CHARS, MAX_SEED, FieldViolation, ModelInfo, between
from layert2v.stack import FileRecord, Layer, Role, Stack
from layert2v.strict import Fields

ACTIONS = ("regenerate", "replace", "add", "remove", "reorder")
ALPHAS = ("premultiplied", "straight", "opaque")
FITS = ("exact", "fit")
CLEAN_CONDITIONING = "clean_conditioning"

_KEY = re.compile(r"[a-z0-9_]{1,64}")  # an input's key names a folder
_NUMBERED = re.compile(r"fg_(\d{2,})")


@dataclass(frozen=True)
class Plate:
    """Pictures of the artist's own: ``input`` is the key of a folder of frames, sorted by name.

    ``colorspace`` is any OCIO space. ``alpha`` says how colour and alpha are related: one of
    ``ALPHAS``. ``fit``: ``exact`` refuses other sizes than the stack's, ``fit`` scales them.
    """

    input: str
    colorspace: str
    alpha: str = "premultiplied"
    fit: str = "exact"


@dataclass(frozen=True)
class Donor:
    """A layer of another stack, scaled to fit: ``input`` is the key of that stack's folder."""

    input: str
    layer: str
    with_shadow: bool = False


@dataclass(frozen=True)
class RerenderSpec:
    """What the artist wants changed.

    ``layers`` are, by ``action``: ``regenerate`` those that are drawn again; ``replace`` the one
    that takes the pixels of ``plate`` or ``donor``; ``add`` the name of the new one, which is
    ``next_foreground``; ``remove`` those that go, a foreground with its shadow; ``reorder`` the
    background and all foregrounds from bottom to top, shadows follow.

    ``frozen`` layers stay although they would follow. ``prompts`` has the new prompts by layer;
    others keep theirs. ``above`` is the layer that a new one lies on, "" for the topmost.
    ``masks`` are keys of folders by layer: where a mask is white, the old pixels stay. ``at`` is
    the state to start from, 0 the newest. ``strength`` in 0..1 is how far from the old picture
    the new one may go; 1 forgets it. ``seed`` None, ``steps`` 0, a negative ``guidance`` and
    ``model`` "" mean: chosen, the model's default, the model of the stack.
    """

    action: str
    layers: tuple[str, ...]
    frozen: tuple[str, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    above: str = ""
    plate: Plate | None = None
    donor: Donor | None = None
    masks: Mapping[str, str] = field(default_factory=dict)
    at: int = 0
    seed: int | None = None
    strength: float = 1.0
    steps: int = 0
    guidance: float = -1.0
    model: str = ""


def followers(spec: RerenderSpec, stack: Stack) -> tuple[str, ...]:
    """What is drawn because of the request without being named: shadows, and ``ref`` last.

    The shadow of a foreground that is drawn, replaced or added follows, unless it is frozen or
    comes along with a donor; ``ref`` follows wherever the model runs.
    """
    shadows = _following_shadows(spec, stack)
    return (*shadows, "ref") if shadows or _draws_named(spec) else ()


def needs_model(spec: RerenderSpec, stack: Stack) -> bool:
    """Whether anything has to be drawn; the other requests only rearrange what is there."""
    return bool(followers(spec, stack))


def drawn(spec: RerenderSpec, stack: Stack) -> tuple[str, ...]:
    """The layers that the model draws: those named, where it draws those, and followers."""
    named = spec.layers if _draws_named(spec) else ()
    return (*named, *(name for name in followers(spec, stack) if name != "ref"))


def next_foreground(stack: Stack) -> str:
    """The name of a new foreground: the number after the highest that any state has."""
    names = {layer.name for layer in stack.layers}
    names.update(name for entry in stack.history for name in entry.versions)
    numbers = [int(found[1]) for found in map(_NUMBERED.fullmatch, names) if found]
    return f"fg_{max(numbers, default=0) + 1:02d}"


def shadow_of(name: str, stack: Stack) -> str | None:
    """The shadow of a foreground of the stack; None where it has none."""
    return next((layer.name for layer in stack.layers if layer.caster == name), None)


def input_keys(spec: RerenderSpec) -> tuple[str, ...]:
    """The keys of all folders that come with the request, each once."""
    sources = [source.input for source in (spec.plate, spec.donor) if source is not None]
    return tuple(dict.fromkeys((*sources, *spec.masks.values())))


def source_files(spec: RerenderSpec, stack: Stack) -> tuple[FileRecord, ...]:
    """The files of the stack that carrying out the request takes: layers, their latents, a ref
    that stays."""
    sequences = [(layer.name, layer.files) for layer in stack.layers]
    if not needs_model(spec, stack):
        sequences += [(flat.name, flat.files) for flat in stack.flats if flat.name == "ref"]
    return _with_latents(stack, sequences)


def donor_files(donor: Donor, stack: Stack) -> tuple[FileRecord, ...]:
    """The files of the donor's ``stack`` that are taken over. Raises ``KeyError``."""
    shadow = shadow_of(donor.layer, stack) if donor.with_shadow else None
    layers = [stack.layer(name) for name in (shadow, donor.layer) if name is not None]
    return _with_latents(stack, [(layer.name, layer.files) for layer in layers])


def validate_rerender(
    spec: RerenderSpec, stack: Stack, model: ModelInfo | None
) -> list[FieldViolation]:
    """Everything that keeps ``spec`` from being carried out on ``stack``; empty when nothing does.

    ``model`` is the one that the request names, or the stack's; None where there is no such model.
    """
    if spec.action not in ACTIONS:
        message = f"The action must be one of: {', '.join(ACTIONS)}."
        return [FieldViolation("action", message)]
    found = [*_layers(spec, stack), *_sources(spec), *_at(spec, stack)]
    if found:
        return found  # what follows speaks of layers that are there
    found = [*_prompts(spec, stack), *_masks(spec, stack), *_numbers(spec)]
    if needs_model(spec, stack):
        found += _model(spec, stack, model)
    return found


def validate_donor(spec: RerenderSpec, stack: Stack) -> list[FieldViolation]:
    """What keeps the donor's ``stack`` from giving the layer; empty when nothing does."""
    donor = spec.donor
    if donor is None:
        return []
    layers = {layer.name: layer for layer in stack.layers}
    if donor.layer not in layers:
        there = ", ".join(layers)
        message = f"The other stack has no layer {donor.layer!r}; it has: {there}."
        return [FieldViolation("donor.layer", message)]
    role = Role.background if "bg" in spec.layers else Role.foreground
    if layers[donor.layer].role is not role:
        message = (
            f"A {role.value} is wanted, but {donor.layer} is a {layers[donor.layer].role.value}."
        )
        return [FieldViolation("donor.layer", message)]
    if donor.with_shadow and shadow_of(donor.layer, stack) is None:
        message = f"{donor.layer} of the other stack has no shadow."
        return [FieldViolation("donor.with_shadow", message)]
    return []


def resolve_rerender(
    spec: RerenderSpec, stack: Stack, model: ModelInfo | None, seed: int
) -> RerenderSpec:
    """The request with every default filled in; ``seed`` is used where the artist gave none."""
    resolved = replace(
        spec,
        at=spec.at or stack.state,
        model=spec.model or stack.model,
        seed=seed if spec.seed is None else spec.seed,
    )
    if model is None:
        return resolved
    return replace(
        resolved,
        steps=spec.steps or model.default_steps,
        guidance=spec.guidance if spec.guidance >= 0 else model.default_guidance,
    )


def rerender_to_json(spec: RerenderSpec) -> dict[str, Any]:
    """The request as JSON values."""
    return {**asdict(spec), "layers": list(spec.layers), "frozen": list(spec.frozen)}


def rerender_from_json(value: Any) -> RerenderSpec:
    """Read what ``rerender_to_json`` wrote. Raises ``SpecError`` for any other shape."""
    fields = Fields(value, "", SpecError)
    spec = RerenderSpec(
        action=fields.text("action"),
        layers=fields.texts("layers"),
        frozen=fields.texts("frozen"),
        prompts=fields.text_by_name("prompts"),
        above=fields.text("above"),
        plate=fields.optional_record("plate", _read_plate),
        donor=fields.optional_record("donor", _read_donor),
        masks=fields.text_by_name("masks"),
        at=fields.integer("at"),
        seed=fields.optional_integer("seed"),
        strength=fields.number("strength"),
        steps=fields.integer("steps"),
        guidance=fields.number("guidance"),
        model=fields.text("model"),
    )
    fields.done()
    return spec


def _read_plate(fields: Fields) -> Plate:
    return Plate(
        input=fields.text("input"),
        colorspace=fields.text("colorspace"),
        alpha=fields.text("alpha"),
        fit=fields.text("fit"),
    )


def _read_donor(fields: Fields) -> Donor:
    return Donor(
        input=fields.text("input"),
        layer=fields.text("layer"),
        with_shadow=fields.truth("with_shadow"),
    )


def _draws_named(spec: RerenderSpec) -> bool:
    own_pixels = spec.plate is not None or spec.donor is not None
    return spec.action == "regenerate" or (spec.action == "add" and not own_pixels)


def _following_shadows(spec: RerenderSpec, stack: Stack) -> tuple[str, ...]:
    if spec.action not in ("regenerate", "replace", "add"):
        return ()
    if spec.donor is not None and spec.donor.with_shadow:
        return ()
    if spec.action == "add":
        shadows: Iterator[str | None] = (name.replace("fg_", "shadow_") for name in spec.layers)
    else:
        shadows = (shadow_of(name, stack) for name in spec.layers)
    held = (*spec.frozen, *spec.layers)
    return tuple(name for name in shadows if name is not None and name not in held)


def _with_latents(
    stack: Stack, sequences: list[tuple[str, tuple[FileRecord, ...]]]
) -> tuple[FileRecord, ...]:
    latents = [stack.latents_of(name) for name, _ in sequences]
    return (
        *(file for _, files in sequences for file in files),
        *(file for file in latents if file is not None),
    )


def _layers(spec: RerenderSpec, stack: Stack) -> list[FieldViolation]:
    """Whether the layers that are named are there and fit the action."""
    there = {layer.name: layer for layer in stack.layers}
    if spec.action == "add":
        return _new_layer(spec, stack)
    if not spec.layers:
        return [FieldViolation("layers", "Name at least one layer.")]
    if len(set(spec.layers)) != len(spec.layers):
        return [FieldViolation("layers", "Name each layer once.")]
    found = [*_unknown("layers", spec.layers, stack), *_unknown("frozen", spec.frozen, stack)]
    if found:
        return found
    if spec.above:
        found.append(FieldViolation("above", "Only a new layer is put above another."))
    held = [name for name in spec.layers if name in spec.frozen]
    if held:
        found.append(FieldViolation("frozen", f"{held[0]} cannot be frozen and changed at once."))
    named = [there[name] for name in spec.layers]
    if spec.action == "replace" and (len(named) != 1 or named[0].role is Role.shadow):
        message = "Exactly one background or foreground is replaced at a time."
        found.append(FieldViolation("layers", message))
    if spec.action == "remove" and any(layer.role is Role.background for layer in named):
        message = "The background cannot be removed; replace it instead."
        found.append(FieldViolation("layers", message))
    if spec.action == "reorder":
        found += _order(named, stack)
    return found


def _new_layer(spec: RerenderSpec, stack: Stack) -> list[FieldViolation]:
    name = next_foreground(stack)
    if spec.layers != (name,):
        return [FieldViolation("layers", f"The new layer must be called {name}.")]
    shadow = name.replace("fg_", "shadow_")
    kept = tuple(held for held in spec.frozen if held != shadow)
    found = _unknown("frozen", kept, stack)
    grounds = [layer.name for layer in stack.layers if layer.role is not Role.shadow]
    if spec.above and spec.above not in grounds:
        message = f"There is no layer {spec.above!r} to put it above; choose from: "
        found.append(FieldViolation("above", message + ", ".join(grounds) + "."))
    return found


def _order(named: list[Layer], stack: Stack) -> list[FieldViolation]:
    whole = [layer.name for layer in stack.layers if layer.role is not Role.shadow]
    if sorted(layer.name for layer in named) != sorted(whole):
        message = f"Name all of these, from bottom to top: {', '.join(whole)}."
        return [FieldViolation("layers", message)]
    if any(layer.role is Role.background for layer in named[1:]):
        return [FieldViolation("layers", "The background stays at the bottom.")]
    return []


def _unknown(where: str, names: tuple[str, ...], stack: Stack) -> list[FieldViolation]:
    there = [layer.name for layer in stack.layers]
    return [
        FieldViolation(where, f"There is no layer {name!r}; there are: {', '.join(there)}.")
        for name in names
        if name not in there
    ]


def _sources(spec: RerenderSpec) -> Iterator[FieldViolation]:
    """Whether the pictures that come with the request make sense, as far as the request tells."""
    given = sum(source is not None for source in (spec.plate, spec.donor))
    if given and spec.action not in ("replace", "add"):
        field = "plate" if spec.plate is not None else "donor"
        yield FieldViolation(field, f"The action {spec.action} takes no pictures.")
    elif spec.action == "replace" and given != 1:
        yield FieldViolation("plate", "Give either a plate or a layer of another stack.")
    elif given > 1:
        yield FieldViolation("plate", "Give a plate or a layer of another stack, not both.")
    if spec.plate is not None:
        if spec.plate.alpha not in ALPHAS:
            yield FieldViolation("plate.alpha", f"The alpha must be one of: {', '.join(ALPHAS)}.")
        if spec.plate.fit not in FITS:
            yield FieldViolation("plate.fit", f"The fit must be one of: {', '.join(FITS)}.")
        if not spec.plate.colorspace:
            yield FieldViolation("plate.colorspace", "Say which colour space the plate is in.")
    for key in input_keys(spec):
        if not _KEY.fullmatch(key):
            message = f"The key {key!r} must be 1 to 64 lower-case letters, digits or underscores."
            yield FieldViolation("inputs", message)


def _at(spec: RerenderSpec, stack: Stack) -> Iterator[FieldViolation]:
    if not 0 <= spec.at <= stack.state:
        message = f"There is no state v{spec.at:03d}; the newest is v{stack.state:03d}."
        yield FieldViolation("at", message)


def _prompts(spec: RerenderSpec, stack: Stack) -> Iterator[FieldViolation]:
    redrawn = drawn(spec, stack)
    for name, text in spec.prompts.items():
        where = f"prompts[{name}]"
        if name not in redrawn:
            message = f"{name} is not drawn again, so its prompt stays; "
            message += f"drawn are: {', '.join(redrawn) or 'none'}."
            yield FieldViolation(where, message)
        elif not text.strip():
            yield FieldViolation(where, "A prompt must say something; leave it out otherwise.")
        elif len(text) > MAX_PROMPT_CHARS:
            message = f"The text must be at most {MAX_PROMPT_CHARS} characters, not {len(text)}."
            yield FieldViolation(where, message)
    if spec.action == "add" and _draws_named(spec) and spec.layers[0] not in spec.prompts:
        where = f"prompts[{spec.layers[0]}]"
        yield FieldViolation(where, "Write a prompt that says what should be added.")


def _masks(spec: RerenderSpec, stack: Stack) -> Iterator[FieldViolation]:
    there = {layer.name for layer in stack.layers}
    old = [name for name in drawn(spec, stack) if name in there]
    for name in spec.masks:
        if name not in old:
            message = f"{name} is not drawn again, so it takes no mask; "
            message += f"drawn are: {', '.join(old) or 'none'}."
            yield FieldViolation(f"masks[{name}]", message)


def _numbers(spec: RerenderSpec) -> Iterator[FieldViolation]:
    if spec.seed is not None and not 0 <= spec.seed <= MAX_SEED:
        yield FieldViolation("seed", f"The seed must be between 0 and {MAX_SEED}.")
    if not 0 < spec.strength <= 1:
        yield FieldViolation("strength", "The strength must be above 0 and at most 1.")
    elif spec.strength < 1 and spec.action != "regenerate":
        yield FieldViolation("strength", "Only a layer that is drawn again has a strength below 1.")
    if spec.guidance != spec.guidance or spec.guidance in (float("inf"), float("-inf")):
        yield FieldViolation("guidance", "The guidance must be a finite number.")


def _model(spec: RerenderSpec, stack: Stack, model: ModelInfo | None) -> list[FieldViolation]:
    """Whether ``model`` can draw what the request wants, at the size of the stack."""
    if model is None:
        name = spec.model or stack.model
        message = f"The model {name!r} is not here, and this request needs one."
        return [FieldViolation("model", message)]
    if "generate" not in model.abilities:
        return [FieldViolation("model", f"{model.title} cannot draw layers.")]
    found: list[FieldViolation] = []
    if spec.steps != 0:
        found += between("steps", "The number of steps", spec.steps, model.steps_range)
    if spec.guidance >= 0:
        found += between("guidance", "The guidance", spec.guidance, model.guidance_range)
    if not _draws_size(model, stack):
        message = (
            f"{model.title} cannot draw {stack.width} x {stack.height} pixels and "
            f"{stack.frames} frames, which the stack has."
        )
        found.append(FieldViolation("model", message))
    reach = _reach(spec, stack)
    if reach > model.max_foregrounds:
        message = (
            f"{model.title} draws at most {model.max_foregrounds} foreground(s) at once, and from "
            f"the lowest to the highest of these it is {reach}; change them one after another."
        )
        found.append(FieldViolation("layers", message))
    return found


def _draws_size(model: ModelInfo, stack: Stack) -> bool:
    sides = ((stack.width, model.width_range), (stack.height, model.height_range))
    fits = all(low <= side <= high and side % model.size_step == 0 for side, (low, high) in sides)
    low, high = model.frames_range
    return fits and low <= stack.frames <= high and (stack.frames - 1) % model.frames_step == 0


def _reach(spec: RerenderSpec, stack: Stack) -> int:
    """How many foregrounds the model must know at once, others being flattened below or left out
    above: those from the lowest to the highest that is drawn, from the first if bg is."""
    casters = {layer.name: layer.caster or layer.name for layer in stack.layers}
    order = [layer.name for layer in stack.layers if layer.role is Role.foreground]
    if spec.action == "add":
        return 1
    names = {casters.get(name, name) for name in drawn(spec, stack)}
    places = [place for place, name in enumerate(order) if name in names]
    if not places:
        return 0
    lowest = min(places) if names <= set(order) else 0
    return max(places) - lowest + 1
