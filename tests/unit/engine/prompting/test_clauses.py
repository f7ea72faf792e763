"""Sentences that name several subjects, and where subjects are and go."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from layert2v.spec import GenerateSpec
from layert2v_engine.prompting.planner import NewText, PromptPlan, PromptPlanner
from layert2v_engine.training.export import vocabulary
from layert2v_engine.world.text import vocabulary as world

TWO = replace(
    world.V1,
    subjects=(*world.V0.subjects, "deer", "cat", "dog", "duck"),
    places=(*world.V0.places, "village", "farm"),
    times=world.V0.times,
    distances=("near", "close"),
)


def no_similarity(texts: Sequence[str]) -> torch.Tensor:
    return torch.zeros(len(texts), 4)


TWO_PLANNER = PromptPlanner(vocabulary(TWO), no_similarity, 2)
V0_PLANNER = PromptPlanner(vocabulary(world.V0), no_similarity, 1)
V1_PLANNER = PromptPlanner(vocabulary(world.V1), no_similarity, 3)


def plan(prompt: str, planner: PromptPlanner = TWO_PLANNER, **fields: object) -> PromptPlan:
    return planner.plan(GenerateSpec(prompt=prompt, **fields))  # type: ignore[arg-type]


def _without_heading(text: str) -> str:
    return re.sub(r" to the (left|right)", "", text)


def test_each_subject_of_a_sentence_gets_its_own_prompt() -> None:
    fox, bear = "a fox running to the right on the left", "a bear walking to the left on the right"
    sentence = f"{fox} and {bear} in a snowy forest at sunset"
    planned = plan(sentence)
    assert planned.global_prompt == sentence
    assert planned.foregrounds == (fox, bear)
    assert planned.background == "a snowy forest at sunset"
    assert planned.warnings == ()


@pytest.mark.parametrize(
    ("prompt", "subjects"),
    [
        ("a blue car with a dog beside it on a farm at night", "blue car, driving; dog, walking"),
        ("foxes and red cars in town at noon", "fox, running; red car, driving"),
        ("a horse and a red, shiny car on a farm at night", "horse, running; red car, driving"),
        ("a fox and a bear walking on the beach at noon", "fox, walking; bear, walking"),
        ("a fox and a rabbit hopping on the beach at noon", "fox, running; rabbit, hopping"),
        ("a cat strolls by the sea while a dog races, dusk", "cat, walking; dog, running"),
        ("a fox chasing a rabbit through the snow at night", "fox, running; rabbit, hopping"),
        ("a fox runs, the fox is near a horse, beach, night", "fox, running; horse, running"),
    ],
)
def test_subjects_keep_their_own_words(prompt: str, subjects: str) -> None:
    first, second = subjects.split("; ")
    expected = f"{first}, on the left, {second}, on the right, "
    assert plan(prompt).interpretation.startswith(expected)


@pytest.mark.parametrize(
    ("prompt", "sides"),
    [
        ("a fox and a bear on a farm at night", "left right"),
        ("a fox on the right and a bear on a farm at night", "right left"),
        ("a fox and a bear on the left side on a farm at night", "right left"),
        ("on the right a cat, on the left a dog, village, sunset", "right left"),
        ("a dog to the left of a cat in the village at noon", "left right"),
        ("bear right, fox left, forest, night", "right left"),
    ],
)
def test_subjects_stand_on_the_sides_that_are_named_or_left(prompt: str, sides: str) -> None:
    planned = plan(prompt)
    assert [text.rsplit(" ", 1)[1] for text in planned.foregrounds] == sides.split()
    assert planned.warnings == ()


def test_more_subjects_than_the_model_shows_are_warned_of() -> None:
    planned = plan("a fox, a bear and a rabbit in a meadow on a sunny day")
    assert planned.interpretation == (
        "fox, running, on the left, bear, walking, on the right, meadow, sunny day"
    )
    assert planned.warnings == (
        "This model draws 2 subjects at once: fox and bear; rabbit left out.",
    )
    assert len(plan("a fox, a bear and a rabbit, night, farm", V1_PLANNER).foregrounds) == 3

    many = plan("a dog, a cat and three ducks on a farm at night")
    assert many.warnings == ("This model draws 2 subjects at once: dog and cat; duck left out.",)


@pytest.mark.parametrize(
    "prompt",
    [
        "two foxes running in a forest at night",
        "a fox running and another fox hopping in a forest at night",
        "a pair of foxes running in a forest at night",
        "a fox and a fox running in a forest at night",
    ],
)
def test_a_subject_twice_is_shown_twice(prompt: str) -> None:
    planned = plan(prompt)
    assert planned.warnings in ((), ("A fox of this model is not hopping; it is running.",))
    assert [_without_heading(text) for text in planned.foregrounds] == [
        "a fox running on the left",
        "a fox running on the right",
    ]


def test_more_equal_subjects_than_there_is_room_for_are_warned_of() -> None:
    planned = plan("three foxes running in a forest at night")
    assert len(planned.foregrounds) == 2
    assert planned.warnings == ("This model draws 2 subjects at once, so it shows only two: fox.",)
    planned = plan("two foxes and a bear walking in a forest at night")
    assert len(planned.foregrounds) == 2
    assert planned.warnings == ("This model draws 2 subjects at once, so it shows only one: fox.",)


def test_layers_that_are_named_stand_apart_too() -> None:
    planned = plan("a farm at night", foreground_prompts=("a fox", "a bear on the left"))
    assert planned.interpretation.startswith(
        "fox, running, on the right, bear, walking, on the left"
    )
    twice = plan("a farm at night", foreground_prompts=("a fox", "a fox"))
    assert twice.interpretation.startswith("fox, running, on the left, fox, running, on the right")
    there = plan("a fox on the left and a bear on the left, farm, night")
    assert any("at one spot (left)" in w for w in there.warnings)


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("heading left", "to the left"),
        ("facing to the left", "to the left"),
        ("from left to right", "to the right"),
        ("leftwards", "to the left"),
        ("on the right-hand side", "on the right"),
        ("on the left of the picture", "on the left"),
        ("in the centre", "in the middle"),
        ("nearby", "nearby"),
        ("to the right on the left", "to the right, on the left"),
    ],
)
def test_where_a_subject_is_and_goes_is_understood(phrase: str, expected: str) -> None:
    planned = plan(f"a fox running {phrase} in a desert at night")
    assert planned.interpretation == f"fox, running, {expected}, desert, night"
    for part in expected.split(", "):
        assert part in planned.global_prompt
        assert part in planned.foregrounds[0]
    assert planned.warnings == ()


def test_what_is_left_open_is_chosen_with_the_seed() -> None:
    plans = [plan("a fox in a desert at night", seed=seed) for seed in range(20)]
    assert {p.foregrounds for p in plans} == {
        ("a fox running to the left in the middle",),
        ("a fox running to the right in the middle",),
    }
    assert {p.interpretation for p in plans} == {"fox, running, desert, night"}
    assert plans[3] == plan("a fox in a desert at night", seed=3)
    two = [plan("a fox and a bear, farm, night", seed=seed) for seed in range(20)]
    assert len({p.foregrounds for p in two}) == 4
    assert plan("a fox in a desert at night", V0_PLANNER).foregrounds == ("a fox running",)


def test_the_middle_of_a_place_or_of_the_night_is_no_side() -> None:
    planned = plan("a duck in the middle of the forest in the middle of the night")
    assert planned.interpretation == "duck, walking, forest, night"


def test_a_model_without_words_for_sides_says_so() -> None:
    planned = plan("a fox on the left in a desert at night", V0_PLANNER)
    assert planned.global_prompt == "a fox running across a desert at night"
    assert planned.warnings == ('This model does not know "left", and left that out.',)
    far = plan("a fox in the distance in a desert at night")
    assert far.warnings == ('This model does not know "distance", and left that out.',)


def test_what_is_far_lies_below() -> None:
    planned = plan("a fox and a bear in the distance, farm, night", V1_PLANNER)
    assert [_without_heading(text) for text in planned.foregrounds] == [
        "a bear walking on the right far away",
        "a fox running on the left",
    ]


def test_a_model_of_one_foreground_shows_the_first() -> None:
    planned = plan("a fox and a bear in a desert at night", V0_PLANNER)
    assert planned.foregrounds == ("a fox running",)
    assert planned.warnings == ("This model shows one subject: fox, not also bear.",)


def test_layers_of_a_stack_keep_their_sides_and_get_no_others() -> None:
    planned = TWO_PLANNER.plan_layers(("a fox running on the left", "a bear"), "a farm at night")
    assert planned.foregrounds == ("a fox running on the left", "a bear walking")


def test_a_new_text_keeps_where_the_subject_before_stood_and_headed() -> None:
    texts, before = ("a bear", "a fox running to the left on the left"), "a deer to the right"
    for seed in range(8):
        planned = TWO_PLANNER.plan_layers(
            texts, "a farm at night", new={0: NewText(before=before)}, seed=seed
        )
        assert planned.foregrounds == ("a bear walking to the right on the right", texts[1])
        assert planned.warnings == ()


def test_a_new_text_is_completed_with_the_seed_and_others_are_not() -> None:
    texts = ("a bear", "a fox on the left")
    planned = [
        TWO_PLANNER.plan_layers(texts, "a farm at night", new={0: NewText()}, seed=seed)
        for seed in range(8)
    ]
    assert {each.foregrounds[0] for each in planned} == {
        "a bear walking to the left on the right",
        "a bear walking to the right on the right",
    }
    assert {each.foregrounds[1] for each in planned} == {"a fox running on the left"}


@pytest.mark.parametrize(
    ("prompt", "understood"),
    [
        ("a sea lion and a lion on a farm in the rain", "seal; lion"),
        ("a teddy bear and a bear on a farm in the rain", "teddy bear; bear"),
        ("a race car and a car on a farm in the rain", "racing car; red car"),
        ("wolves and mice on a farm in the rain", "wolf; mouse"),
        ("a white dove and a snow-white bicycle on a farm in the rain", "dove; white bicycle"),
    ],
)
def test_longer_names_are_not_their_parts(prompt: str, understood: str) -> None:
    planned = plan(prompt, V1_PLANNER)
    assert [planned.interpretation.split(", ")[k] for k in (0, 3)] == understood.split("; ")
    assert planned.interpretation.endswith("farm, rain")
    assert planned.warnings == ()


def test_what_is_rolling_along_drives_or_tumbles() -> None:
    assert plan("a wheel rolling along, farm, dawn", V1_PLANNER).interpretation.startswith(
        "wheel, tumbling"
    )
    assert plan("a car rolling along, farm, dawn", V1_PLANNER).interpretation.startswith(
        "red car, driving"
    )
