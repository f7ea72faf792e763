"""Affected layers: what is generated, what depends on it, which files are needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.example_stack import sequence
from fakes.rerender_examples import (
    DONOR,
    FOX,
    MINI,
    NEW,
    PLATE,
    STACK,
    uses_model,
    violations,
)
from layert2v import rerender
from layert2v.rerender import (
    DonorLayer,
    RerenderSpec,
    affected_layers,
)
from layert2v.stack import FileRecord, FlattenedSequence, HistoryEntry


@pytest.mark.parametrize(
    ("spec", "dependent"),
    [
        (FOX, ("shadow_01", "ref")),
        (replace(FOX, frozen=("shadow_01",)), ("ref",)),
        (replace(FOX, layers=("fg_01", "shadow_01")), ("ref",)),
        (RerenderSpec("regenerate", ("bg",)), ("ref",)),
        (RerenderSpec("regenerate", ("shadow_01",)), ("ref",)),
        (RerenderSpec("regenerate", ("ref",)), ("ref",)),
        (PLATE, ("ref",)),
        (replace(PLATE, layers=("fg_01",)), ("shadow_01", "ref")),
        (replace(PLATE, layers=("fg_01",), frozen=("shadow_01",)), ("ref",)),
        (DONOR, ("shadow_01", "ref")),
        (replace(DONOR, donor=DonorLayer("other", "fg_01", with_shadow=True)), ("ref",)),
        (NEW, ("shadow_02", "ref")),
        (replace(NEW, frozen=("shadow_02",)), ("ref",)),
        (RerenderSpec("remove", ("fg_01",)), ()),
    ],
)
def test_dependent_layers(spec: RerenderSpec, dependent: tuple[str, ...]) -> None:
    affected = affected_layers(spec, STACK)
    assert (*affected.dependent, *(("ref",) if affected.updates_ref else ())) == dependent
    assert uses_model(spec, MINI) == bool(dependent)
    assert violations(spec, STACK, MINI) == []


@pytest.mark.parametrize(
    ("spec", "needed"),
    [
        (FOX, True),
        (RerenderSpec("regenerate", ("ref",)), True),
        (replace(PLATE, layers=("fg_01",)), True),
        (PLATE, False),
        (replace(PLATE, layers=("fg_01",), frozen=("shadow_01",)), False),
        (replace(DONOR, donor=DonorLayer("other", "fg_01", with_shadow=True)), False),
        (RerenderSpec("remove", ("fg_01",)), False),
    ],
)
def test_ref_alone_is_generated_only_where_a_model_can(spec: RerenderSpec, needed: bool) -> None:
    small = replace(MINI, width_range=(16, 48))
    for model in (None, small, replace(MINI, abilities=())):
        assert affected_layers(spec, STACK).needs_model == uses_model(spec, model) == needed
        assert bool(violations(spec, STACK, model)) == needed


def test_a_name_that_any_state_had_is_not_used_for_something_else() -> None:
    had = HistoryEntry("add", "2026-01-02T03:04:05Z", {"fg_07": 1}, {}, parent=1)
    assert rerender.next_foreground(STACK) == "fg_02"
    assert rerender.next_foreground(replace(STACK, history=(*STACK.history, had))) == "fg_08"


def test_the_files_that_are_needed() -> None:
    needed = {file.path for file in rerender.source_files(STACK, affected_layers(FOX, STACK))}
    assert len(needed) == 3 * 2 + 1  # three layers, and the latents of one
    assert not any(path.startswith(("comp", "ref", "preview")) for path in needed)
    kept = {file.path for file in rerender.source_files(STACK, affected_layers(PLATE, STACK))}
    assert {path.split("/")[0] for path in kept - needed} == {"ref"}


def test_the_files_a_donor_gives() -> None:
    latents = FileRecord("latents/fg_01_v001.safetensors", 4, "cd" * 32)
    stack = replace(STACK, latents=(latents,), flats=(FlattenedSequence(**sequence("comp")),))
    alone = {
        file.path.split("/")[0] for file in rerender.donor_files(DonorLayer("a", "fg_01"), stack)
    }
    assert alone == {"fg_01", "latents"}
    both = rerender.donor_files(DonorLayer("a", "fg_01", with_shadow=True), stack)
    assert {file.path.split("/")[0] for file in both} == {"fg_01", "latents", "shadow_01"}
