"""Captions of scenes: what Mini v0 learned stays word for word; variety repeats with its seed."""

from __future__ import annotations

import re
import subprocess
import sys
from random import Random

import pytest

from layert2v_engine.world.text.captions import captions_for, sample_captions
from layert2v_engine.world.text.scenes import Scene, scene_from_label
from layert2v_engine.world.text.vocabulary import V0, Label, all_labels

FOX = Label(subject=0, place=0, time=1, action="running")
CAR = Label(subject=7, place=5, time=2, color=0, action="driving")


def scene(label: Label) -> Scene:
    return scene_from_label(label, V0)


def test_canonical_captions() -> None:
    assert captions_for(scene(FOX)) == (
        "a fox running through a snowy forest at sunset",
        "a fox running",
        "a snowy forest at sunset",
    )
    assert captions_for(scene(CAR))[0] == "a red car driving along a city street at night"


def test_canonical_captions_tell_what_is_asked_for() -> None:
    whole, fox, where = captions_for(scene(FOX), details=("heading", "spot"))
    assert whole == "a fox running to the right in the middle in a snowy forest at sunset"
    assert fox == "a fox running to the right in the middle"
    assert where == "a snowy forest at sunset"


def test_captions_repeat_with_the_same_state_and_vary_otherwise() -> None:
    sets = [{captions_for(scene(FOX), Random(i)) for i in range(k, k + 40)} for k in (0, 0, 99)]
    assert sets[0] == sets[1] != sets[2]
    assert len(sets[0]) > 10


def test_articles_agree_in_every_canonical_caption() -> None:
    for label in all_labels():
        for text in captions_for(scene(label)):
            assert not re.search(r"\ba [aeiou]", text), text
            assert not re.search(r"\ban [^aeiou]", text), text
            assert not re.search(r"\b(an?|the) (an?|the|sand dunes)\b", text), text


@pytest.mark.parametrize("kind", ["subjects", "places", "times"])
def test_sampled_captions_hold_every_word(kind: str) -> None:
    captions = " ".join(sample_captions(V0))
    assert all(name in captions for name in getattr(V0, kind))


def test_words_need_no_torch() -> None:
    code = (
        "import sys, layert2v_engine.world.text.captions\n"
        "assert not {'torch', 'numpy'} & set(sys.modules), 'captions imported a picture library'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
