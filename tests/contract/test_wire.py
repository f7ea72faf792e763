"""Specs and models as messages: nothing is lost, and what is left out is the default."""

from __future__ import annotations

from hypothesis import given

from fakes.sample_documents import decompositions, models, refinements, rerenders, specs
from layert2v import wire
from layert2v.decompose import DecomposeSpec, Footage, RefineSpec, SubjectSpec
from layert2v.rerender import (
    AUTO,
    Plate,
    RerenderSpec,
)
from layert2v.spec import GenerateSpec, ModelInfo
from layert2v.v1 import jobs_pb2


@given(specs)
def test_spec_through_messages(example: GenerateSpec) -> None:
    data = wire.spec_to_message(example).SerializeToString()
    assert wire.spec_from_message(jobs_pb2.GenerateSpec.FromString(data)) == example


@given(models)
def test_model_through_messages(example: ModelInfo) -> None:
    assert wire.model_from_message(wire.model_to_message(example)) == example


def test_fields_left_out_of_a_message_are_the_defaults() -> None:
    assert wire.spec_from_message(jobs_pb2.GenerateSpec(prompt="a fox")) == GenerateSpec("a fox")


@given(rerenders)
def test_message_round_trip(spec: RerenderSpec) -> None:
    data = wire.rerender_to_message(spec).SerializeToString()
    assert wire.rerender_from_message(jobs_pb2.RerenderSpec.FromString(data)) == spec


def test_an_empty_message_means_the_defaults() -> None:
    plain = wire.rerender_from_message(jobs_pb2.RerenderSpec(action="remove", layers=["fg_01"]))
    assert plain == RerenderSpec("remove", ("fg_01",))
    plate = wire.rerender_from_message(jobs_pb2.RerenderSpec(plate=jobs_pb2.Plate(input="a")))
    assert plate.plate == Plate("a", "")


@given(decompositions)
def test_a_decomposition_through_messages(spec: DecomposeSpec) -> None:
    data = wire.decompose_to_message(spec).SerializeToString()
    assert wire.decompose_from_message(jobs_pb2.DecomposeSpec.FromString(data)) == spec


@given(refinements)
def test_a_refinement_through_messages(spec: RefineSpec) -> None:
    data = wire.refine_to_message(spec).SerializeToString()
    assert wire.refine_from_message(jobs_pb2.RefineSpec.FromString(data)) == spec


def test_an_empty_decomposition_means_the_defaults() -> None:
    assert wire.decompose_from_message(jobs_pb2.DecomposeSpec()) == DecomposeSpec()
    one = jobs_pb2.DecomposeSpec(subjects=[jobs_pb2.Subject()], footage=jobs_pb2.Footage(fps=24))
    expected = DecomposeSpec((SubjectSpec(),), Footage("footage", AUTO, AUTO, 24.0))
    assert wire.decompose_from_message(one) == expected
