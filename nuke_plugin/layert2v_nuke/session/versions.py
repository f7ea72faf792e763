"""Versions of a stack's layers: which exist, and which belong to one state.

Reads manifests, opens no image, knows no node. ``shown`` maps a layer to the version shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from layert2v import stack as manifest
from layert2v.stack import Layer, Stack
from layert2v_nuke.errors import BadRequest


def layer_versions(stack: Stack) -> dict[str, int]:
    """Return the version of each layer of a state."""
    return {layer.name: layer.version for layer in stack.layers}


def available_versions(folder: Path, name: str) -> tuple[int, ...]:
    """Return the versions of a layer that any state has, in order. Raises ``ManifestError``."""
    states = manifest.read_states(folder)
    found = {layer.version for stack in states for layer in stack.layers if layer.name == name}
    return tuple(sorted(found))


def layer_and_shadow(folder: Path, name: str, version: int) -> tuple[Layer, ...]:
    """Return a version of a layer, and its shadow as it was most recently beside it.

    Raises ``BadRequest`` where there is no such version, and ``ManifestError``.
    """
    for stack in _newest_first(folder):
        if layer_versions(stack).get(name) == version:
            return tuple(layer for layer in stack.layers if name in (layer.name, layer.caster))
    available = ", ".join(f"v{number:03d}" for number in available_versions(folder, name)) or "none"
    raise BadRequest(
        "VERSION_NOT_FOUND", f"There is no v{version:03d} of {name}.", f"There are: {available}."
    )


def stack_with_versions(folder: Path, shown: Mapping[str, int]) -> Stack:
    """Return a stack with the versions that a node shows, from whatever states they are.

    Raises ``BadRequest`` and ``ManifestError``.
    """
    states = _newest_first(folder)
    base = next((one for one in states if layer_versions(one).keys() == shown.keys()), None)
    base = base or manifest.read(folder)
    layers = []
    for layer in base.layers:
        found = layer_and_shadow(folder, layer.name, shown.get(layer.name, layer.version))
        layers += [one for one in found if one.name == layer.name]
    return replace(base, layers=tuple(layers))


def state_with_versions(folder: Path, shown: Mapping[str, int]) -> Stack:
    """Return the newest state with just these versions.

    Raises ``BadRequest`` and ``ManifestError``.
    """
    for stack in _newest_first(folder):
        if layer_versions(stack) == dict(shown):
            return stack
    newest = manifest.read(folder)
    together = ", ".join(f"{name} v{number:03d}" for name, number in layer_versions(newest).items())
    raise BadRequest(
        "VERSIONS_MIXED",
        "The versions that the node shows were never together, so nothing can start from them.",
        f"Set them to those of one state, such as {together}.",
    )


def _newest_first(folder: Path) -> Iterator[Stack]:
    """Yield all states; those before the newest are read when the first of them is needed."""
    newest = manifest.read(folder)
    yield newest
    yield from reversed(manifest.read_states(folder, newest)[:-1])
