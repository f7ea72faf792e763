"""One sentence to a prompt per layer, and an honest account of how it was understood.

A model with a closed vocabulary was trained on a small grammar, so the planner looks for its words
(names, synonyms, inflections, then nearest in meaning) and writes the sentences the model knows;
whatever it had to guess or leave out becomes a warning. A model without a vocabulary gets the
artist's own words. Knows text only: meaning comes as vectors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from torch import Tensor

from layert2v.spec import GenerateSpec
from layert2v_engine.world import vocabulary as world
from layert2v_engine.world.descriptions import Description, plain
from layert2v_engine.world.scenes import Actor, Scene
from layert2v_engine.world.vocabulary import Label, Word

Vectors = Callable[[Sequence[str]], Tensor]  # texts to unit vectors [N, D]
Words = Sequence[Word]

# Cosine of all-MiniLM-L6-v2 below which two phrases have little in common.
NEAR_ENOUGH = 0.475
LONGEST_PHRASE = 3  # words: "sun goes down"

_TABLES: dict[str, Words] = {
    "place": world.PLACES,
    "time": world.TIMES,  # before colours: "golden hour"
    "subject": world.SUBJECTS,  # before colours: "red fox"
    "colour": world.COLOURS,
    "action": world.ACTIONS,
}
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
_SCENE_KINDS = ("place", "time")
_GAP = " | "  # where a word was taken out; no phrase reaches across

_STOP_WORDS = frozenset(
    """
    a an and the of in on at by to with for from into onto through across along over under near its
    his her their it is are was very while there one some this that as during inside around past day
    time scene video shot view behind under up down out off
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptPlan:
    """What each layer is told: `whole` for all, one text per foreground, one for the background."""

    whole: str
    foregrounds: tuple[str, ...]
    background: str
    negative: str
    understood: str
    warnings: tuple[str, ...]


class PromptPlanner:
    """Plans prompts for one model; `vocabulary` maps subject, action, place, time and colour to the
    words it was shown.
    """

    def __init__(self, vocabulary: Mapping[str, Sequence[str]], vectors: Vectors) -> None:
        self._vectors = lru_cache(maxsize=32)(vectors)  # the model's own names come every time
        self._words = {
            kind: tuple(word for word in words if word.name in vocabulary.get(kind, ()))
            for kind, words in _TABLES.items()
        }

    def plan(self, spec: GenerateSpec) -> PromptPlan:
        """Prompts for a request that already passed validation."""
        if not self._words["subject"]:
            return _verbatim(spec)
        alone: list[tuple[str, ...]] = [(figure,) for figure in spec.foreground_prompts] or [()]
        read = [self._read(replace(spec, foreground_prompts=figure)) for figure in alone]
        labels = [label for label, _ in read]
        told = _sentences(labels)
        return PromptPlan(
            whole=told.whole,
            foregrounds=told.foregrounds,
            background=told.background,
            negative=spec.negative_prompt,
            understood=_account(labels),
            warnings=_once(warnings for _, warnings in read),
        )

    def plan_layers(self, figures: Sequence[str], scene: str, negative: str = "") -> PromptPlan:
        """Prompts for layers that each have their own text. One without, such as a plate nobody
        described, is told nothing, and then nothing is said of the whole.
        """
        if not self._words["subject"]:
            return _listed(figures, scene, negative, "; ", ())
        read = [self._understand(figure, scene) for figure in figures or ("",)]
        labels, warnings = [label for label, _ in read], _once(each for _, each in read)
        told = _sentences(labels)
        if figures and scene and all(figures):
            plan = _listed(told.foregrounds, told.background, negative, ", ", warnings)
            return replace(plan, whole=told.whole, understood=_account(labels))
        pairs = zip(figures, told.foregrounds, strict=False)  # of no figure one is told
        known = [text if figure else "" for figure, text in pairs]
        return _listed(known, told.background if scene else "", negative, ", ", warnings)

    def _understand(self, figure: str, scene: str) -> tuple[Label, list[str]]:
        """What a figure in a scene shows, and warnings; what nothing is said of is left open."""
        anything = {kind: words[0].name for kind, words in self._words.items() if words}
        return self._read(
            GenerateSpec(
                prompt="",
                foreground_prompts=(figure or anything["subject"],),
                background_prompt=scene or f"{anything['place']}, {anything['time']}",
            )
        )

    def _read(self, spec: GenerateSpec) -> tuple[Label, list[str]]:
        """What a request for one figure shows, and warnings."""
        reading = _Reading(spec, self._words, self._vectors)
        label = _label(reading)
        reading.tell_what_is_left()
        return label, reading.warnings


