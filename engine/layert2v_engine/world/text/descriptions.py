"""Sentences about a scene: one for the whole picture, one for every subject, one for the place.

Most sentences say more than who, where and when: on which side a subject is, where it heads, how
far away it is. A model that is seldom told draws both headings at once, so about half are as a
planner words requests. Knows words only: standard library.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from layert2v_engine.world.text.phrases import (
    PREPOSITIONS,
    action_phrases,
    join_list,
    subject_names,
    time_phrase,
    with_article,
)
from layert2v_engine.world.text.scenes import Actor, Scene
from layert2v_engine.world.text.vocabulary import PLACES, TIMES

_PLANNED_SHARE = 0.5  # of scenes whose sentences are all as a planner words a request
_DISTANCE_SHARE = 0.5  # of those that say how far away a subject is, which few requests do
_CANONICAL_SHARE = 0.6  # of words said by their first name
_DETAILED_SHARE = 0.85  # of sentences that say sides, headings or distances
_CAMERA_SHARE = 0.25
_NAMELESS_SHARE = 0.12  # of sentences about a subject without its action

_SPOTS = {
    "left": ("on the left", "at the left side"),
    "middle": ("in the middle", "in the centre"),
    "right": ("on the right", "at the right side"),
}
_HEADINGS = {
    "left": ("to the left", "towards the left", "leftwards"),
    "right": ("to the right", "towards the right", "rightwards"),
}
_DISTANCES = {
    "far": ("far away", "in the distance", "further back"),
    "near": ("nearby", "close by", "up front"),
}
_CAMERAS = {
    "still": ("static shot", "the camera stands still", "still camera"),
    "follow": ("the camera follows", "tracking shot", "panning camera"),
    "push": ("the camera pushes in", "slow push in", "the camera moves closer"),
}
DETAILS = ("heading", "spot", "distance")  # in the order they are said


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """Prompts of a scene; ``foregrounds`` in the order of its actors, bottom to top."""

    whole: str
    foregrounds: tuple[str, ...]
    background: str


def describe(scene: Scene, rng: random.Random, details: Sequence[str] = ()) -> Description:
    """Return random sentences; the same ``rng`` state gives the same ones.

    ``details`` are those that a request tells; with them, about half are canonical descriptions.
    """
    if details and rng.random() < _PLANNED_SHARE:
        with_distance = rng.random() < _DISTANCE_SHARE
        said = [detail for detail in details if detail != "distance" or with_distance]
        return canonical_description(scene, said)
    return Description(
        whole=_global_prompt(scene, rng),
        foregrounds=tuple(_foreground_prompt(actor, rng) for actor in scene.actors),
        background=_background_prompt(scene, rng),
    )


def canonical_description(scene: Scene, details: Sequence[str] = ()) -> Description:
    """Return the first template with canonical words, and those ``details`` that actors have."""
    actors = [_actor_phrase(actor, details, None) for actor in scene.actors]
    place, time = PLACES[scene.place].name, TIMES[scene.time].name
    where = f"{with_article(place)} {time_phrase(time)}"
    detailed = any(_join_details(actor, details, None) for actor in scene.actors)
    way = PREPOSITIONS[place][detailed]
    whole = f"{join_list(actors)} {way} {where}" if actors else where
    return Description(whole=whole, foregrounds=tuple(actors), background=where)


def varying_details(scenes: Sequence[Scene]) -> tuple[str, ...]:
    """Return the details that differ between ``scenes``, as a request for one has to tell them."""
    actors = [actor for scene in scenes for actor in scene.actors]
    return tuple(d for d in DETAILS if len({getattr(actor, d) for actor in actors}) > 1)


def detail_phrases(actor: Actor) -> tuple[str, ...]:
    """Return the details an actor has, in words."""
    return tuple(text.strip() for d in DETAILS if (text := _join_details(actor, (d,), None)))


def _choose_name(options: Sequence[str], rng: random.Random | None) -> str:
    if rng is None or rng.random() < _CANONICAL_SHARE:
        return options[0]
    return rng.choice(options)


def _details(rng: random.Random) -> tuple[str, ...]:
    """Return which details a sentence gives: none in a few of them, else one, two or all."""
    if rng.random() >= _DETAILED_SHARE:
        return ()
    chosen = rng.sample(DETAILS, rng.choice((1, 2, 2, 3)))
    return tuple(detail for detail in DETAILS if detail in chosen)


def _join_details(actor: Actor, details: Sequence[str], rng: random.Random | None) -> str:
    """Return the details of an actor, each with a space before it."""
    options = {
        "heading": _HEADINGS.get(actor.heading, ()),
        "spot": _SPOTS.get(actor.spot, ()),
        "distance": _DISTANCES.get(actor.distance, ()),
    }
    return "".join(
        f" {_choose_name(options[detail], rng)}" for detail in details if options[detail]
    )


def _actor_phrase(actor: Actor, details: Sequence[str], rng: random.Random | None) -> str:
    """Return an actor as part of a sentence: "a fox running to the left"."""
    subject = with_article(_choose_name(subject_names(actor.subject, actor.color), rng))
    if rng is not None and rng.random() < _NAMELESS_SHARE:
        return subject + _join_details(actor, [d for d in details if d != "heading"], rng)
    action = _choose_name(action_phrases(actor.subject, actor.action), rng)
    return f"{subject} {action}{_join_details(actor, details, rng)}"


def _foreground_prompt(actor: Actor, rng: random.Random) -> str:
    """Return a prompt for one foreground."""
    if rng.random() < _NAMELESS_SHARE:
        return _choose_name(subject_names(actor.subject, actor.color), rng)
    return _actor_phrase(actor, _details(rng), rng)


def _background_prompt(scene: Scene, rng: random.Random) -> str:
    place, time = (
        _choose_name(PLACES[scene.place].caption_names, rng),
        _choose_name(TIMES[scene.time].caption_names, rng),
    )
    where = f"{with_article(place)} {time_phrase(time)}"
    return rng.choice((where, where, where, f"{place}, {time}", place)) + _camera(scene, rng)


def _camera(scene: Scene, rng: random.Random) -> str:
    return f", {rng.choice(_CAMERAS[scene.camera])}" if rng.random() < _CAMERA_SHARE else ""


def _global_prompt(scene: Scene, rng: random.Random) -> str:
    place, time = (
        _choose_name(PLACES[scene.place].caption_names, rng),
        _choose_name(TIMES[scene.time].caption_names, rng),
    )
    way, at = PREPOSITIONS[PLACES[scene.place].name]
    where, now = with_article(place), time_phrase(time)
    if not scene.actors:
        options = (f"{where} {now}", f"an empty {place} {now}", f"{place}, {time}", where)
        return rng.choice([o for o in options if "empty the" not in o]) + _camera(scene, rng)
    details = _details(rng)
    actors = [_actor_phrase(actor, details, rng) for actor in scene.actors]
    all_actors = join_list(actors)
    names = join_list([with_article(subject_names(a.subject, a.color)[0]) for a in scene.actors])
    short = ", ".join(t.split(" ", 1)[1] for t in actors)
    sentence = rng.choice(
        (
            f"{all_actors} {way if not details else at} {where} {now}",
            f"{all_actors} {at} {where} {now}",
            f"{all_actors} {at} {where} {now}",
            f"{now}, {all_actors} {at} {where}",
            f"{where} {now}, {all_actors}",
            f"{where} with {all_actors}, {time}",
            f"{short}, {place}, {time}",
            f"{names} {at} {where} {now}",
            f"{all_actors} {at} {where}",
        )
    )
    return sentence + _camera(scene, rng)
