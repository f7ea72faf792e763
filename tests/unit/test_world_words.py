"""The words of the world: vocabulary, captions, what is held out."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from layert2v_engine.world import captions, vocabulary
from layert2v_engine.world.vocabulary import ABILITIES, ACTIONS, PLACES, SUBJECTS, TIMES, Label

KINDS = ("SUBJECTS", "PLACES", "TIMES", "ACTIONS", "COLOURS")
FOX = Label(subject=0, place=0, time=1, action="running")
CAR = Label(subject=7, place=5, time=2, colour=0, action="driving")


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
    for label in vocabulary.labels():
        assert (label.colour >= 0) == vocabulary.is_painted(label.subject)


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


def test_canonical_captions() -> None:
    assert captions.canonical(FOX) == (
        "a fox running through a snowy forest at sunset",
        "a fox running",
        "a snowy forest at sunset",
    )
    assert captions.canonical(CAR)[0] == "a red car driving along a city street at night"


def test_all_texts_hold_whatever_is_sampled() -> None:
    texts = set(captions.all_texts())
    assert len(texts) < 6000
    rng = random.Random(3)
    for label in rng.sample(vocabulary.labels(), 150):
        assert texts.issuperset(captions.captions(label, rng))


def test_captions_repeat_with_the_same_state_and_vary_otherwise() -> None:
    sets = [
        {captions.captions(FOX, random.Random(i)) for i in range(k, k + 40)} for k in (0, 0, 99)
    ]
    assert sets[0] == sets[1] != sets[2]
    assert len(sets[0]) > 10


def test_articles_agree_in_every_sentence() -> None:
    for text in captions.all_texts():
        assert not re.search(r"\ba [aeiou]", text), text
        assert not re.search(r"\ban [^aeiou]", text), text
        assert not re.search(r"\b(an?|the) (an?|the|sand dunes)\b", text), text


@pytest.mark.parametrize(
    ("noun", "phrase"),
    [
        ("elephant", "an elephant"),
        ("woods", "the woods"),
        ("sand dunes", "sand dunes"),
        ("car", "a car"),
    ],
)
def test_with_article(noun: str, phrase: str) -> None:
    assert captions.with_article(noun) == phrase


def test_words_need_no_torch() -> None:
    import subprocess
    import sys

    code = (
        "import sys, layert2v_engine.world.captions\n"
        "assert not {'torch', 'numpy'} & set(sys.modules), 'the words drew in a picture library'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
