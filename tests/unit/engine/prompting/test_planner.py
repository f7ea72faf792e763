from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from layert2v.spec import GenerateSpec
from layert2v_engine.errors import InvalidSpec
from layert2v_engine.model.text import MiniLMTextEncoder
from layert2v_engine.prompting.planner import NewText, PromptPlan, PromptPlanner
from layert2v_engine.world.text import vocabulary as world

WORDS = {
    "subject": list(world.V0.subjects),
    "action": [w.name for w in world.ACTIONS],
    "place": list(world.V0.places),
    "time": list(world.V0.times),
    "colour": list(world.V0.colors),
}


@pytest.fixture(scope="module")
def planner() -> PromptPlanner:
    return PromptPlanner(WORDS, MiniLMTextEncoder().sentence_embeddings)


def no_similarity(texts: Sequence[str]) -> torch.Tensor:
    return torch.zeros(len(texts), 4)


def plan(planner: PromptPlanner, prompt: str, **fields: object) -> PromptPlan:
    """Return the plan of a request that allows the nearest subject, unless it says otherwise."""
    return planner.plan(GenerateSpec(prompt=prompt, **{"nearest": True, **fields}))  # type: ignore[arg-type]


def test_a_sentence_becomes_a_prompt_per_layer(planner: PromptPlanner) -> None:
    planned = plan(planner, "a red fox running through a snowy forest at sunset")
    assert planned.global_prompt == "a fox running through a snowy forest at sunset"
    assert planned.foregrounds == ("a fox running",)
    assert planned.background == "a snowy forest at sunset"
    assert planned.interpretation == "fox, running, snowy forest, sunset"
    assert planned.warnings == ()


@pytest.mark.parametrize(
    ("prompt", "understood"),
    [
        ("Elephants walk by the sea, cloudy", "elephant, walking, beach, overcast day"),
        ("a blue car drives downtown at midnight", "blue car, driving, city street, night"),
        ("at dusk, a bunny hops over the dunes", "rabbit, hopping, desert, sunset"),
        ("penguin, meadow, night", "penguin, walking, meadow, night"),
        ("bunnies jumped in a field at noon", "rabbit, hopping, meadow, sunny day"),
        ("a navy blue sedan in town at night", "blue car, driving, city street, night"),
        ("a fox walking in the forest, in the snow, at dusk", "fox, walking, snowy forest, sunset"),
    ],
)
def test_synonyms_and_inflections_are_known(
    planner: PromptPlanner, prompt: str, understood: str
) -> None:
    planned = plan(planner, prompt)
    assert (planned.interpretation, planned.warnings) == (understood, ())


def test_a_layers_own_prompt_wins_over_the_sentence(planner: PromptPlanner) -> None:
    planned = plan(
        planner,
        "a fox in a forest at night",
        foreground_prompts=("a giraffe running",),
        background_prompt="a desert on a sunny day",
    )
    assert planned.interpretation == "giraffe, running, desert, sunny day"
    planned = plan(planner, "a fox in a forest at night", background_prompt="the beach")
    assert planned.interpretation == "fox, running, beach, night"


def test_an_unknown_word_near_a_known_one_is_taken_with_a_warning(planner: PromptPlanner) -> None:
    planned = plan(planner, "a donkey in a meadow at dawn")
    assert planned.interpretation.startswith("horse")
    assert any('Took "donkey" for the subject "horse"' in w for w in planned.warnings)


def test_unknown_words_are_warned_of_and_the_known_ones_named() -> None:
    planned = plan(PromptPlanner(WORDS, no_similarity), "a shiny spaceship over Mars")
    assert planned.interpretation == "fox, running, snowy forest, sunny day"
    assert any("Found no subject" in w and "giraffe" in w for w in planned.warnings)
    assert any('"shiny", "spaceship", "mars"' in w for w in planned.warnings)


def test_an_unknown_subject_is_refused_with_what_is_known_and_what_is_near(
    planner: PromptPlanner,
) -> None:
    with pytest.raises(InvalidSpec) as refused:
        plan(planner, "a donkey in a meadow at dawn", nearest=False)
    (violation,) = refused.value.violations
    assert violation.field == "prompt"
    assert '"a donkey in a meadow at dawn"' in violation.message
    assert all(name in violation.message for name in ("giraffe", 'here "horse"', "--nearest"))
    with pytest.raises(InvalidSpec) as refused:
        plan(planner, "a woman in a red dress on a beach", nearest=False)
    assert "here" not in refused.value.violations[0].message  # nothing is near


def test_a_foreground_that_is_not_known_is_named(planner: PromptPlanner) -> None:
    texts = {"foreground_prompts": ("a fox", "a spaceship")}
    with pytest.raises(InvalidSpec) as refused:
        plan(planner, "on the beach", **texts, nearest=False)
    assert refused.value.violations[0].field == "foreground_prompts[1]"
    assert plan(planner, "on the beach", **texts).foregrounds[0] == "a fox running"


def test_a_place_that_is_not_known_is_no_reason_to_refuse(planner: PromptPlanner) -> None:
    planned = plan(planner, "a fox in a kitchen", nearest=False)
    assert planned.interpretation.startswith("fox, running")
    assert planned.warnings


