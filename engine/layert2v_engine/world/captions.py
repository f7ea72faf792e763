"""Sentences about a label, the single figure of Mini v0: the whole, its figure, its place.

Every sentence comes from an enumerable grammar, so text states can be computed once for all of
them. In a global sentence at most one word is a synonym, which keeps the grammar small. Knows words
only: standard library.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache

from layert2v_engine.world.text.phrases import WAYS, figures, verbs, when, with_article
from layert2v_engine.world.text.vocabulary import PLACES, TIMES, Label, labels

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


@lru_cache(maxsize=1024)
def _sentences(label: Label) -> tuple[tuple[str, ...], ...]:
    """All (global, foreground, background) sentences of a label, canonical first."""
    names, deeds = figures(label.subject, label.colour), verbs(label.subject, label.action)
    places, times = PLACES[label.place].spoken, TIMES[label.time].spoken
    foregrounds = [f"{with_article(f)} {v}" for f in names for v in deeds]
    foregrounds += [*map(with_article, names), *names]
    backgrounds = [f"{with_article(p)} {when(t)}" for p in places for t in times]
    backgrounds += [f"{p}, {when(t)}" for p in places for t in times] + list(places)
    return tuple(_globals(label)), tuple(foregrounds), tuple(backgrounds)


def _globals(label: Label) -> Iterator[str]:
    way, at = WAYS[PLACES[label.place].name]
    slots = (
        figures(label.subject, label.colour),
        verbs(label.subject, label.action),
        PLACES[label.place].spoken,
        TIMES[label.time].spoken,
    )
    first = [words[0] for words in slots]
    chosen = [tuple(first)]
    for i, words in enumerate(slots):
        chosen += [(*first[:i], word, *first[i + 1 :]) for word in words[1:]]
    for figure, verb, place, time in chosen:
        yield f"{with_article(figure)} {verb} {way} {with_article(place)} {when(time)}"
    figure, verb, place, time = first
    yield f"{when(time)}, {with_article(figure)} {verb} {way} {with_article(place)}"
    yield f"{with_article(place)} {when(time)}, {with_article(figure)} {verb}"
    yield f"{figure}, {verb}, {place}, {time}"
    yield f"{with_article(figure)} {at} {with_article(place)} {when(time)}"
    yield f"{with_article(figure)} {verb} {way} {with_article(place)}"
