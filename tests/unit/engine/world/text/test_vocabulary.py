"""The vocabulary: names, abilities, labels, selections, what is held out."""

from __future__ import annotations

import itertools
import random

import pytest

from layert2v_engine.world.text import scenes, vocabulary
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
