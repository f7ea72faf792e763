"""The words a model knows, found in what people write: names, synonyms, plurals, inflections.

Where one name holds another, the longer one is meant: a teddy bear is no bear, and a sea lion does
not mention the sea. Knows text only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from layert2v_engine.world.text import vocabulary as world
from layert2v_engine.world.text.vocabulary import Word

Words = Sequence[Word]

SCENE_KINDS = ("place", "time")
GAP = " | "  # where a word was taken out; no phrase reaches across
LONGEST_PHRASE = 3  # words: "sun goes down"

_TABLES: dict[str, Words] = {
    "place": world.PLACES,
    "time": world.TIMES,  # before colors: "golden hour"
    "subject": world.SUBJECTS,  # before colors: "red fox"
    "colour": world.COLORS,
    "action": world.ACTIONS,
}
_IRREGULAR = {"wolf": "wolves", "timber wolf": "timber wolves", "mouse": "mice", "ox": "oxen"}
_STOP_WORDS = frozenset(
    """
    a an and the of in on at by to with for from into onto through across along over under near its
    his her their it is are was very while there one some this that as during inside around past day
    time scene video shot view behind under up down out off
    """.split()  # noqa: SIM905
)

_OF_FRAME = r"(?:\s+of\s+the\s+(?:frame|picture|image|shot|screen))?"
_FACING = r"(?:heading|headed|facing|looking|turned|pointing)"
_MOVING = "|".join(
    rf"(?<={verb} )"
    for verb in ("ing", "runs", "walks", "hops", "drives", "moves", "goes", "flies")
)


def _heading_pattern(side: str, other: str) -> str:
    return (
        rf"from\s+(?:the\s+)?{other}\s+to\s+(?:the\s+)?{side}\b"
        rf"|\b(?:{_FACING}\s+)?(?:to|towards?)\s+(?:the\s+|its\s+)?{side}\b(?!\s+(?:of|side|half))"
        rf"|\b(?:{_FACING}\s+)?{side}wards?\b|\b{_FACING}\s+{side}\b|(?:{_MOVING}){side}\b(?!\s+of)"
    )


def _spot_pattern(side: str) -> str:
    part = r"(?:[- ]hand)?(?:\s+(?:side|half|edge))"
    return (
        rf"\b(?:on|at|in|to)\s+(?:the\s+)?(?:far\s+)?{side}\b(?:{part})?{_OF_FRAME}"
        rf"|\b{side}{part}{_OF_FRAME}|\b{side}\b(?=\s*(?:[,;:.|]|and\b|$))"
    )


# How people say where a subject is and where it goes, read in this order.
_DETAILS: dict[str, dict[str, str]] = {
    "heading": {
        "left": _heading_pattern("left", "right"),
        "right": _heading_pattern("right", "left"),
    },
    "spot": {
        "left": _spot_pattern("left"),
        "middle": r"\b(?:in|at)\s+the\s+(?:middle|cent(?:re|er))\b"
        rf"(?:{_OF_FRAME[:-1]}|(?!\s+of\b))|\bcent(?:red|ered)\b",
        "right": _spot_pattern("right"),
    },
    "distance": {
        "far": r"\b(?:far\s+(?:away|off)|in\s+the\s+distance|further\s+(?:back|away)|distant)\b",
        "near": r"\b(?:near\s?by|close\s+by|up\s+front|in\s+the\s+foreground"
        r"|(?:near|close)\s+to\s+the\s+camera)\b",
        "close": r"\b(?:up\s+close|close[- ]?up(?:\s+of)?|filling\s+the\s+frame)\b",
    },
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """A word said in a text, from character ``start`` to before ``end``."""

    word: Word
    start: int
    end: int


class Lexicon:
    """The words of a model by kind; ``vocabulary`` maps a kind to names of the world's words."""

    def __init__(self, vocabulary: Mapping[str, Sequence[str]]) -> None:
        self.words = {
            kind: tuple(word for word in words if word.name in vocabulary.get(kind, ()))
            for kind, words in _TABLES.items()
        }
        self.details = {
            kind: {name: regex for name, regex in table.items() if name in vocabulary.get(kind, ())}
            for kind, table in _DETAILS.items()
        }
        self._longer_names = _find_longer_names(self.words)

    def extract(self, kind: str, text: str, likely: Sequence[str] = ()) -> tuple[Word | None, str]:
        """Return the word of a kind that comes first in ``text``, and the text without it.

        Names count before inflections, so a race car may drive. Of two that begin at one place it
        is the ``likely`` one: a car that is rolling along drives, a wheel tumbles. A place whose
        name holds the first one's says the same more exactly: a forest in the snow is a snowy
        forest.
        """
        words = self.words[kind]
        for inflected in (False, True):
            starts = {
                word: found.start
                for word in words
                if (found := self._find_first(word, text, inflected)) is not None
            }
            if starts:
                first = min(starts, key=lambda word: (starts[word], word.name not in likely))
                exact = first
                if kind in SCENE_KINDS:
                    exact = next((w for w in starts if first.name in w.name and w != first), first)
                return exact, self._remove(exact, self._remove(first, text))
        return None, text

    def extract_detail(self, kind: str, text: str) -> tuple[str, str]:
        """Return the detail of a kind that comes first in ``text`` ("" if none), and the rest."""
        found = {
            name: match
            for name, regex in self.details[kind].items()
            if (match := _compile(regex).search(text)) is not None
        }
        if not found:
            return "", text
        name = min(found, key=lambda each: found[each].start())
        return name, text[: found[name].start()] + GAP + text[found[name].end() :]

    def remove_known(self, text: str) -> str:
        """Return a text without any word of the vocabulary: a scene may name a subject."""
        for kind in self.details:
            name = "?"
            while name:
                name, text = self.extract_detail(kind, text)
        for kind, words in self.words.items():
            found: Word | None = words[0] if words else None
            while found is not None:
                found, text = self.extract(kind, text)
        return text

    def find_subjects(self, text: str) -> list[Mention]:
        """Return every mention of a subject by a name, in the order of the text."""
        found = [
            Mention(word=word, start=match.start(), end=match.end())
            for word in self.words["subject"]
            for match in self._matches(word, text, inflected=False)
        ]
        return sorted(found, key=lambda mention: mention.start)

    def _find_first(self, word: Word, text: str, inflected: bool) -> Mention | None:
        for match in self._matches(word, text, inflected):
            return Mention(word=word, start=match.start(), end=match.end())
        return None

    def _matches(self, word: Word, text: str, inflected: bool) -> list[re.Match[str]]:
        forms = _forms(word) if inflected else _names(word)
        pattern = _pattern(forms, self._longer_names.get(word, ()))
        return [match for match in pattern.finditer(text) if match["word"]]

    def _remove(self, word: Word, text: str) -> str:
        for match in reversed(self._matches(word, text, inflected=True)):
            text = text[: match.start()] + GAP + text[match.end() :]
        return text


