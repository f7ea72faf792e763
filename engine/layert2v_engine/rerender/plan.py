"""What a request for a change means for a stack: the fate of every layer, and who plays what.

Names only: no pixels, no tensors, no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property

from layert2v.rerender import RerenderSpec, drawn
from layert2v.stack import Role, Stack
from layert2v_engine.layout import Stream, StreamLayout, StreamRole


class Fate(Enum):
    """What becomes of a layer: it stays as it is, is drawn by the model, or its pixels are brought
    by a plate or a donor.
    """

    kept = "kept"
    drawn = "drawn"
    brought = "brought"


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One layer of the new state."""

    name: str
    role: Role
    fate: Fate
    caster: str | None = None
    prompt: str = ""
    seed: int = 0
    source: str = "generated"


def arrange(spec: RerenderSpec, base: Stack, donor: Stack | None) -> tuple[Part, ...]:
    """The layers of the new state from bottom to top, for a request that passed validation."""
    again = drawn(spec, base)
    parts = [
        Part(
            name=layer.name,
            role=layer.role,
            fate=Fate.drawn if layer.name in again else Fate.kept,
            caster=layer.caster,
            prompt=_prompt(spec, layer.name, layer.caster, layer.prompt),
            seed=layer.seed,
            source=layer.source,
        )
        for layer in base.layers
    ]
    if spec.action == "remove":
        return tuple(part for part in parts if not {part.name, part.caster} & {*spec.layers})
    if spec.action == "reorder":
        return _reordered(spec.layers, parts)
    if spec.action == "add":
        return _with_new(spec, base, parts, donor)
    if spec.action == "replace":
        return _with_brought(spec, parts, donor)
    return tuple(parts)


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Which layers the streams of a model show.

    foregrounds: the layers it sees as foregrounds, from bottom to top. below: what lies under them,
    its background. above: what lies over them, of which it sees nothing. shadows: the shadow of
    each foreground, None where there is none. parts: all layers of the new state, by name.
    """

    foregrounds: tuple[str, ...]
    shadows: tuple[str | None, ...]
    below: tuple[str, ...]
    above: tuple[str, ...]
    parts: dict[str, Part]

    @classmethod
    def of(cls, parts: Sequence[Part], limit: int) -> Cast:
        """For a model of at most `limit` foregrounds: the highest ones up to the highest that
        changes, so that as little as possible is flattened; the lowest ones if none does.
        """
        order = [part.name for part in parts if part.role is Role.foreground]
        shadows = {part.caster: part.name for part in parts if part.role is Role.shadow}
        changed = {part.caster or part.name for part in parts if part.fate is not Fate.kept}
        count = min(limit, len(order))
        highest = max((place for place, name in enumerate(order) if name in changed), default=0)
        first = max(0, highest - count + 1)
        chosen = tuple(order[first : first + count])
        names = [part.name for part in parts]
        seen = [*chosen, *(shadows[name] for name in chosen if name in shadows)]
        places = [names.index(name) for name in seen]
        ground = names[: min(places, default=len(names))]
        return cls(
            foregrounds=chosen,
            shadows=tuple(shadows.get(name) for name in chosen),
            below=tuple(ground),
            above=tuple(name for name in names if name not in {*ground, *seen}),
            parts={part.name: part for part in parts},
        )

    @cached_property
    def layout(self) -> StreamLayout:
        """The streams of the model."""
        return StreamLayout.for_foregrounds(len(self.foregrounds))

    @property
    def flattened(self) -> bool:
        """Whether the model's background is more than one layer."""
        return len(self.below) > 1

    def layer(self, stream: Stream) -> str | None:
        """The one layer that a stream shows; None for the composite, for what is flattened, and for
        the shadow of a foreground that has none.
        """
        if stream.role is StreamRole.composite:
            return None
        if stream.foreground is None:
            return None if self.flattened else self.below[0]
        if stream.role is StreamRole.shadow:
            return self.shadows[stream.foreground - 1]
        return self.foregrounds[stream.foreground - 1]

    def is_drawn(self, stream: Stream) -> bool:
        """Whether the model makes the stream; the composite always."""
        name = self.layer(stream)
        if stream.role is StreamRole.composite:
            return True
        return name is not None and self.parts[name].fate is Fate.drawn

    @property
    def drawn(self) -> tuple[str, ...]:
        """The streams that the model makes, by name."""
        return tuple(stream.name for stream in self.layout.streams if self.is_drawn(stream))

    @property
    def frozen(self) -> tuple[str, ...]:
        """The streams that stay, by name."""
        return tuple(stream.name for stream in self.layout.streams if not self.is_drawn(stream))

    @property
    def noise(self) -> tuple[str, ...]:
        """What streams are called when their noise is drawn: a layer keeps its own wherever it is
        seen.
        """
        numbers = [name.rpartition("_")[2] for name in self.foregrounds]
        return tuple(
            stream.name
            if stream.foreground is None
            else f"{stream.role.value}_{numbers[stream.foreground - 1]}"
            for stream in self.layout.streams
        )

    @property
    def note(self) -> str:
        """What the model did not see as it is, for the history."""
        said = []
        if self.flattened:
            said.append(f"background of the model: {', '.join(self.below)} flattened")
        if self.above:
            said.append(f"not seen by the model: {', '.join(self.above)}")
        return "; ".join(said)


