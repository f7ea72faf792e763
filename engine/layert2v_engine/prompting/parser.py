"""The scene that the texts of a request describe, in the words a model knows.

Looks for names, synonyms and inflections, then for the nearest in meaning; whatever is guessed or
left out becomes a warning. Knows text only: meaning comes as vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from layert2v_engine.prompting.clauses import SubjectClauses
from layert2v_engine.prompting.lexicon import (
    SCENE_KINDS,
    Lexicon,
    Words,
    content_words,
    phrases,
    remove_phrase,
)
from layert2v_engine.world.text import vocabulary as world
from layert2v_engine.world.text.descriptions import DETAILS
from layert2v_engine.world.text.scenes import Actor, Scene
from layert2v_engine.world.text.vocabulary import Word

SentenceEmbedder = Callable[[Sequence[str]], Tensor]  # texts to unit vectors [N, D]

# Cosine of all-MiniLM-L6-v2 below which two phrases have little in common.
NEAR_ENOUGH = 0.475

# More names to compare meanings with, where those of the vocabulary lead astray: vectors put
# opposites of one kind (morning, evening) side by side.
_ALSO_NEAR = {
    "horse": ("zebra", "donkey"),
    "fox": ("dog", "wolf"),
    "snowy forest": ("ice", "frost"),
    "meadow": ("prairie", "savanna"),
    "sunny day": ("morning", "midday"),
    "sunset": ("dawn", "sun goes down", "setting sun"),
    "night": ("darkness", "stars"),
    "overcast day": ("rain", "fog", "dark clouds"),
}
_SEPARATOR = "\0"  # between texts that are searched as one


class UnknownSubject(Exception):
    """A text names no subject of the vocabulary; ``nearest`` is that nearest in meaning, if any."""

    def __init__(self, index: int, nearest: Word | None) -> None:
        super().__init__(f"text {index} names no known subject")
        self.index, self.nearest = index, nearest


class PromptParser:
    """Parses the texts of a request: what is understood is taken out of them.

    Place and time are looked for in ``background``, or in all clauses if that is empty; then, like
    a single subject, in ``fallback``. With ``nearest`` a text that names no known subject is taken
    for the one nearest in meaning; without, ``parse`` raises UnknownSubject.
    """

    def __init__(
        self,
        clauses: SubjectClauses,
        background: str,
        fallback: str,
        lexicon: Lexicon,
        embed: SentenceEmbedder,
        *,
        nearest: bool,
    ) -> None:
        self._lexicon, self._embed, self._takes_nearest = lexicon, embed, nearest
        self._warnings, self._is_one_sentence = list(clauses.warnings), clauses.is_one_sentence
        texts = (*clauses.subjects, *clauses.others)
        if texts == (background,):  # one sentence describes both
            background = fallback = ""
        texts_to_read = (*texts, background) if background else texts
        self._texts = [text.replace(_SEPARATOR, " ") for text in texts_to_read]
        self._fallback = fallback
        self._subjects = range(len(clauses.subjects))
        self._background = range(len(texts), len(texts) + 1) if background else range(len(texts))
        self._details = [self._extract_details(subject) for subject in self._subjects]
        self._words: dict[str, list[Word | None]] = {}
        for kind in lexicon.words:
            self._words[kind] = [self._find(kind, parts) for parts in self._texts_of(kind)]

    def parse(self) -> tuple[Scene, list[str]]:
        """Return the scene to show, and a warning wherever that is not what was asked for."""
        words = self._lexicon.words
        subjects = [self._subject(index) for index in self._subjects]
        place, time = (
            self._words[kind][0]
            or self._nearest(kind, words[kind], self._background)
            or self._default(kind)
            for kind in SCENE_KINDS
        )
        actions = self._actions(subjects)
        actors = [
            self._actor(index, subject, action)
            for index, subject, action in zip(self._subjects, subjects, actions, strict=True)
        ]
        self._warn_of_leftovers()
        scene = Scene(
            place=world.PLACES.index(place), time=world.TIMES.index(time), actors=tuple(actors)
        )
        return scene, self._warnings

    def _texts_of(self, kind: str) -> list[range]:
        """Return the texts that words of a kind are looked for in: background, or each subject."""
        if kind in SCENE_KINDS:
            return [self._background]
        return [range(subject, subject + 1) for subject in self._subjects]

    def _subject(self, index: int) -> Word:
        subjects, action = self._lexicon.words["subject"], self._words["action"][index]
        parts = range(index, index + 1)
        known = self._words["subject"][index]
        nearest = None if known else self._nearest("subject", _capable(subjects, action), parts)
        if known is None and not self._takes_nearest:
            raise UnknownSubject(index, nearest)
        return known or nearest or self._default("subject")

    def _actions(self, subjects: Sequence[Word]) -> list[Word | None]:
        """Return each subject's action; in "a fox and a bear walking" it is that of both."""
        actions = list(self._words["action"])
        known = self._lexicon.words["action"]
        for index, subject in enumerate(subjects):
            possible = [word for word in known if word.name in _abilities(subject)]
            if actions[index] is None and len(_abilities(subject)) > 1:
                actions[index] = self._nearest("action", possible, range(index, index + 1))
        for index in reversed(self._subjects[:-1] if self._is_one_sentence else ()):
            shared = actions[index + 1]
            if shared is not None and shared.name in _abilities(subjects[index]):
                actions[index] = actions[index] or shared
        return actions

    def _actor(self, index: int, subject: Word, action: Word | None) -> Actor:
        number = world.SUBJECTS.index(subject)
        possible, color = _abilities(subject), self._words["colour"][index]
        if action is not None and action.name not in possible:
            self._warnings.append(
                f"{_with_article(subject)} of this model is not {action.name}; it is {possible[0]}."
            )
        is_painted = world.is_painted(number)
        if color is not None and not is_painted:
            self._warnings.append(
                f"{_with_article(subject)} has one color in this model, so {color.name!r} is left "
                "out."
            )
        paint = color or next(iter(self._lexicon.words["colour"]), world.COLORS[0])
        return Actor(
            subject=number,
            color=world.COLORS.index(paint) if is_painted else -1,
            action=action.name if action is not None and action.name in possible else possible[0],
            **self._details[index],
        )

    def _nearest(self, kind: str, words: Words, parts: range) -> Word | None:
        """Return the word nearest in meaning to a phrase left in these texts, if it is near."""
        left = list(dict.fromkeys(each for part in parts for each in phrases(self._texts[part])))
        if not left or not words:
            return None
        names = [(w, n) for w in words for n in (w.name, *w.synonyms, *_ALSO_NEAR.get(w.name, ()))]
        cosines = self._embed(tuple(left)) @ self._embed(tuple(name for _, name in names)).T
        best = int(cosines.argmax())
        if float(cosines.flatten()[best]) < NEAR_ENOUGH:
            return None
        phrase, word = left[best // len(names)], names[best % len(names)][0]
        for part in parts:
            self._texts[part] = remove_phrase(phrase, self._texts[part])
        self._warnings.append(
            f'Took "{phrase}" for the {kind} "{word.name}", the nearest this model knows.'
        )
        return word

    def _default(self, kind: str) -> Word:
        """Return what is shown where nothing was understood, and warn of it."""
        words = self._lexicon.words[kind]
        known = ", ".join(word.name for word in words)
        self._warnings.append(
            f'Found no {kind} this model knows, so it shows "{words[0].name}"; it knows {known}.'
        )
        return words[0]

    def _warn_of_leftovers(self) -> None:
        """Warn of known words that had no room, and of unknown ones."""
        for kind, chosen in self._words.items():
            for parts, word in zip(self._texts_of(kind), chosen, strict=True):
                other = self._extract(kind, parts)
                if other is not None and word is not None:
                    self._warn_of_second(kind, word.name, other.name)
        for subject, chosen_details in zip(self._subjects, self._details, strict=True):
            for kind, name in self._extract_details(subject).items():
                if name and name != chosen_details[kind]:
                    self._warn_of_second(kind, chosen_details[kind], name)
        unknown = {self._lexicon.remove_known(text) for text in self._texts}
        left = dict.fromkeys(token for text in sorted(unknown) for token in content_words(text))
        if left:
            quoted = ", ".join(f'"{token}"' for token in left)
            self._warnings.append(f"This model does not know {quoted}, and left that out.")

    def _warn_of_second(self, kind: str, shown: str, other: str) -> None:
        self._warnings.append(f"This model shows one {kind}: {shown}, not also {other}.")

    def _find(self, kind: str, parts: range) -> Word | None:
        """Return a word of a kind in these texts, else anywhere in the prompt."""
        subject = self._words["subject"][parts.start] if kind == "action" else None
        found = self._extract(kind, parts, _abilities(subject) if subject is not None else ())
        if found is None and (kind in SCENE_KINDS or len(self._subjects) == 1):
            found = self._lexicon.extract(kind, self._fallback)[0]
        return found

    def _extract(self, kind: str, parts: range, likely: Sequence[str] = ()) -> Word | None:
        """Return the first word of a kind in these texts, and take it out of them."""
        text = _SEPARATOR.join(self._texts[parts.start : parts.stop])
        found, left = self._lexicon.extract(kind, text, likely)
        self._texts[parts.start : parts.stop] = left.split(_SEPARATOR)
        return found

    def _extract_details(self, subject: int) -> dict[str, str]:
        """Return where a subject is and goes by kind of detail, and take it out of its text."""
        details, text = {}, self._texts[subject]
        for kind in DETAILS:
            details[kind], text = self._lexicon.extract_detail(kind, text)
        self._texts[subject] = text
        return details


def _with_article(subject: Word) -> str:
    return f"{'An' if subject.name[0] in 'aeiou' else 'A'} {subject.name}"


def _abilities(subject: Word) -> tuple[str, ...]:
    return world.ABILITIES[world.SUBJECTS.index(subject)]


def _capable(subjects: Words, action: Word | None) -> Words:
    """Return the subjects that can do an action; all for None."""
    return [word for word in subjects if action is None or action.name in _abilities(word)]
