"""Prompts to be measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from layert2v_engine.errors import EngineError
from layert2v_engine.evaluation.samples import draw_prompt_cases, read_prompt_cases, selection_of
from layert2v_engine.training import config as training_config
from layert2v_engine.training.config import load_config
from layert2v_engine.training.export import mini_info
from layert2v_engine.training.stages import AutoencoderStage, WorldConfig
from layert2v_engine.world.text.vocabulary import SUBJECTS, V0, V1, is_held_out

CONFIGS = Path(training_config.__file__).with_name("configs")


def test_prompts_of_a_file_are_labelled_by_name_and_synonym(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("# mine\n\na red fox in the woods at midnight\na robot on a sunny day\n")
    fox, robot = read_prompt_cases(path)
    assert SUBJECTS[fox.subjects[0]].name == "fox"
    assert fox.place == 1
    assert fox.time == 2
    assert robot.subjects == (-1,)
    assert robot.time == 0


def test_a_file_without_prompts_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text("# nothing\n")
    with pytest.raises(EngineError, match="no prompt in"):
        read_prompt_cases(path)
    with pytest.raises(EngineError, match="cannot be read"):
        read_prompt_cases(tmp_path / "missing.txt")


def test_cases_take_every_subject_and_keep_held_out_scenes_apart() -> None:
    cases = draw_prompt_cases(V0, 16, 0, held_out=False)
    assert {case.subjects[0] for case in cases} == set(V0.subject_indices)
    assert not any(is_held_out(w.subjects[0], w.place, w.time) for w in cases)
    rare = draw_prompt_cases(V0, 8, 0, held_out=True)
    assert all(is_held_out(w.subjects[0], w.place, w.time) for w in rare)
    pairs = draw_prompt_cases(V1, 6, 0, held_out=False, foregrounds=2)
    assert all(len(w.subjects) == 2 and " and " in w.prompt for w in pairs)


def test_equal_subjects_stand_on_both_sides() -> None:
    for case in draw_prompt_cases(V1, 6, 0, held_out=False, repeated=True):
        assert case.subjects[0] == case.subjects[1]
        assert case.spots == ("left", "right")
        assert "on the left and " in case.prompt


def test_positions_are_said_where_a_model_knows_several() -> None:
    for case in draw_prompt_cases(V1, 4, 0, held_out=False):
        assert len(case.headings) == len(case.spots) == 1
        assert f"to the {case.headings[0]}" in case.prompt
        assert case.label("heading") == ("left", "right").index(case.headings[0])
    (case,) = draw_prompt_cases(V0, 1, 0, held_out=False)
    assert (case.headings, case.spots, case.label("heading")) == ((), (), -1)


@pytest.mark.parametrize("configs", ["mini_v0", "mini_v0_3", "mini_v1", "mini_v1_gpu"])
def test_what_a_trained_model_is_shown_is_what_it_can_be_measured_with(configs: str) -> None:
    world = load_config(AutoencoderStage, "autoencoder", CONFIGS / configs).world
    shown, known = world.selection, selection_of(mini_info(world, 4, 2))
    for kind in ("subjects", "places", "times", "headings", "spots", "distances"):
        assert set(getattr(shown, kind)) <= set(getattr(known, kind)), kind


def test_a_model_without_words_of_position_shows_what_the_first_one_did() -> None:
    words = {"subject": ("fox",), "place": ("forest",), "time": ("night",)}
    mini = mini_info(WorldConfig(), 4, 1)
    info = replace(mini, vocabulary=words)
    assert selection_of(info).headings == V0.headings
    sides = replace(mini, vocabulary={**words, "heading": ("left", "right")})
    assert selection_of(sides).headings == ("left", "right")
