from __future__ import annotations

from dataclasses import replace

from layert2v_engine.training.export import _info_from, mini_info, vocabulary
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


def test_an_export_declares_how_its_start_is_sampled() -> None:
    trained = mini_info(WorldConfig(), 4, 2)
    wan = replace(
        trained, name="wan", title="Wan", vocabulary={}, default_guidance=5.0, default_steps=50,
        width_range=(256, 1280), default_fps=16.0,
    )  # fmt: skip
    own = _info_from(wan, trained, "")
    assert own == replace(wan, max_foregrounds=2)
    assert _info_from(wan, trained, "Mine").title == "Mine"
    mini = replace(trained, default_guidance=2.0, default_steps=12, width_range=(32, 64))
    on = _info_from(mini, trained, "")
    assert (on.default_guidance, on.default_steps) == (2.0, 12)
    assert (on.vocabulary, on.width_range) == (trained.vocabulary, trained.width_range)
    distilled = mini_info(WorldConfig(), 4, 2, guidance=1.5)
    assert _info_from(wan, distilled, "").guidance_range == (1.5, 1.5)
    assert _info_from(wan, distilled, "").default_guidance == 1.5
