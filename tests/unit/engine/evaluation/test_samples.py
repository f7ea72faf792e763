"""Prompts to be measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_engine.errors import EngineError
from layert2v_engine.evaluation.samples import draw_prompt_cases, read_prompt_cases
from layert2v_engine.world.text.vocabulary import SUBJECTS, V0, V1, is_held_out


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
