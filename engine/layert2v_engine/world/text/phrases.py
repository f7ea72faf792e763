"""Phrases: articles, prepositions, what subjects and actions may be called.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence

from layert2v_engine.world.text.vocabulary import ACTIONS, COLORS, SUBJECTS, Word

# By place: how something moves there, and how something is there.
PREPOSITIONS: dict[str, tuple[str, str]] = {
    "snowy forest": ("through", "in"),
    "forest": ("through", "in"),
    "desert": ("across", "in"),
    "beach": ("along", "on"),
    "meadow": ("across", "in"),
    "city street": ("along", "on"),
    "mountain lake": ("along", "by"),
    "red canyon": ("through", "in"),
    "village": ("through", "in"),
    "moon": ("across", "on"),
    "autumn forest": ("through", "in"),
    "savanna": ("across", "in"),
    "polar ice": ("across", "on"),
    "farm": ("across", "on"),
}
_DEFINITE = ("woods", "seaside", "lakeside", "moon", "lunar surface")
_BARE = ("sand dunes", "polar ice", "arctic ice")
_SPELT = {"ufo": "a", "suv": "an"}
_WHEN = {
    "moonlight": "in the moonlight",
    "rain": "in the rain",
    "pouring rain": "in pouring rain",
    "snowfall": "in the snowfall",
    "falling snow": "in falling snow",
    "snowstorm": "in a snowstorm",
}
_OWN_VERBS = {("penguin", "walking"): ("waddling",), ("horse", "running"): ("galloping",)}


def with_article(noun: str) -> str:
    """Return a noun with its article: "an elephant", "the woods", "sand dunes"."""
    if noun in _BARE:
        return noun
    if noun in _DEFINITE:
        return f"the {noun}"
    article = _SPELT.get(noun, "an" if noun[0] in "aeiou" else "a")
    return f"{article} {noun}"


def time_phrase(time: str) -> str:
    """Return a time as part of a sentence: "on a sunny day", "at dawn", "in the rain"."""
    if time.endswith("day"):
        return f"on {with_article(time)}"
    return _WHEN.get(time, f"at {time}")


def subject_names(subject: int, color: int) -> tuple[str, ...]:
    """Return names of a subject, canonical first; at most one word in them is a synonym."""
    nouns = SUBJECTS[subject].caption_names
    if color < 0:
        return nouns
    colors = COLORS[color].caption_names
    return (
        *(f"{colors[0]} {noun}" for noun in nouns),
        *(f"{other} {nouns[0]}" for other in colors[1:]),
    )


def action_phrases(subject: int, action: str) -> tuple[str, ...]:
    """Return what a subject's action may be called, canonical first."""
    caption_names = find_word(ACTIONS, action).caption_names
    return (*caption_names, *_OWN_VERBS.get((SUBJECTS[subject].name, action), ()))


def find_word(words: Sequence[Word], name: str) -> Word:
    """Return the word of a canonical name."""
    return next(word for word in words if word.name == name)


def join_list(parts: Sequence[str]) -> str:
    """Return parts as a list in words: "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
