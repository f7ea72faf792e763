"""One sentence to a prompt per layer, and an honest account of how it was understood.

A model with a closed vocabulary was trained on a small grammar, so the planner looks for its words
(names, synonyms, inflections, then nearest in meaning) and writes the sentences the model knows;
whatever it had to guess or leave out becomes a warning. A model without a vocabulary gets the
artist's own words. Knows text only: meaning comes as vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from torch import Tensor

from layert2v.spec import GenerateSpec
from layert2v_engine.prompting.clauses import Clauses, split
from layert2v_engine.prompting.lexicon import (
    SCENE_KINDS,
    Lexicon,
    Words,
    content,
    phrases,
    taken_out,
)
from layert2v_engine.world.text import vocabulary as world
from layert2v_engine.world.text.descriptions import DETAILS, plain, said_of
from layert2v_engine.world.text.scenes import Actor, Scene
from layert2v_engine.world.text.vocabulary import Word

Vectors = Callable[[Sequence[str]], Tensor]  # texts to unit vectors [N, D]

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
_SEAM = "\0"  # between texts that are searched as one


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptPlan:
    """What each layer is told: `whole` for all, one text per foreground, one for the background."""

    global_prompt: str
    foregrounds: tuple[str, ...]
    background: str
    negative: str
    interpretation: str
    warnings: tuple[str, ...]


class PromptPlanner:
    """Plans prompts for one model; `vocabulary` maps subject, action, place, time and colour, and
    spot, heading and distance of figures, to the words it was shown. It draws up to `foregrounds`.
    """

    def __init__(
        self, vocabulary: Mapping[str, Sequence[str]], vectors: Vectors, foregrounds: int = 1
    ) -> None:
        self._vectors = lru_cache(maxsize=32)(vectors)  # the model's own names come every time
        self._lexicon = Lexicon(vocabulary)
        self._foregrounds = foregrounds

    def plan(self, spec: GenerateSpec) -> PromptPlan:
        """Prompts for a request that already passed validation.

        Where figures are not named one by one, the sentence says how many there are.
        """
        if not self._lexicon.words["subject"]:
            return _verbatim(spec)
        clauses = Clauses(figures=spec.foreground_prompts or (spec.prompt,))
        named = bool(spec.foreground_prompts)
        if not named and self._foregrounds > 1:
            clauses = split(spec.prompt, self._lexicon, self._foregrounds)
        told_apart = named or len(clauses.figures) > 1
        scene = spec.background_prompt or (spec.prompt if named else "")
        elsewhere = spec.prompt if scene else ""
        reading = _Reading(clauses, scene, elsewhere, self._lexicon, self._vectors)
        shown, warnings = reading.shown()
        if told_apart:
            shown, more = _apart(shown, tuple(self._lexicon.details["spot"]))
            warnings += more
        if not named:  # layers that are named stay in their order
            shown = replace(shown, actors=tuple(sorted(shown.actors, key=_depth)))
        return _planned(shown, spec.negative_prompt, _once([warnings]))

    def plan_layers(self, figures: Sequence[str], scene: str, negative: str = "") -> PromptPlan:
        """Prompts for layers that each have their own text. One without, such as a plate nobody
        described, is told nothing, and then nothing is said of the whole.
        """
        if not self._lexicon.words["subject"]:
            return _listed(figures, scene, negative, "; ", ())
        read = [self._understand(figure, scene) for figure in figures or ("",)]
        warnings = _once(each for _, each in read)
        shown = replace(read[0][0], actors=tuple(each.actors[0] for each, _ in read))
        plan = _planned(shown, negative, warnings)
        if figures and scene and all(figures):
            return plan
        pairs = zip(figures, plan.foregrounds, strict=False)  # of no figure one is told
        known = [text if figure else "" for figure, text in pairs]
        return _listed(known, plan.background if scene else "", negative, ", ", warnings)

    def _understand(self, figure: str, scene: str) -> tuple[Scene, list[str]]:
        """What a figure in a scene shows, and warnings; what nothing is said of is left open."""
        anything = {kind: words[0].name for kind, words in self._lexicon.words.items() if words}
        clauses = Clauses(figures=(figure or anything["subject"],))
        scene = scene or f"{anything['place']}, {anything['time']}"
        return _Reading(clauses, scene, "", self._lexicon, self._vectors).shown()


class _Reading:
    """The texts of a request while they are read: what was understood is taken out of them.

    The scene is looked for in `scene`, or in all clauses if that is empty; then, like a single
    figure, `elsewhere`.
    """

    def __init__(
        self, clauses: Clauses, scene: str, elsewhere: str, lexicon: Lexicon, vectors: Vectors
    ) -> None:
        self._lexicon, self._vectors = lexicon, vectors
        self._warnings, self._joined = list(clauses.warnings), clauses.joined
        texts = (*clauses.figures, *clauses.rest)
        if texts == (scene,):  # one sentence speaks of both
            scene = elsewhere = ""
        self._texts = [text.replace(_SEAM, " ") for text in (*texts, *([scene] if scene else []))]
        self._elsewhere = elsewhere
        self._figures = range(len(clauses.figures))
        self._ground = range(len(texts), len(texts) + 1) if scene else range(len(texts))
        self._details = [self._detailed(figure) for figure in self._figures]
        self._found: dict[str, list[Word | None]] = {}
        for kind in lexicon.words:
            self._found[kind] = [self._find(kind, parts) for parts in self._parts(kind)]

    def shown(self) -> tuple[Scene, list[str]]:
        """What to show, and a warning wherever that is not what was said."""
        words = self._lexicon.words
        subjects = [self._subject(figure) for figure in self._figures]
        place, time = (
            self._found[kind][0]
            or self._nearest(kind, words[kind], self._ground)
            or self._first(kind)
            for kind in SCENE_KINDS
        )
        actions = self._actions(subjects)
        actors = [
            self._actor(figure, subject, action)
            for figure, subject, action in zip(self._figures, subjects, actions, strict=True)
        ]
        self._tell_what_is_left()
        shown = Scene(
            place=world.PLACES.index(place), time=world.TIMES.index(time), actors=tuple(actors)
        )
        return shown, self._warnings

    def _parts(self, kind: str) -> list[range]:
        """The texts in which words of `kind` are said: of the scene, or of each figure."""
        if kind in SCENE_KINDS:
            return [self._ground]
        return [range(figure, figure + 1) for figure in self._figures]

    def _subject(self, figure: int) -> Word:
        subjects, said = self._lexicon.words["subject"], self._found["action"][figure]
        part = range(figure, figure + 1)
        return (
            self._found["subject"][figure]
            or self._nearest("subject", _able(subjects, said), part)
            or self._first("subject")
        )

    def _actions(self, subjects: Sequence[Word]) -> list[Word | None]:
        """What is said that each figure does; "a fox and a bear walking" is said of both."""
        found = list(self._found["action"])
        known = self._lexicon.words["action"]
        for figure, subject in enumerate(subjects):
            able = [word for word in known if word.name in _abilities(subject)]
            if found[figure] is None and len(_abilities(subject)) > 1:
                found[figure] = self._nearest("action", able, range(figure, figure + 1))
        for figure in reversed(self._figures[:-1] if self._joined else ()):
            shared = found[figure + 1]
            if shared is not None and shared.name in _abilities(subjects[figure]):
                found[figure] = found[figure] or shared
        return found

    def _actor(self, figure: int, subject: Word, action: Word | None) -> Actor:
        index = world.SUBJECTS.index(subject)
        able, colour = _abilities(subject), self._found["colour"][figure]
        if action is not None and action.name not in able:
            self._warnings.append(
                f"A {subject.name} of this model is not {action.name}; it is {able[0]}."
            )
        painted = world.is_painted(index)
        if colour is not None and not painted:
            self._warnings.append(
                f"A {subject.name} has one colour in this model, so {colour.name!r} is left out."
            )
        shade = colour or next(iter(self._lexicon.words["colour"]), world.COLOURS[0])
        return Actor(
            subject=index,
            colour=world.COLOURS.index(shade) if painted else -1,
            action=action.name if action is not None and action.name in able else able[0],
            **self._details[figure],
        )

    def _nearest(self, kind: str, words: Words, parts: range) -> Word | None:
        """The word nearest in meaning to a phrase that is left in these texts, if it is near."""
        said = list(dict.fromkeys(each for part in parts for each in phrases(self._texts[part])))
        if not said or not words:
            return None
        names = [(w, n) for w in words for n in (w.name, *w.synonyms, *_ALSO_NEAR.get(w.name, ()))]
        cosines = self._vectors(tuple(said)) @ self._vectors(tuple(name for _, name in names)).T
        best = int(cosines.argmax())
        if float(cosines.flatten()[best]) < NEAR_ENOUGH:
            return None
        phrase, word = said[best // len(names)], names[best % len(names)][0]
        for part in parts:
            self._texts[part] = taken_out(phrase, self._texts[part])
        self._warnings.append(
            f'Took "{phrase}" for the {kind} "{word.name}", the nearest this model knows.'
        )
        return word

    def _first(self, kind: str) -> Word:
        """What is shown where nothing was understood."""
        words = self._lexicon.words[kind]
        known = ", ".join(word.name for word in words)
        self._warnings.append(
            f'Found no {kind} this model knows, so it shows "{words[0].name}"; it knows {known}.'
        )
        return words[0]

    def _tell_what_is_left(self) -> None:
        """Warn of known words that had no room, and of unknown ones."""
        for kind, chosen in self._found.items():
            for part, word in zip(self._parts(kind), chosen, strict=True):
                other = self._take(kind, part)
                if other is not None and word is not None:
                    self._only_one(kind, word.name, other.name)
        for figure, chosen_details in zip(self._figures, self._details, strict=True):
            for kind, name in self._detailed(figure).items():
                if name and name != chosen_details[kind]:
                    self._only_one(kind, chosen_details[kind], name)
        unknown = {self._lexicon.unknown(text) for text in self._texts}
        left = dict.fromkeys(token for text in sorted(unknown) for token in content(text))
        if left:
            quoted = ", ".join(f'"{token}"' for token in left)
            self._warnings.append(f"This model does not know {quoted}, and left that out.")

    def _only_one(self, kind: str, shown: str, other: str) -> None:
        self._warnings.append(f"This model shows one {kind}: {shown}, not also {other}.")

    def _find(self, kind: str, parts: range) -> Word | None:
        """A word of `kind` said in its texts, else anywhere in the prompt."""
        subject = self._found["subject"][parts.start] if kind == "action" else None
        found = self._take(kind, parts, _abilities(subject) if subject is not None else ())
        if found is None and (kind in SCENE_KINDS or len(self._figures) == 1):
            found = self._lexicon.take(kind, self._elsewhere)[0]
        return found

    def _take(self, kind: str, parts: range, likely: Sequence[str] = ()) -> Word | None:
        """The first word of `kind` in these texts, taken out of them."""
        said = _SEAM.join(self._texts[parts.start : parts.stop])
        found, left = self._lexicon.take(kind, said, likely)
        self._texts[parts.start : parts.stop] = left.split(_SEAM)
        return found

    def _detailed(self, figure: int) -> dict[str, str]:
        """What is said of where a figure is and goes, taken out of its text."""
        said = {}
        for kind in DETAILS:
            said[kind], self._texts[figure] = self._lexicon.take_detail(kind, self._texts[figure])
        return said


def _abilities(subject: Word) -> tuple[str, ...]:
    return world.ABILITIES[world.SUBJECTS.index(subject)]


def _able(subjects: Words, action: Word | None) -> Words:
    """The subjects that can do `action`."""
    return [word for word in subjects if action is None or action.name in _abilities(word)]


def _apart(shown: Scene, spots: tuple[str, ...]) -> tuple[Scene, list[str]]:
    """Several figures at different spots, as in every clip of the world: those of which no spot is
    said get left and right in their order. Also warns of figures that a model never saw together.
    """
    actors, warnings = list(shown.actors), []
    names = [world.SUBJECTS[actor.subject].name for actor in actors]
    for name in sorted({name for name in names if names.count(name) > 1}):
        warnings.append(f"More than one foreground shows a {name}; this model never learned that.")
    free = [s for s in spots if s != "middle" or len(actors) > 2]
    for spot in spots:
        there = [n for n, actor in zip(names, actors, strict=True) if actor.spot == spot]
        if len(there) > 1:
            warnings.append(
                f"The {' and the '.join(there)} are asked for at one spot ({spot}); this model "
                "learned figures that stand apart."
            )
        if there and spot in free:
            free.remove(spot)
    for index, actor in enumerate(actors):
        if len(actors) > 1 and not actor.spot and free:
            actors[index] = replace(actor, spot=free.pop(0))
    return replace(shown, actors=tuple(actors)), warnings


def _depth(actor: Actor) -> int:
    """Farther figures are drawn below; one of which nothing is said counts as near."""
    return world.DISTANCES.index(actor.distance or "near")


def _verbatim(spec: GenerateSpec) -> PromptPlan:
    foregrounds = spec.foreground_prompts or (spec.prompt,)
    return PromptPlan(
        global_prompt=spec.prompt,
        foregrounds=foregrounds,
        background=spec.background_prompt or spec.prompt,
        negative=spec.negative_prompt,
        interpretation=f"{', '.join(foregrounds)}; {spec.background_prompt or spec.prompt}",
        warnings=(),
    )


def _listed(
    figures: Sequence[str], scene: str, negative: str, comma: str, warnings: tuple[str, ...]
) -> PromptPlan:
    """A plan of these texts; the whole picture is told them all, or nothing if one is missing."""
    texts = (*figures, scene)
    return PromptPlan(
        global_prompt=", ".join(texts) if all(texts) else "",
        foregrounds=tuple(figures),
        background=scene,
        negative=negative,
        interpretation=comma.join(text for text in texts if text),
        warnings=warnings,
    )


def _planned(shown: Scene, negative: str, warnings: tuple[str, ...]) -> PromptPlan:
    """What a model of the world is told of figures in one place."""
    told = plain(shown, DETAILS)
    return PromptPlan(
        global_prompt=told.whole,
        foregrounds=told.foregrounds,
        background=told.background,
        negative=negative,
        interpretation=_account(shown),
        warnings=warnings,
    )


def _account(shown: Scene) -> str:
    said = []
    for actor in shown.actors:
        subject = world.SUBJECTS[actor.subject].name
        painted = actor.colour >= 0
        said += [f"{world.COLOURS[actor.colour].name} {subject}" if painted else subject]
        said += [actor.action, *said_of(actor)]
    return ", ".join((*said, world.PLACES[shown.place].name, world.TIMES[shown.time].name))


def _once(warnings: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(warning for some in warnings for warning in some))
