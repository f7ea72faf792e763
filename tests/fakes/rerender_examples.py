"""Requests to change the example stack, one of each kind, and a model that can carry them out."""

from __future__ import annotations

from dataclasses import replace

from fakes.example_stack import example_stack, layer
from layert2v import rerender
from layert2v.rerender import (
    DonorLayer,
    Plate,
    RerenderSpec,
    affected_layers,
)
from layert2v.spec import FieldViolation, ModelInfo
from layert2v.stack import Role, Stack

MINI = ModelInfo(
    *("mini", "Mini", "0" * 64, (64, 256), (64, 128), 16, (1, 33), 1, 2, 96, 96, 9, 12.0, 30, 4.0),
    *((1, 100), (0.0, 20.0)),
)

STACK = example_stack()

FOX = RerenderSpec("regenerate", ("fg_01",))

PLATE = RerenderSpec("replace", ("bg",), plate=Plate("mine", "ACEScg"))

DONOR = RerenderSpec("replace", ("fg_01",), donor=DonorLayer("other", "fg_01"))

NEW = RerenderSpec("add", ("fg_02",), prompts={"fg_02": "an owl"})


def with_owl() -> Stack:
    """Return the example with a second foreground on top."""
    owl = (layer("shadow_02", Role.shadow, "fg_02"), layer("fg_02", Role.foreground))
    return replace(STACK, layers=(*STACK.layers, *owl))


def violations(spec: RerenderSpec, stack: Stack, model: ModelInfo | None) -> list[FieldViolation]:
    return rerender.validate_rerender(spec, stack, affected_layers(spec, stack), model)


def uses_model(spec: RerenderSpec, model: ModelInfo | None) -> bool:
    return rerender.uses_model(STACK, affected_layers(spec, STACK), model)
