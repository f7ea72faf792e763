"""Scenes: the split into trained and held out, stored form, spots."""

from __future__ import annotations

import random

import pytest

from layert2v_engine.errors import EngineError
from layert2v_engine.world.text import scenes, vocabulary


@pytest.mark.parametrize("held_out", [False, True])
def test_scenes_keep_to_their_side_of_the_split(held_out: bool) -> None:
    rng = random.Random(8)
    for _ in range(200):
        scene = scenes.sample_scene(rng, held_out=held_out, foregrounds=rng.choice((1, 2, 3)))
        out = [vocabulary.is_held_out(a.subject, scene.place, scene.time) for a in scene.actors]
        assert any(out) == held_out
        assert vocabulary.is_possible(scene.place, scene.time)
        assert len({actor.subject for actor in scene.actors}) == len(scene.actors)


def test_a_scene_without_figures_is_never_held_out() -> None:
    with pytest.raises(ValueError, match="without figures"):
        scenes.sample_scene(random.Random(0), held_out=True, foregrounds=0)


def test_scenes_return_from_text() -> None:
    rng = random.Random(9)
    for count in range(4):
        scene = scenes.sample_scene(rng, foregrounds=count)
        assert scenes.scene_from_json(scenes.scene_to_json(scene)) == scene


def test_without_sides_to_speak_of_figures_stand_in_their_order() -> None:
    selection = vocabulary.Selection(spots=("middle",), distances=("close",))
    pair = scenes.sample_scene(random.Random(3), selection, foregrounds=2)
    three = scenes.sample_scene(random.Random(3), selection, foregrounds=3)
    assert [actor.spot for actor in pair.actors] == ["left", "right"]
    assert [actor.spot for actor in three.actors] == ["left", "middle", "right"]


@pytest.mark.parametrize(
    ("selection", "held_out", "foregrounds"),
    [
        (vocabulary.Selection(subjects=("fox",)), False, 2),
        (vocabulary.Selection(subjects=("fox",), places=("beach",), times=("night",)), True, 1),
        (vocabulary.Selection(places=("moon",), times=("rain",)), False, 1),
    ],
)
def test_a_selection_that_allows_no_scene_is_said_in_a_sentence(
    selection: vocabulary.Selection, held_out: bool, foregrounds: int
) -> None:
    with pytest.raises(EngineError, match="allows no scene"):
        scenes.sample_scene(random.Random(0), selection, held_out=held_out, foregrounds=foregrounds)
