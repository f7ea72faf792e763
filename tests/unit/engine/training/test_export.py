from __future__ import annotations

from dataclasses import replace

from layert2v_engine.training.export import _sampled_as, mini_info, vocabulary
from layert2v_engine.training.stages import WorldConfig
from layert2v_engine.world.text.vocabulary import V0, V1


def test_a_model_names_the_words_of_its_world() -> None:
    words = vocabulary(V0)
    assert words["action"] == ("running", "walking", "hopping", "driving")
    assert (words["subject"], words["colour"]) == (V0.subjects, V0.colors)
    assert not {"spot", "heading", "distance"} & set(words)
    birds = replace(V0, subjects=("penguin", "eagle"))
    assert vocabulary(birds)["action"] == ("walking", "flying")


def test_details_have_words_where_there_is_a_choice() -> None:
    words = vocabulary(V1)
    assert words["spot"] == ("left", "middle", "right")
    assert words["heading"] == ("left", "right")
    assert words["distance"] == ("far", "near")


def test_a_model_is_called_what_it_was_exported_as() -> None:
    assert mini_info(WorldConfig(), 4, 1, "My Mini").title == "My Mini"
    assert mini_info(WorldConfig(), 4, 1).title == "LayerT2V Mini (illustrated)"


def test_a_vocabulary_is_the_worlds_and_guidance_that_of_the_start() -> None:
    trained = mini_info(WorldConfig(), 4, 2)
    start = replace(trained, default_guidance=2.0, default_steps=12, width_range=(32, 64))
    info = _sampled_as(start, trained)
    assert (info.default_guidance, info.default_steps) == (2.0, 12)
    assert (info.vocabulary, info.width_range) == (trained.vocabulary, trained.width_range)
    distilled = mini_info(WorldConfig(), 4, 2, guidance=1.5)
    assert _sampled_as(start, distilled).default_guidance == 1.5
