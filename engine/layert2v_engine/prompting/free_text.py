"""A sentence in free English, split into its subjects and where they are. Knows text only.

Works on prepositions and determiners and knows no other words, so that it serves models without a
vocabulary. What it cannot split it returns whole and says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

_DETERMINER = r"(?:an?|the|one|two|three|some|several|another|his|her|its|their)"
_PLACE = (
    r"(?:in\s+front\s+of|next\s+to|on\s+top\s+of|in|on|at|through|across|over|under|beneath|beside|"
    r"near|along|inside|amid|amidst|among|against|past|behind|above|below|down|up|into|onto|"
    r"towards?|around|outside|within|between|by)"
)
_TIME = (
    r"(?:(?:at|before|after|around|by)\s+(?:dawn|dusk|sunset|sunrise|night|noon|midnight|midday|"
    r"twilight|golden\s+hour)|(?:in|during|on)\s+(?:the|an?)\s+(?:[\w-]+\s+){0,2}(?:morning|"
    r"afternoon|evening|night|day|spring|summer|autumn|winter|rain|storm)|in\s+(?:spring|summer|"
    r"autumn|winter))"
)
_PLACE_PHRASE = re.compile(rf"\s*,?\s+{_PLACE}\s+(?=[\w'])", re.IGNORECASE)
_TIME_AT_END = re.compile(rf"\s*,?\s+({_TIME})\s*[.!]?\s*$", re.IGNORECASE)
_IN_FRONT = re.compile(rf"^\s*(?:{_PLACE})\s+([^,]+),\s*(.+)$", re.IGNORECASE | re.DOTALL)
_TIME_IN_FRONT = re.compile(rf"^\s*({_TIME})\s*,?\s+(.+)$", re.IGNORECASE | re.DOTALL)
_ACTION = re.compile(r"\b[a-z]{2,}ing\b", re.IGNORECASE)
_BETWEEN_SUBJECTS = re.compile(
    rf"\s*(?:,\s*)?\b(?:and|while)\s+(?={_DETERMINER}\b)|\s*,\s*(?={_DETERMINER}\b)", re.IGNORECASE
)


class SplitSentence(NamedTuple):
    """The text about each subject, and the background's; that is empty where none was found."""

    subjects: tuple[str, ...]
    background: str


def split_sentence(sentence: str, limit: int) -> SplitSentence:
    """Split a sentence at its place and time; up to ``limit`` subjects.

    The place begins with the first preposition after an action (``running through a forest``), or
    with the last one of a sentence without. Subjects beyond the limit stay with the last.
    """
    rest, times = sentence.strip().rstrip("."), list[str]()
    if found := _TIME_IN_FRONT.match(rest):
        times, rest = [found[1]], found[2]
    if found := _TIME_AT_END.search(rest):
        times, rest = [found[1]], rest[: found.start()]
    if found := _IN_FRONT.match(rest):
        place, subject = found[1], found[2]
    else:
        subject, place = _split_at_place(rest)
    if not place:
        return SplitSentence((sentence.strip(),), "")
    return SplitSentence(_split_subjects(subject, limit), " ".join((place, *times)))


def _split_at_place(sentence: str) -> tuple[str, str]:
    """Return the text before a place and the place; that is empty where there is none."""
    phrases = list(_PLACE_PHRASE.finditer(sentence))
    action = _ACTION.search(sentence)
    after = [phrase for phrase in phrases if action and phrase.start() >= action.end()]
    if not phrases or (action and not after):
        return sentence, ""
    chosen = after[0] if after else phrases[-1]
    return sentence[: chosen.start()].strip(), sentence[chosen.end() :].strip()


def _split_subjects(text: str, limit: int) -> tuple[str, ...]:
    joints = list(_BETWEEN_SUBJECTS.finditer(text))[: limit - 1]
    starts = [0, *(joint.end() for joint in joints)]
    ends = [*(joint.start() for joint in joints), len(text)]
    return tuple(text[a:b].strip(" ,") for a, b in zip(starts, ends, strict=True))


def revise_sentence(sentence: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return the artist's sentence for layers whose texts were ``before`` and are ``after``.

    A text that changed is replaced where the sentence has it word for word. Empty where that cannot
    be done, or there are other layers now.
    """
    if before.keys() != after.keys():
        return ""
    for name, old in before.items():
        if old == after[name]:
            continue
        found = re.search(re.escape(old), sentence, re.IGNORECASE)
        if not old or not after[name] or found is None:
            return ""
        sentence = sentence[: found.start()] + after[name] + sentence[found.end() :]
    return sentence