class _Reading:
    """The texts of a request while they are read: what was understood is taken out of them."""

    def __init__(self, spec: GenerateSpec, words: Mapping[str, Words], vectors: Vectors) -> None:
        self.words, self._vectors = words, vectors
        self.warnings: list[str] = []
        figure = spec.foreground_prompts[0] if spec.foreground_prompts else spec.prompt
        scene = spec.background_prompt or spec.prompt
        self._texts = {"figure": figure, "scene": scene}
        self._elsewhere = spec.prompt
        if figure == scene:  # one sentence speaks of both
            self._texts, self._elsewhere = {"figure": figure}, ""
        self.found = {kind: self._find(kind) for kind in words}

    def nearest(self, kind: str, words: Words) -> Word | None:
        """The word nearest in meaning to a phrase that is left in the text, if it is near."""
        part = self._part(kind)
        phrases = _phrases(self._texts[part])
        if not phrases or not words:
            return None
        names = [(w, n) for w in words for n in (w.name, *w.synonyms, *_ALSO_NEAR.get(w.name, ()))]
        cosines = self._vectors(tuple(phrases)) @ self._vectors(tuple(name for _, name in names)).T
        best = int(cosines.argmax())
        if float(cosines.flatten()[best]) < NEAR_ENOUGH:
            return None
        said, word = phrases[best // len(names)], names[best % len(names)][0]
        self._texts[part] = _without(self._texts[part], (said,))
        self.warnings.append(
            f'Took "{said}" for the {kind} "{word.name}", the nearest this model knows.'
        )
        return word

    def first(self, kind: str) -> Word:
        """What is shown where nothing was understood."""
        words = self.words[kind]
        known = ", ".join(word.name for word in words)
        self.warnings.append(
            f'Found no {kind} this model knows, so it shows "{words[0].name}"; it knows {known}.'
        )
        return words[0]

    def tell_what_is_left(self) -> None:
        """Warn of known words that had no room, and of unknown ones."""
        for kind, chosen in self.found.items():
            part = self._part(kind)
            other, self._texts[part] = _take(self.words[kind], self._texts[part])
            if other is not None and chosen is not None:
                self.warnings.append(
                    f"This model shows one {kind}: {chosen.name}, not also {other.name}."
                )
        unknown = {self._without_known(text) for text in self._texts.values()}
        left = dict.fromkeys(token for text in sorted(unknown) for token in _content(text))
        if left:
            quoted = ", ".join(f'"{token}"' for token in left)
            self.warnings.append(f"This model does not know {quoted}, and left that out.")

    def _without_known(self, text: str) -> str:
        """What is left of a text without any word of the vocabulary: a scene may name a figure."""
        for words in self.words.values():
            found: Word | None = words[0] if words else None
            while found is not None:
                found, text = _take(words, text)
        return text

    def _find(self, kind: str) -> Word | None:
        """A word of `kind` said in its text, else anywhere in the prompt."""
        part = self._part(kind)
        found, self._texts[part] = _take(self.words[kind], self._texts[part])
        return found or _take(self.words[kind], self._elsewhere)[0]

    def _part(self, kind: str) -> str:
        return "scene" if kind in _SCENE_KINDS and "scene" in self._texts else "figure"


def _label(reading: _Reading) -> Label:
    """What to show, with a warning wherever that is not what was said."""
    found, words = reading.found, reading.words
    action, colour = found["action"], found["colour"]
    subject = (
        found["subject"]
        or reading.nearest("subject", _able(words["subject"], action))
        or reading.first("subject")
    )
    place = found["place"] or reading.nearest("place", words["place"]) or reading.first("place")
    time = found["time"] or reading.nearest("time", words["time"]) or reading.first("time")
    index = world.SUBJECTS.index(subject)
    able = world.ABILITIES[index]
    if action is None and len(able) > 1:
        action = reading.nearest("action", [w for w in words["action"] if w.name in able])
    if action is not None and action.name not in able:
        reading.warnings.append(
            f"A {subject.name} of this model is not {action.name}; it is {able[0]}."
        )
    painted = world.is_painted(index)
    if colour is not None and not painted:
        reading.warnings.append(
            f"A {subject.name} has one colour in this model, so {colour.name!r} is left out."
        )
    shade = world.COLOURS.index(colour) if colour is not None else 0
    return Label(
        subject=index,
        place=world.PLACES.index(place),
        time=world.TIMES.index(time),
        colour=shade if painted else -1,
        action=action.name if action is not None and action.name in able else able[0],
    )


def _able(subjects: Words, action: Word | None) -> Words:
    """The subjects that can do `action`."""
    abilities = dict(zip(world.SUBJECTS, world.ABILITIES, strict=True))
    return [word for word in subjects if action is None or action.name in abilities[word]]


def _verbatim(spec: GenerateSpec) -> PromptPlan:
    foregrounds = spec.foreground_prompts or (spec.prompt,)
    return PromptPlan(
        whole=spec.prompt,
        foregrounds=foregrounds,
        background=spec.background_prompt or spec.prompt,
        negative=spec.negative_prompt,
        understood=f"{', '.join(foregrounds)}; {spec.background_prompt or spec.prompt}",
        warnings=(),
    )


def _listed(
    figures: Sequence[str], scene: str, negative: str, comma: str, warnings: tuple[str, ...]
) -> PromptPlan:
    """A plan of these texts; the whole picture is told them all, or nothing if one is missing."""
    texts = (*figures, scene)
    return PromptPlan(
        whole=", ".join(texts) if all(texts) else "",
        foregrounds=tuple(figures),
        background=scene,
        negative=negative,
        understood=comma.join(text for text in texts if text),
        warnings=warnings,
    )


def _sentences(labels: Sequence[Label]) -> Description:
    """What a model of the world is told of figures in one place."""
    actors = tuple(Actor(subject=y.subject, colour=y.colour, action=y.action) for y in labels)
    return plain(Scene(place=labels[0].place, time=labels[0].time, actors=actors))


def _account(labels: Sequence[Label]) -> str:
    said = []
    for label in labels:
        subject = world.SUBJECTS[label.subject].name
        painted = label.colour >= 0
        said += [f"{world.COLOURS[label.colour].name} {subject}" if painted else subject]
        said += [label.action]
    place, time = world.PLACES[labels[0].place], world.TIMES[labels[0].time]
    return ", ".join((*said, place.name, time.name))


def _once(warnings: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(warning for some in warnings for warning in some))


def _take(words: Words, text: str) -> tuple[Word | None, str]:
    """The word said first in `text`, and the text without it; names count before inflections, so a
    race car may drive.

    A word whose name holds the first one's says the same more exactly: a forest in the snow is a
    snowy forest.
    """
    for forms in (_names, _forms):
        matches = {word: _pattern(forms(word)).search(text) for word in words}
        starts = {word: match.start() for word, match in matches.items() if match}
        if starts:
            first = min(starts, key=lambda word: starts[word])
            exact = next((w for w in starts if first.name in w.name and w != first), first)
            return exact, _without(_without(text, _forms(exact)), _forms(first))
    return None, text


def _names(word: Word) -> tuple[str, ...]:
    """Names and their plurals."""
    names = (word.name, *word.synonyms)
    return tuple(
        form for n in names for form in (n, f"{n}s", f"{n}es", f"{n.removesuffix('y')}ies")
    )


def _forms(word: Word) -> tuple[str, ...]:
    """Names, and the simple inflections of verbs: run, runs of running, races, raced of racing."""
    forms = list(_names(word))
    for name in (word.name, *word.synonyms):
        if name.endswith("ing"):
            stem = name[:-3]
            for base in (stem, stem[:-1], f"{stem}e"):
                if len(base) > 2:
                    forms += [base, f"{base}s", f"{base}es", f"{base}ed", f"{base}d"]
            forms.append(f"{stem}ed")
    return tuple(forms)


@lru_cache(maxsize=256)
def _pattern(forms: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(forms, key=len, reverse=True)
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, longest_first))})\b", re.IGNORECASE)


def _without(text: str, forms: tuple[str, ...]) -> str:
    return _pattern(forms).sub(_GAP, text)


def _phrases(text: str) -> list[str]:
    """Runs of up to LONGEST_PHRASE words that begin and end with a word that means something."""
    phrases = []
    for run in re.findall(r"[a-z-]+(?: [a-z-]+)*", text.lower()):
        words = run.split()
        for start in range(len(words)):
            for end in range(start + 1, min(start + LONGEST_PHRASE, len(words)) + 1):
                if words[start] not in _STOP_WORDS and words[end - 1] not in _STOP_WORDS:
                    phrases.append(" ".join(words[start:end]))
    return list(dict.fromkeys(phrases))


def _content(text: str) -> list[str]:
    return [
        token
        for token in re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower())
        if token not in _STOP_WORDS
    ]