def remove_phrase(phrase: str, text: str) -> str:
    """Return a text without a phrase of it."""
    return re.sub(rf"\b{re.escape(phrase)}\b", GAP, text, flags=re.IGNORECASE)


def phrases(text: str) -> list[str]:
    """Return runs of up to LONGEST_PHRASE words that begin and end with no stop word."""
    found = []
    for run in re.findall(r"[a-z-]+(?: [a-z-]+)*", text.lower()):
        words = run.split()
        for start in range(len(words)):
            for end in range(start + 1, min(start + LONGEST_PHRASE, len(words)) + 1):
                if words[start] not in _STOP_WORDS and words[end - 1] not in _STOP_WORDS:
                    found.append(" ".join(words[start:end]))
    return list(dict.fromkeys(found))


def content_words(text: str) -> list[str]:
    """Return the words of a text that are no stop words, in lower case."""
    return [
        token
        for token in re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower())
        if token not in _STOP_WORDS
    ]


def _find_longer_names(words: Mapping[str, Words]) -> dict[Word, tuple[str, ...]]:
    """Return by word the names of others that hold a form of it: "teddy bear" of the bear.

    Actions hide no actions, since the subject decides which is meant.
    """
    kinds = {word: kind for kind, some in words.items() for word in some}
    owners: dict[str, list[Word]] = {}
    for word in kinds:
        for form in _forms(word):
            owners.setdefault(form, []).append(word)
    longer: dict[Word, dict[str, None]] = {}
    for word, kind in kinds.items():
        for name in _names(word):
            for owner in {
                owner: None for part in _shorter_runs(name) for owner in owners.get(part, ())
            }:
                if owner != word and (kind, kinds[owner]) != ("action", "action"):
                    longer.setdefault(owner, {})[name] = None
    return {word: tuple(names) for word, names in longer.items()}


def _shorter_runs(name: str) -> set[str]:
    """Return runs of words of a name that are shorter than it: "sea" and "lion" of the sea lion."""
    tokens = re.split(r"([ -])", name)
    spans = ((i, j) for i in range(0, len(tokens), 2) for j in range(i + 1, len(tokens) + 1, 2))
    return {"".join(tokens[i:j]) for i, j in spans} - {name}


@cache
def _names(word: Word) -> tuple[str, ...]:
    """Return names and their plurals."""
    names = (word.name, *word.synonyms)
    return tuple(
        form
        for n in names
        for form in (n, f"{n}s", f"{n}es", f"{n.removesuffix('y')}ies", _IRREGULAR.get(n, n))
    )


@cache
def _forms(word: Word) -> tuple[str, ...]:
    """Return names, and the simple inflections of verbs: run, runs of running, raced of racing."""
    forms = list(_names(word))
    for name in (word.name, *word.synonyms):
        if name.endswith("ing"):
            stem = name[:-3]
            for base in (stem, stem[:-1], f"{stem}e"):
                if len(base) > 2:
                    forms += [base, f"{base}s", f"{base}es", f"{base}ed", f"{base}d"]
            forms.append(f"{stem}ed")
            forms.append(f"{stem.removesuffix('y')}ies")
    return tuple(forms)


@lru_cache(maxsize=1024)
def _pattern(forms: tuple[str, ...], longer: tuple[str, ...]) -> re.Pattern[str]:
    """Return a pattern that finds the forms as the group ``word``, but not inside longer names."""

    def either(texts: tuple[str, ...]) -> str:
        return "|".join(map(re.escape, sorted(set(texts), key=len, reverse=True)))

    skipped = rf"(?:{either(longer)})\b|" if longer else ""
    return re.compile(rf"\b(?:{skipped}(?P<word>{either(forms)})\b)", re.IGNORECASE)


@cache
def _compile(regex: str) -> re.Pattern[str]:
    return re.compile(regex, re.IGNORECASE)
