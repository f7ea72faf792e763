"""A sentence that names several subjects, split into a clause for each. Knows text only."""

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
_STRONG_CONNECTOR = re.compile(r"\b(?:and|with|while|whereas|plus)\b", re.IGNORECASE)
_CONNECTOR = re.compile(_CONNECTORS, re.IGNORECASE)
_CONNECTOR_BEFORE_DETERMINER = re.compile(rf"{_CONNECTORS}(?=\s*\b{_DETERMINERS}\b)", re.IGNORECASE)
_DETERMINER = re.compile(rf"\b{_DETERMINERS}\b", re.IGNORECASE)
_COUNT_BEFORE_SUBJECT = re.compile(rf"\b(?:{_COUNTS})\b(?=(?:\s+[\w-]+){{0,2}}\s*$)", re.IGNORECASE)
_COUNT = re.compile(r"\b(?:two|2|(?:a\s+)?(?:pair|couple)\s+of)\b", re.IGNORECASE)
_NUMBERS = {1: "one", 2: "two"}
_TWO = re.compile(r"(?:two|2|pair|couple|another|second|other)\b", re.IGNORECASE)
_BACK_REFERENCE = re.compile(
    r"\b(?:the|this|that|its)\s+(?:(?!other|second)[\w-]+\s+)?$", re.IGNORECASE
)
_TOGETHER = re.compile(
    r"\b(?:both|together|side\s+by\s+side|each\s+other|(?:beside|next\s+to)\s+(?:it|them))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SubjectClauses:
    """The text about each subject, the other texts, and warnings.

    is_one_sentence: whether they are of one sentence, whose last action may be said of all.
    """

    subjects: tuple[str, ...]
    others: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    is_one_sentence: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clause:
    name: str
    text: str
    count: int  # 2 of "two foxes"; 3 stands for any more
    is_back_reference: bool  # "the fox", said of one that was named before


def split_subjects(sentence: str, lexicon: Lexicon, limit: int) -> SubjectClauses:
    """Split a sentence into one clause per subject it names, up to ``limit``, in its order.

    Of several equal subjects a second one is shown where there is room beside the others. What is
    said of further ones, or of subjects beyond the limit, goes to the others, with a warning. A
    sentence that names no subject is its own only clause.
    """
    sentence = _TOGETHER.sub(" ", sentence)
    texts: dict[str, str] = {}
    others: list[str] = []
    repeated: dict[str, str] = {}  # what is said of a second one
    counts: dict[str, int] = {}
    for clause in _split_at_mentions(sentence, lexicon.find_subjects(sentence)):
        is_another = clause.name in texts and not clause.is_back_reference
        if clause.count > 1 or is_another:
            repeated.setdefault(clause.name, clause.text)
        wanted = counts.get(clause.name, 0) + 1 if is_another else clause.count
        counts[clause.name] = max(counts.get(clause.name, 0), wanted)
        if clause.name not in texts:
            texts[clause.name] = clause.text
        elif clause.is_back_reference:
            texts[clause.name] += f", {clause.text}"
        else:
            others.append(clause.text)
    if not texts:
        return SubjectClauses(subjects=(sentence,))
    names, clauses = list(texts), list(texts.values())
    shown = dict.fromkeys(names[:limit], 1)
    twice = next((name for name in shown if name in repeated), "")
    if twice and len(names) < limit:
        shown[twice] = 2
        names.insert(names.index(twice) + 1, twice)
        clauses.insert(names.index(twice) + 1, repeated[twice])
        others = [text for text in others if text != repeated[twice]]
    warnings = [
        f"This model draws {limit} subjects at once, so it shows only {_NUMBERS[count]}: {name}."
        for name, count in shown.items()
        if count < counts[name]
    ]
    if len(names) > limit:
        warnings.append(
            f"This model draws {limit} subjects at once: {_join_names(names[:limit])}; "
            f"{_join_names(names[limit:])} left out."
        )
    return SubjectClauses(
        subjects=tuple(clauses[:limit]),
        others=(*clauses[limit:], *others),
        warnings=tuple(warnings),
        is_one_sentence=True,
    )


def split_unknown_subjects(sentence: str) -> SubjectClauses:
    """Return a sentence that names no known subject, twice where it says that there are two."""
    count = _COUNT.search(sentence)
    if count is None:
        return SubjectClauses(subjects=(sentence,))
    one = f"{sentence[: count.start()]}{sentence[count.end() :]}".strip()
    return SubjectClauses(subjects=(one, one), is_one_sentence=True)


def _split_at_mentions(sentence: str, mentions: Sequence[Mention]) -> list[_Clause]:
    """Return a clause per mention; together they are the sentence without what joins them."""
    clauses, start = [], 0
    for index, mention in enumerate(mentions):
        end = next_start = len(sentence)
        if index + 1 < len(mentions):
            between = sentence[mention.end : mentions[index + 1].start]
            end, next_start = (mention.end + offset for offset in _find_joint(between))
        head = sentence[start : mention.start]
        count = _COUNT_BEFORE_SUBJECT.search(head)
        clause = _Clause(
            name=mention.word.name,
            text=_COUNT_BEFORE_SUBJECT.sub("", head) + sentence[mention.start : end],
            count=1 if count is None else 2 if _TWO.match(count[0]) else 3,
            is_back_reference=_BACK_REFERENCE.search(head) is not None,
        )
        clauses.append(clause)
        start = next_start
    return [replace(clause, text=clause.text.strip()) for clause in clauses]


def _find_joint(between: str) -> tuple[int, int]:
    """Return where one clause ends and the next begins in the text between two subjects.

    At the last word that joins ("and a big, brown" joins at "and"), else before the article.
    """
    before_determiner = [
        m
        for m in _CONNECTOR_BEFORE_DETERMINER.finditer(between)
        if not _STRONG_CONNECTOR.search(between, m.end())
    ]
    joints = before_determiner or list(_CONNECTOR.finditer(between))
    if joints:
        return joints[-1].span()
    articles = list(_DETERMINER.finditer(between))
    at = articles[-1].start() if articles else len(between)
    return at, at


def _join_names(names: Sequence[str]) -> str:
    return " and ".join((", ".join(names[:-1]), names[-1]) if len(names) > 1 else names)
