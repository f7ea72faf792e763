"""Descriptions: every subject in order, details in half of them."""

from __future__ import annotations

import random
import re

from layert2v_engine.world.text import descriptions, phrases, scenes
from layert2v_engine.world.text.vocabulary import V0, Selection


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


def test_most_descriptions_tell_sides_headings_or_distances() -> None:
    rng = random.Random(6)
    scene = scenes.sample_scene(rng, foregrounds=2)
    details = re.compile(r"left|right|middle|centre|near|close|far|distance|back|front")
    has_details = [
        bool(details.search(descriptions.describe(scene, rng).whole)) for _ in range(400)
    ]
    assert 0.68 < sum(has_details) / len(has_details) < 0.9


def test_half_of_the_descriptions_are_as_a_planner_words_requests() -> None:
    """Heading and side in the sentence of the whole and in that of the subject."""
    rng, details = random.Random(9), ("heading", "spot", "distance")
    scene = scenes.sample_scene(rng, foregrounds=1)
    planned = {descriptions.canonical_description(scene, each) for each in (details, details[:2])}
    said = [descriptions.describe(scene, rng, details) for _ in range(400)]
    assert 0.4 < sum(each in planned for each in said) / len(said) < 0.6
    assert planned <= set(said)


def test_details_that_a_request_tells_are_those_that_differ() -> None:
    rng = random.Random(0)
    alike = [scenes.sample_scene(rng, V0) for _ in range(20)]
    assert descriptions.varying_details(alike) == ()
    both = Selection(headings=("left", "right"), spots=("middle",), distances=("near",))
    differ = [scenes.sample_scene(rng, both, foregrounds=1) for _ in range(20)]
    assert descriptions.varying_details(differ) == ("heading",)


def test_articles_agree_in_descriptions() -> None:
    rng = random.Random(7)
    for _ in range(600):
        said = descriptions.describe(scenes.sample_scene(rng), rng)
        for text in (said.whole, *said.foregrounds, said.background):
            assert not re.search(r"\ba (?!ufo)[aeiou]", text), text
            assert not re.search(r"\ban (?!suv)[^aeiou]", text), text
            assert not re.search(r"\b(an?|the) (an?|the|sand dunes|polar ice)\b", text), text
