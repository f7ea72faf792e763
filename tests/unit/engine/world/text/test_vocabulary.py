"""The words of the world: vocabulary, captions, what is held out."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from layert2v_engine.world.text import descriptions, phrases, scenes, vocabulary
from layert2v_engine.world.text.vocabulary import ABILITIES, ACTIONS, PLACES, SUBJECTS, TIMES

KINDS = ("SUBJECTS", "PLACES", "TIMES", "ACTIONS", "COLORS")


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_means_one_thing(kind: str) -> None:
    names = [n for word in getattr(vocabulary, kind) for n in (word.name, *word.synonyms)]
    assert len(names) == len(set(names))
    assert all(name == name.lower().strip() for name in names)


def test_every_subject_has_abilities_among_the_actions() -> None:
    known = {word.name for word in ACTIONS}
    assert len(ABILITIES) == len(SUBJECTS)
    assert all(can and set(can) <= known for can in ABILITIES)


def test_labels_cover_colours_only_for_painted_subjects() -> None:
    for label in vocabulary.all_labels():
        assert (label.color >= 0) == vocabulary.is_painted(label.subject)


@pytest.mark.parametrize("whole", [False, True])
def test_about_a_tenth_is_held_out_but_no_word_vanishes(whole: bool) -> None:
    sizes = (len(SUBJECTS), len(PLACES), len(TIMES)) if whole else (8, 6, 4)
    triples = list(itertools.product(*map(range, sizes)))
    kept = [x for x in triples if not vocabulary.is_held_out(*x)]
    assert 0.06 < 1 - len(kept) / len(triples) < 0.14
    for i, size in enumerate(sizes):
        assert {x[i] for x in kept} == set(range(size))
    assert vocabulary.is_held_out(0, 0, 0)
    assert not vocabulary.is_held_out(1, 0, 0)


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [
        ("elephant", "an elephant"),
        ("woods", "the woods"),
        ("sand dunes", "sand dunes"),
        ("car", "a car"),
        ("ufo", "a ufo"),
        ("moon", "the moon"),
    ],
)
def test_with_article(noun: str, phrase: str) -> None:
    assert phrases.with_article(noun) == phrase


def test_descriptions_name_every_figure_in_the_order_of_the_layers() -> None:
    rng = random.Random(5)
    for count in (0, 1, 2, 3):
        for _ in range(60):
            scene = scenes.sample_scene(rng, foregrounds=count)
            said = descriptions.describe(scene, rng)
            assert len(said.foregrounds) == count
            start = 0
            for actor, alone in zip(scene.actors, said.foregrounds, strict=True):
                names = phrases.subject_names(actor.subject, actor.color)
                assert any(name in alone for name in names)
                found = [said.whole.find(name, start) for name in names]
                start = 1 + min(point for point in found if point >= 0)


def test_half_of_the_descriptions_tell_sides_headings_or_distances() -> None:
    rng = random.Random(6)
    scene = scenes.sample_scene(rng, foregrounds=2)
    details = re.compile(r"left|right|middle|centre|near|close|far|distance|back|front")
    told = [bool(details.search(descriptions.describe(scene, rng).whole)) for _ in range(400)]
    assert 0.38 < sum(told) / len(told) < 0.62


def test_articles_agree_in_descriptions() -> None:
    rng = random.Random(7)
    for _ in range(600):
        said = descriptions.describe(scenes.sample_scene(rng), rng)
        for text in (said.whole, *said.foregrounds, said.background):
            assert not re.search(r"\ba (?!ufo)[aeiou]", text), text
            assert not re.search(r"\ban (?!suv)[^aeiou]", text), text
            assert not re.search(r"\b(an?|the) (an?|the|sand dunes|polar ice)\b", text), text


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


def test_a_selection_keeps_to_its_words() -> None:
    rng = random.Random(10)
    for _ in range(100):
        scene = scenes.sample_scene(rng, vocabulary.V0)
        assert scene.place < 6
        assert scene.time < 4
        (actor,) = scene.actors
        assert actor.subject < 8
        assert actor.color < 3
        assert (actor.heading, actor.spot, actor.distance) == ("right", "middle", "close")
    assert vocabulary.Selection.from_dict(vocabulary.V0.to_dict()) == vocabulary.V0


def test_without_sides_to_speak_of_figures_stand_in_their_order() -> None:
    selection = vocabulary.Selection(spots=("middle",), distances=("close",))
    pair = scenes.sample_scene(random.Random(3), selection, foregrounds=2)
    three = scenes.sample_scene(random.Random(3), selection, foregrounds=3)
    assert [actor.spot for actor in pair.actors] == ["left", "right"]
    assert [actor.spot for actor in three.actors] == ["left", "middle", "right"]
