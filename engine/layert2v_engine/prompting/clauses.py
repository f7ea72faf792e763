"""A sentence that names several figures, cut into a clause for each. Knows text only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from layert2v_engine.prompting.lexicon import Lexicon, Mention

_COUNTS = (
    "two|three|four|five|six|seven|eight|nine|ten|[2-9]|several|many|multiple|"
    "(?:pair|couple|group|herd|pack|flock|pride)s?(?=\\s+of)|another|second|other"
)
_DETERMINERS = rf"(?:an?|the|one|some|{_COUNTS})"
_CONNECTORS = (
    r"(?:[,;&+]|\b(?:and|with|while|whereas|as|but|or|plus|beside|besides|next\s+to|near|by|"
    r"alongside|behind|followed\s+by|opposite)\b)"
)
_STRONG = re.compile(r"\b(?:and|with|while|whereas|plus)\b", re.IGNORECASE)
_CONNECTOR = re.compile(_CONNECTORS, re.IGNORECASE)
_ANEW = re.compile(rf"{_CONNECTORS}(?=\s*\b{_DETERMINERS}\b)", re.IGNORECASE)
_DETERMINER = re.compile(rf"\b{_DETERMINERS}\b", re.IGNORECASE)
_COUNTED = re.compile(rf"\b(?:{_COUNTS})\b(?=(?:\s+[\w-]+){{0,2}}\s*$)", re.IGNORECASE)
_AGAIN = re.compile(r"\b(?:the|this|that|its)\s+(?:(?!other|second)[\w-]+\s+)?$", re.IGNORECASE)
_TOGETHER = re.compile(
    r"\b(?:both|together|side\s+by\s+side|each\s+other|(?:beside|next\s+to)\s+(?:it|them))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clauses:
    """What is said of each figure that is drawn, what else is said, and warnings.

    joined: whether it was one sentence, in which the last deed may be said of all.
    """

    figures: tuple[str, ...]
    rest: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    joined: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clause:
    name: str
    text: str
    counted: bool  # "two foxes"
    again: bool  # "the fox", said of one that was named before


def split(sentence: str, lexicon: Lexicon, limit: int) -> Clauses:
    """One clause for each figure a sentence names, up to `limit` of them, in its order.

    A subject is drawn once: what is said of a second one, or of figures beyond the limit, goes to
    the rest, with a warning. A sentence that names no figure is its own only clause.
    """
    sentence = _TOGETHER.sub(" ", sentence)
    named: dict[str, str] = {}
    rest: list[str] = []
    repeated: set[str] = set()
    for clause in _cut(sentence, lexicon.subjects(sentence)):
        if clause.counted or (clause.name in named and not clause.again):
            repeated.add(clause.name)
        if clause.name not in named:
            named[clause.name] = clause.text
        elif clause.again:
            named[clause.name] += f", {clause.text}"
        else:
            rest.append(clause.text)
    if not named:
        return Clauses(figures=(sentence,))
    names = list(named)
    warnings = [
        f"This model draws a subject only once, so it shows one {name}."
        for name in names[:limit]
        if name in repeated
    ]
    if len(names) > limit:
        warnings.append(
            f"This model draws {limit} figures at once: {_all(names[:limit])}; "
            f"{_all(names[limit:])} left out."
        )
    texts = list(named.values())
    return Clauses(
        figures=tuple(texts[:limit]),
        rest=(*texts[limit:], *rest),
        warnings=tuple(warnings),
        joined=True,
    )


def _cut(sentence: str, mentions: Sequence[Mention]) -> list[_Clause]:
    """The clause of every mention; together they are the sentence without what joins them."""
    clauses, start = [], 0
    for index, mention in enumerate(mentions):
        end = then = len(sentence)
        if index + 1 < len(mentions):
            between = sentence[mention.end : mentions[index + 1].start]
            end, then = (mention.end + offset for offset in _seam(between))
        head = sentence[start : mention.start]
        counted = _COUNTED.search(head)
        clause = _Clause(
            name=mention.word.name,
            text=_COUNTED.sub("", head) + sentence[mention.start : end],
            counted=counted is not None,
            again=_AGAIN.search(head) is not None,
        )
        clauses.append(clause)
        start = then
    return [replace(clause, text=clause.text.strip()) for clause in clauses]


def _seam(between: str) -> tuple[int, int]:
    """Where one clause ends and the next begins in the text between two subjects: at the last word
    that joins ("and a big, brown" joins at "and"), else before the article.
    """
    anew = [m for m in _ANEW.finditer(between) if not _STRONG.search(between, m.end())]
    joins = anew or list(_CONNECTOR.finditer(between))
    if joins:
        return joins[-1].span()
    articles = list(_DETERMINER.finditer(between))
    at = articles[-1].start() if articles else len(between)
    return at, at


def _all(names: Sequence[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1]) if len(names) > 1 else names)