def test_a_name_counts_before_an_inflection(planner: PromptPlanner) -> None:
    planned = plan(planner, "a race car driving on the beach at sunset")
    assert planned.interpretation == "red car, driving, beach, sunset"


def test_a_phrase_is_taken_as_one_and_the_nearest_can_do_what_is_asked(
    planner: PromptPlanner,
) -> None:
    planned = plan(planner, "a cat walking down an alley under a grey sky")
    assert planned.interpretation == "fox, walking, city street, overcast day"
    assert any('"grey sky"' in w for w in planned.warnings)


def test_a_second_place_is_warned_of(planner: PromptPlanner) -> None:
    planned = plan(planner, "a bear in a meadow by the sea at night")
    assert planned.warnings == ("This model shows one place: meadow, not also beach.",)


def test_a_second_subject_is_warned_of(planner: PromptPlanner) -> None:
    planned = plan(planner, "a fox and a bear in a meadow at night")
    assert planned.foregrounds == ("a fox running",)
    assert any("not also bear" in w for w in planned.warnings)


def test_what_a_subject_cannot_do_is_warned_of(planner: PromptPlanner) -> None:
    planned = plan(planner, "a blue fox driving through the woods at night")
    assert planned.interpretation == "fox, running, forest, night"
    assert any("is not driving" in w for w in planned.warnings)
    assert any("one color" in w for w in planned.warnings)


def test_a_model_without_vocabulary_gets_the_artists_words() -> None:
    planned = plan(PromptPlanner({}, no_similarity), "a shiny spaceship", negative_prompt="blur")
    assert planned.global_prompt == planned.background == "a shiny spaceship"
    assert planned.foregrounds == ("a shiny spaceship",)
    assert planned.negative == "blur"


def test_layers_with_texts_of_their_own_get_the_words_of_the_model(
    planner: PromptPlanner,
) -> None:
    planned = planner.plan_layers(("the bunny hops",), "downtown at midnight")
    assert planned.foregrounds == ("a rabbit hopping",)
    assert planned.background == "a city street at night"
    assert planned.global_prompt == "a rabbit hopping along a city street at night"
    assert planned.interpretation == "rabbit, hopping, city street, night"
    assert planned.warnings == ()


def test_a_layer_nobody_described_has_an_empty_prompt(planner: PromptPlanner) -> None:
    plate = planner.plan_layers(("a fox",), "")
    assert (plate.background, plate.global_prompt, plate.foregrounds) == (
        "",
        "",
        ("a fox running",),
    )
    alone = planner.plan_layers((), "a desert at sunset")
    assert (alone.background, alone.foregrounds) == ("a desert at sunset", ())
    assert plate.warnings == alone.warnings == ()


def test_two_layers_share_one_scene(planner: PromptPlanner) -> None:
    planned = planner.plan_layers(("a fox", "a bear walking"), "a forest at night")
    assert planned.foregrounds == ("a fox running", "a bear walking")
    assert planned.global_prompt == "a fox running and a bear walking through a forest at night"


def test_a_model_without_a_vocabulary_gets_the_layers_texts_as_they_are() -> None:
    planned = PromptPlanner({}, no_similarity).plan_layers(("ein Fuchs",), "im Wald", "blurry")
    assert (planned.global_prompt, planned.negative) == ("ein Fuchs, im Wald", "blurry")
    assert planned.interpretation == "ein Fuchs; im Wald"


def test_every_foreground_that_is_named_is_a_subject(planner: PromptPlanner) -> None:
    foregrounds = ("a fox", "a bear walking")
    planned = plan(
        planner, "a fox and a bear in the woods at night", foreground_prompts=foregrounds
    )
    assert planned.foregrounds == ("a fox running", "a bear walking")
    assert planned.global_prompt == "a fox running and a bear walking through a forest at night"
    assert planned.background == "a forest at night"
    assert planned.interpretation == "fox, running, bear, walking, forest, night"
    assert planned.warnings == ()


def test_a_new_prompt_of_a_layer_must_name_a_known_subject(planner: PromptPlanner) -> None:
    texts, place = ("a fox", "a woman in a red dress"), "a desert at sunset"
    with pytest.raises(InvalidSpec, match="knows no subject in") as caught:
        planner.plan_layers(texts, place, new={1: NewText(field="prompts[fg_02]")})
    assert [each.field for each in caught.value.violations] == ["prompts[fg_02]"]
    assert planner.plan_layers(texts, place, new={0: NewText(field="prompts[fg_01]")}).warnings


def test_two_of_what_is_not_known_are_two_of_the_nearest() -> None:
    two = PromptPlanner(WORDS, MiniLMTextEncoder().sentence_embeddings, foregrounds=2)
    planned = plan(two, "two dogs running on a beach at night")
    assert planned.foregrounds == ("a fox running", "a fox running")
    assert len(plan(two, "a dog running past two trees").foregrounds) == 2
    assert plan(two, "an elephant walking past two trees").foregrounds == ("an elephant walking",)
