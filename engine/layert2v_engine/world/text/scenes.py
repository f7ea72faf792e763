"""Scenes: which subjects stand where in which place, drawn at random from a selection of the world.

Subjects are listed bottom to top, the farthest first, as their layers are stacked. Knows words and
chances only, no pictures.
"""

from __future__ import annotations

import functools
import json
import random
from dataclasses import asdict, dataclass

from layert2v_engine.errors import EngineError
from layert2v_engine.layout import Figure
from layert2v_engine.world.text.vocabulary import (
    ABILITIES,
    DISTANCES,
    SPOTS,
    SUBJECTS,
    V1,
    Label,
    Selection,
    is_held_out,
    is_painted,
    is_possible,
)

_STORED_KEYS = {"color": "colour"}  # of an actor in files


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """One subject: indices into the words (color -1: natural), and where it is and goes.

    An empty string stands where nothing is said of that.
    """

    subject: int
    color: int = -1
    action: str = "walking"
    heading: str = "right"
    spot: str = "middle"
    distance: str = "close"

    @property
    def figure(self) -> Figure:
        """What is seen of it before all detail."""
        return Figure(SUBJECTS[self.subject].name, self.heading, self.spot)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What a clip shows. ``actors`` are ordered bottom to top, the farthest first."""

    place: int
    time: int
    actors: tuple[Actor, ...] = ()
    camera: str = "follow"

    @property
    def held_out(self) -> bool:
        """Whether a subject of this scene is kept out of training in this place at this time."""
        return any(is_held_out(actor.subject, self.place, self.time) for actor in self.actors)

    def label(self, foreground: int = 0) -> Label:
        """Return what one foreground and the place show, without position and camera."""
        actor = self.actors[foreground]
        return Label(
            subject=actor.subject,
            place=self.place,
            time=self.time,
            color=actor.color,
            action=actor.action,
        )


def scene_from_label(label: Label, selection: Selection) -> Scene:
    """Return the scene of a single subject, placed as the selection's first choices say."""
    actor = Actor(
        subject=label.subject,
        color=label.color,
        action=label.action,
        heading=selection.headings[-1],
        spot="middle",
        distance=selection.distances[-1],
    )
    return Scene(place=label.place, time=label.time, actors=(actor,), camera=selection.cameras[0])


def scene_to_json(scene: Scene) -> str:
    """Return a scene as one line of JSON; its keys are those of files written before."""
    record = asdict(scene)
    record["actors"] = [
        {_STORED_KEYS.get(name, name): value for name, value in actor.items()}
        for actor in record["actors"]
    ]
    return json.dumps(record, separators=(",", ":"))


def scene_from_json(text: str) -> Scene:
    """Return the scene that ``scene_to_json`` wrote."""
    record = json.loads(text)
    fields = {stored: name for name, stored in _STORED_KEYS.items()}
    actors = (
        Actor(**{fields.get(key, key): value for key, value in actor.items()})
        for actor in record["actors"]
    )
    return Scene(**{**record, "actors": tuple(actors)})


def sample_scene(
    rng: random.Random,
    selection: Selection = V1,
    *,
    held_out: bool = False,
    foregrounds: int | None = None,
) -> Scene:
    """Return a random scene; with ``held_out``, one that is kept out of training.

    At least one subject of it is held out then. ``foregrounds`` fixes the number of subjects;
    without subjects nothing is held out. Raises ValueError for a held-out scene without subjects,
    and EngineError where the selection allows no such scene.
    """
    count = rng.choice(selection.foregrounds) if foregrounds is None else foregrounds
    if held_out and count == 0:
        raise ValueError("a scene without figures is never held out of training")
    if not _is_allowed(selection, count, held_out):
        kind = "held out of training" if held_out else "to train on"
        raise EngineError(
            f"The selection of the world allows no scene {kind} with {count} subjects.",
            "Select more subjects, places or times.",
            reason="NO_SCENE",
        )
    while True:
        scene = Scene(
            place=rng.choice(selection.place_indices),
            time=rng.choice(selection.time_indices),
            actors=_sample_actors(rng, selection, count),
            camera=rng.choice(selection.cameras),
        )
        if scene.held_out == held_out and is_possible(scene.place, scene.time):
            return scene


@functools.cache
def _is_allowed(selection: Selection, count: int, held_out: bool) -> bool:
    """Return whether there is a scene of ``count`` subjects, held out of training or not."""
    subjects = selection.subject_indices
    if count > len(subjects):
        return False
    for place in selection.place_indices:
        for time in selection.time_indices:
            if is_possible(place, time):
                kept_out = sum(is_held_out(subject, place, time) for subject in subjects)
                if kept_out > 0 and count > 0 if held_out else len(subjects) - kept_out >= count:
                    return True
    return False


def _sample_actors(rng: random.Random, selection: Selection, count: int) -> tuple[Actor, ...]:
    """Return different subjects at different spots, the farthest first."""
    subjects = rng.sample(selection.subject_indices, count)
    spots = _sample_spots(rng, selection, count)
    return tuple(
        sorted(
            (
                _sample_actor(rng, selection, s, spot)
                for s, spot in zip(subjects, spots, strict=True)
            ),
            key=lambda actor: DISTANCES.index(actor.distance),
        )
    )


def _sample_spots(rng: random.Random, selection: Selection, count: int) -> list[str]:
    if count == 1:
        return [rng.choice(selection.spots)]
    if len(selection.spots) == 1:  # nothing is said of sides: several stand in their order
        return ["left", "right"] if count == 2 else list(SPOTS[:count])
    return rng.sample(("left", "right") if count == 2 else ("left", "middle", "right"), count)


def _sample_actor(rng: random.Random, selection: Selection, subject: int, spot: str) -> Actor:
    return Actor(
        subject=subject,
        color=rng.choice(selection.color_indices) if is_painted(subject) else -1,
        action=rng.choice(ABILITIES[subject]),
        heading=rng.choice(selection.headings),
        spot=spot,
        distance=rng.choice(selection.distances),
    )