def _prompt(spec: RerenderSpec, name: str, caster: str | None, before: str) -> str:
    """A shadow is told what its foreground is told."""
    own = spec.prompts.get(name)
    return own or spec.prompts.get(caster or name, before)


def _reordered(order: Sequence[str], parts: list[Part]) -> tuple[Part, ...]:
    """Every foreground with its shadow directly below it."""
    by_name = {part.name: part for part in parts}
    shadows: dict[str | None, list[Part]] = {}
    for part in parts:
        if part.role is Role.shadow:
            shadows.setdefault(part.caster, []).append(part)
    return tuple(each for name in order for each in (*shadows.get(name, ()), by_name[name]))


def _with_new(
    spec: RerenderSpec, base: Stack, parts: list[Part], donor: Stack | None
) -> tuple[Part, ...]:
    """A new foreground with its shadow directly above the layer that the request names."""
    (name,) = spec.layers
    shadow = name.replace("fg_", "shadow_")
    told = spec.prompts.get(name) or spec.prompts.get(shadow, "")
    new = _brought(Part(name=name, role=Role.foreground, fate=Fate.drawn, prompt=told), spec, donor)
    cast = replace(new, name=shadow, role=Role.shadow, caster=name)
    if spec.donor is not None and spec.donor.with_shadow:
        pair = [cast, new]
    elif shadow in drawn(spec, base):
        pair = [replace(cast, fate=Fate.drawn, source="generated"), new]
    else:
        pair = [new]
    names = [part.name for part in parts]
    place = names.index(spec.above) + 1 if spec.above else len(parts)
    return (*parts[:place], *pair, *parts[place:])


def _with_brought(spec: RerenderSpec, parts: list[Part], donor: Stack | None) -> tuple[Part, ...]:
    """The layer with other pixels; a donor's shadow in place of its own, or directly below it."""
    (name,) = spec.layers
    old = next(part for part in parts if part.name == name)
    own = next((part for part in parts if part.caster == name), None)
    told = spec.prompts.get(own.name, "") if own is not None else ""
    new = _brought(replace(old, prompt=told), spec, donor)
    shadow = own
    if own is not None and own.fate is Fate.drawn:
        shadow = replace(own, prompt=new.prompt)
    if spec.donor is not None and spec.donor.with_shadow:
        given = own.name if own is not None else name.replace("fg_", "shadow_")
        shadow = replace(new, name=given, role=Role.shadow, caster=name)
    made: list[Part] = []
    for part in parts:
        if part is own and shadow is not None:
            made.append(shadow)
        elif part is old:
            made += [new] if own is not None or shadow is None else [shadow, new]
        else:
            made.append(part)
    return tuple(made)


def _brought(part: Part, spec: RerenderSpec, donor: Stack | None) -> Part:
    """The part as a plate or a donor brings it; a plate says nothing about itself."""
    if spec.donor is not None and donor is not None:
        given = donor.layer(spec.donor.layer)
        return replace(
            part,
            fate=Fate.brought,
            prompt=part.prompt or given.prompt,
            seed=given.seed,
            source="imported",
        )
    if spec.plate is not None:
        return replace(part, fate=Fate.brought, seed=0, source="plate")
    return part
