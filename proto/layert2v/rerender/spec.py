"""Requests that change a stack, and what they touch.

Knows neither whether such a request makes sense nor how it is carried out. Use it through
``layert2v.rerender``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from layert2v.errors import SpecError
from layert2v.json_reader import JsonObject
from layert2v.stack import FileRecord, Stack

_NUMBERED = re.compile(r"fg_(\d{2,})")
_PAINTING = ("regenerate", "replace", "add")  # actions by which a layer gets other pixels


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
class DonorLayer:
    """A layer of another stack, scaled to fit: ``input`` is the key of that stack's folder."""

    input: str
    layer: str
    with_shadow: bool = False


@dataclass(frozen=True)
class RerenderSpec:
    """What the artist wants changed.

    ``layers`` are, by ``action``: ``regenerate`` those that are drawn again, ``ref`` alone if
    wanted; ``replace`` the one that takes the pixels of ``plate`` or ``donor``; ``add`` the name of
    the new one, which is ``next_foreground``; ``remove`` those that go, a foreground with its
    shadow; ``reorder`` the background and all foregrounds from bottom to top, shadows follow.

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
    donor: DonorLayer | None = None
    masks: Mapping[str, str] = field(default_factory=dict)
    at: int = 0
    seed: int | None = None
    strength: float = 1.0
    steps: int = 0
    guidance: float = -1.0
    model: str = ""


def draws_named(spec: RerenderSpec) -> bool:
    """Whether the model draws the layers that are named."""
    own_pixels = spec.plate is not None or spec.donor is not None
    return spec.action == "regenerate" or (spec.action == "add" and not own_pixels)


def followers(spec: RerenderSpec, stack: Stack) -> tuple[str, ...]:
    """What is drawn because of the request without being named: shadows, and ``ref`` last.

    The shadow of a foreground that is drawn, replaced or added follows, unless it is frozen or
    comes along with a donor. ``ref`` follows wherever pixels of a layer change; where nothing else
    is drawn, only if a model can (``layert2v.rerender.draws``). Nothing follows ``remove`` and
    ``reorder``, which are done at once.
    """
    return (*_following_shadows(spec, stack), "ref") if spec.action in _PAINTING else ()


def needs_model(spec: RerenderSpec, stack: Stack) -> bool:
    """Whether a layer has to be drawn; the other requests can be carried out without a model."""
    return draws_named(spec) or bool(_following_shadows(spec, stack))


def drawn(spec: RerenderSpec, stack: Stack) -> tuple[str, ...]:
    """The layers that the model draws: those named, where it draws those, and followers."""
    named = spec.layers if draws_named(spec) else ()
    return tuple(name for name in (*named, *followers(spec, stack)) if name != "ref")


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
    that may stay."""
    sequences = [(layer.name, layer.files) for layer in stack.layers]
    if not needs_model(spec, stack):
        sequences += [(flat.name, flat.files) for flat in stack.flats if flat.name == "ref"]
    return _with_latents(stack, sequences)


def donor_files(donor: DonorLayer, stack: Stack) -> tuple[FileRecord, ...]:
    """The files of the donor's ``stack`` that are taken over. Raises ``KeyError``."""
    shadow = shadow_of(donor.layer, stack) if donor.with_shadow else None
    layers = [stack.layer(name) for name in (shadow, donor.layer) if name is not None]
    return _with_latents(stack, [(layer.name, layer.files) for layer in layers])


def rerender_to_json(spec: RerenderSpec) -> dict[str, Any]:
    """The request as JSON values."""
    return {**asdict(spec), "layers": list(spec.layers), "frozen": list(spec.frozen)}


def rerender_from_json(value: Any) -> RerenderSpec:
    """Read what ``rerender_to_json`` wrote. Raises ``SpecError`` for any other shape."""
    fields = JsonObject(value, "", SpecError)
    spec = RerenderSpec(
        action=fields.text("action"),
        layers=fields.texts("layers"),
        frozen=fields.texts("frozen"),
        prompts=fields.text_map("prompts"),
        above=fields.text("above"),
        plate=fields.optional_object("plate", _read_plate),
        donor=fields.optional_object("donor", _read_donor),
        masks=fields.text_map("masks"),
        at=fields.integer("at"),
        seed=fields.optional_integer("seed"),
        strength=fields.number("strength"),
        steps=fields.integer("steps"),
        guidance=fields.number("guidance"),
        model=fields.text("model"),
    )
    fields.done()
    return spec


def _read_plate(fields: JsonObject) -> Plate:
    return Plate(
        input=fields.text("input"),
        colorspace=fields.text("colorspace"),
        alpha=fields.text("alpha"),
        fit=fields.text("fit"),
    )


def _read_donor(fields: JsonObject) -> DonorLayer:
    return DonorLayer(
        input=fields.text("input"),
        layer=fields.text("layer"),
        with_shadow=fields.boolean("with_shadow"),
    )


def _following_shadows(spec: RerenderSpec, stack: Stack) -> tuple[str, ...]:
    if spec.action not in _PAINTING:
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
