"""Layers that a request to change a stack affects, and the files that it needs.

Computed once for a request and handed on. Knows neither whether the request makes sense nor how it
is carried out. Use it through ``layert2v.rerender``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Union

from layert2v.rerender.spec import DonorLayer, RerenderSpec
from layert2v.stack import FileRecord, FlattenedSequence, Layer, Role, Stack

_NUMBERED = re.compile(r"fg_([0-9]{2,9})")
_PIXEL_ACTIONS = ("regenerate", "replace", "add")  # actions by which a layer gets other pixels

_Sequence = Union[Layer, FlattenedSequence]


@dataclass(frozen=True)
class AffectedLayers:
    """Everything that one request affects in one stack.

    ``generated`` are the layers that a model generates: those named, where it generates those, and
    the ``dependent`` ones, which are shadows. ``updates_ref``: pixels change, so that ``ref``
    should too; where nothing else is generated, only if a model can (``uses_model``).
    ``foreground_span`` is how many foregrounds a model must know at once, those further down being
    flattened into its background and those further up left out: from the lowest to the highest
    generated one, from the first if the background is generated.
    """

    generated: tuple[str, ...]
    dependent: tuple[str, ...]
    generates_named: bool
    updates_ref: bool
    foreground_span: int

    @property
    def needs_model(self) -> bool:
        """Whether this cannot be carried out without a model."""
        return self.generates_named or bool(self.dependent)


def affected_layers(spec: RerenderSpec, stack: Stack) -> AffectedLayers:
    """Return what ``spec`` affects in ``stack``; names that the stack lacks affect nothing.

    The shadow of a foreground that is generated, replaced or added depends on it, unless it is
    frozen or comes along with a donor. Nothing depends on ``remove`` and ``reorder``.
    """
    own_pixels = spec.plate is not None or spec.donor is not None
    generates_named = spec.action == "regenerate" or (spec.action == "add" and not own_pixels)
    dependent = _dependent_shadows(spec, stack)
    named = tuple(name for name in spec.layers if name != "ref") if generates_named else ()
    generated = (*named, *dependent)
    return AffectedLayers(
        generated=generated,
        dependent=dependent,
        generates_named=generates_named,
        updates_ref=spec.action in _PIXEL_ACTIONS,
        foreground_span=1 if spec.action == "add" else _foreground_span(generated, stack),
    )


def next_foreground(stack: Stack) -> str:
    """Return the name of a new foreground: the number after the highest that any state has."""
    names = {layer.name for layer in stack.layers}
    names.update(name for entry in stack.history for name in entry.versions)
    numbers = [int(found[1]) for found in map(_NUMBERED.fullmatch, names) if found]
    return f"fg_{max(numbers, default=0) + 1:02d}"


def shadow_of(name: str, stack: Stack) -> str | None:
    """Return the shadow of a foreground of the stack; None where it has none."""
    return next((layer.name for layer in stack.layers if layer.caster == name), None)


def source_files(stack: Stack, affected: AffectedLayers) -> tuple[FileRecord, ...]:
    """Return the files of ``stack`` that carrying out the request takes.

    These are layers, their latents, and a ``ref`` that may stay.
    """
    sequences: list[_Sequence] = list(stack.layers)
    if not affected.needs_model:
        sequences += [flat for flat in stack.flats if flat.name == "ref"]
    return _with_latents(stack, sequences)


def donor_files(donor: DonorLayer, stack: Stack) -> tuple[FileRecord, ...]:
    """Return the files of the donor's ``stack`` that are taken over. Raises ``KeyError``."""
    shadow = shadow_of(donor.layer, stack) if donor.with_shadow else None
    return _with_latents(
        stack, [stack.layer(name) for name in (shadow, donor.layer) if name is not None]
    )


def _dependent_shadows(spec: RerenderSpec, stack: Stack) -> tuple[str, ...]:
    if spec.action not in _PIXEL_ACTIONS:
        return ()
    if spec.donor is not None and spec.donor.with_shadow:
        return ()
    shadows: Iterable[str | None]
    if spec.action == "add":
        shadows = (name.replace("fg_", "shadow_") for name in spec.layers)
    else:
        shadows = (shadow_of(name, stack) for name in spec.layers)
    excluded = (*spec.frozen, *spec.layers)
    return tuple(name for name in shadows if name is not None and name not in excluded)


def _foreground_span(generated: Sequence[str], stack: Stack) -> int:
    casters = {layer.name: layer.caster or layer.name for layer in stack.layers}
    order = [layer.name for layer in stack.layers if layer.role is Role.foreground]
    names = {casters.get(name, name) for name in generated}
    places = [place for place, name in enumerate(order) if name in names]
    if not places:
        return 0
    lowest = min(places) if names <= set(order) else 0
    return max(places) - lowest + 1


def _with_latents(stack: Stack, sequences: Sequence[_Sequence]) -> tuple[FileRecord, ...]:
    latents = [stack.latents_of(sequence.name) for sequence in sequences]
    return (
        *(file for sequence in sequences for file in sequence.files),
        *(file for file in latents if file is not None),
    )
