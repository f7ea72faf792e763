"""Sentences about a label: one for the whole picture, one for its figure, one for its place.

Every sentence comes from an enumerable grammar, so text states can be computed once for all of
them. In a global sentence at most one word is a synonym, which keeps the grammar small. Knows words
only: standard library.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache

from .vocabulary import ACTIONS, COLOURS, PLACES, SUBJECTS, TIMES, Label, Word, labels

_WAY = (
    "through",
    "through",
    "across",
    "along",
    "across",
    "along",
)  # by place, for something that moves
_AT = ("in", "in", "in", "on", "in", "on")
_DEFINITE = ("woods", "seaside")
_PLURAL = ("sand dunes",)
_OWN_VERBS = {("penguin", "walking"): ("waddling",), ("horse", "running"): ("galloping",)}
# Share of sampled captions that use the first template, as `canonical` does.
_CANONICAL_SHARE = 0.35

Sentences = tuple[str, str, str]


def captions(label: Label, rng: random.Random) -> Sentences:
    """A random (global, foreground, background); the same `rng` state gives the same sentences."""
    picks = []
    for options in _sentences(label):
        picks.append(options[0] if rng.random() < _CANONICAL_SHARE else rng.choice(options))
    return picks[0], picks[1], picks[2]


def canonical(label: Label) -> Sentences:
    """The first template with canonical words."""
    first = [options[0] for options in _sentences(label)]
    return first[0], first[1], first[2]


def all_texts() -> tuple[str, ...]:
    """Every sentence the grammar can produce, sorted."""
    return tuple(
        sorted({text for label in labels() for options in _sentences(label) for text in options})
    )


def with_article(noun: str) -> str:
    """A noun with the article it takes: "an elephant", "the woods", "sand dunes"."""
    if noun in _PLURAL:
        return noun
    if noun in _DEFINITE:
        return f"the {noun}"
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _when(time: str) -> str:
    if time.endswith("day"):
        return f"on {with_article(time)}"
    return "in the moonlight" if time == "moonlight" else f"at {time}"


def _figures(label: Label) -> tuple[str, ...]:
    """Names of the figure, canonical first."""
    nouns = SUBJECTS[label.subject].spoken
    if label.colour < 0:
        return nouns
    colours = COLOURS[label.colour].spoken
    return (
        *(f"{colours[0]} {noun}" for noun in nouns),
        *(f"{colour} {nouns[0]}" for colour in colours[1:]),
    )


def _verbs(label: Label) -> tuple[str, ...]:
    spoken = _named(ACTIONS, label.action).spoken
    return (*spoken, *_OWN_VERBS.get((SUBJECTS[label.subject].name, label.action), ()))


def _named(words: tuple[Word, ...], name: str) -> Word:
    return next(word for word in words if word.name == name)


@lru_cache(maxsize=1024)
def _sentences(label: Label) -> tuple[tuple[str, ...], ...]:
    """All (global, foreground, background) sentences of a label, canonical first."""
    figures, verbs = _figures(label), _verbs(label)
    places, times = PLACES[label.place].spoken, TIMES[label.time].spoken
    foregrounds = [f"{with_article(f)} {v}" for f in figures for v in verbs]
    foregrounds += [*map(with_article, figures), *figures]
    backgrounds = [f"{with_article(p)} {_when(t)}" for p in places for t in times]
    backgrounds += [f"{p}, {_when(t)}" for p in places for t in times] + list(places)
    return tuple(_globals(label)), tuple(foregrounds), tuple(backgrounds)


def _globals(label: Label) -> Iterator[str]:
    way, at = _WAY[label.place], _AT[label.place]
    slots = (_figures(label), _verbs(label), PLACES[label.place].spoken, TIMES[label.time].spoken)
    first = [words[0] for words in slots]
    chosen = [tuple(first)]
    for i, words in enumerate(slots):
        chosen += [(*first[:i], word, *first[i + 1 :]) for word in words[1:]]
    for figure, verb, place, time in chosen:
        yield f"{with_article(figure)} {verb} {way} {with_article(place)} {_when(time)}"
    figure, verb, place, time = first
    yield f"{_when(time)}, {with_article(figure)} {verb} {way} {with_article(place)}"
    yield f"{with_article(place)} {_when(time)}, {with_article(figure)} {verb}"
    yield f"{figure}, {verb}, {place}, {time}"
    yield f"{with_article(figure)} {at} {with_article(place)} {_when(time)}"
    yield f"{with_article(figure)} {verb} {way} {with_article(place)}"
