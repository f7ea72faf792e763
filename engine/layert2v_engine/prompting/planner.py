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
from layert2v_engine.prompting.clauses import SubjectClauses, split_subjects
from layert2v_engine.prompting.lexicon import (
    SCENE_KINDS,
    Lexicon,
    Words,
    content_words,
    phrases,
    remove_phrase,
)
from layert2v_engine.world.text import vocabulary as world
from layert2v_engine.world.text.descriptions import DETAILS, canonical_description, detail_phrases
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


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptPlan:
    """The prompts of each layer, and how the request was understood.

    global_prompt: for all streams. foregrounds: one per foreground. background: of the background.
    interpretation: the subjects, actions, place and time that were found, in plain words.
    """

    global_prompt: str
    foregrounds: tuple[str, ...]
    background: str
    negative: str
    interpretation: str
    warnings: tuple[str, ...]


class PromptPlanner:
    """Plans the prompts of a request for one model.

    vocabulary: the words the model was trained on, by kind: subject, action, place, time and
        colour, and spot, heading and distance of subjects.
    foregrounds: how many it shows at most.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, Sequence[str]],
        embed: SentenceEmbedder,
        foregrounds: int = 1,
    ) -> None:
        self._embed = lru_cache(maxsize=32)(embed)  # the model's own names come every time
        self._lexicon = Lexicon(vocabulary)
        self._foregrounds = foregrounds

    def plan(self, spec: GenerateSpec) -> PromptPlan:
        """Return the prompts for a request that already passed validation.

        Where foregrounds are not named one by one, the sentence says how many there are.
        """
        if not self._lexicon.words["subject"]:
            return _verbatim_plan(spec)
        clauses = SubjectClauses(subjects=spec.foreground_prompts or (spec.prompt,))
        are_named = bool(spec.foreground_prompts)
        if not are_named and self._foregrounds > 1:
            clauses = split_subjects(spec.prompt, self._lexicon, self._foregrounds)
        have_spots = are_named or len(clauses.subjects) > 1
        background = spec.background_prompt or (spec.prompt if are_named else "")
        fallback = spec.prompt if background else ""
        scene, warnings = _PromptParser(
            clauses, background, fallback, self._lexicon, self._embed
        ).parse()
        if have_spots:
            scene, more = _assign_spots(scene, tuple(self._lexicon.details["spot"]))
            warnings += more
        if not are_named:  # layers that are named stay in their order
            scene = replace(scene, actors=tuple(sorted(scene.actors, key=_nearness)))
        return _plan_scene(scene, spec.negative_prompt, _unique([warnings]))

    def plan_layers(
        self, foregrounds: Sequence[str], background: str, negative: str = ""
    ) -> PromptPlan:
        """Return the prompts of layers that each have their own text.

        One without a text, such as a plate nobody described, gets an empty prompt, and then the
        global prompt is empty, too.
        """
        if not self._lexicon.words["subject"]:
            return _plan_texts(foregrounds, background, negative, "; ", ())
        parsed = [self._parse_layer(text, background) for text in foregrounds or ("",)]
        warnings = _unique(each for _, each in parsed)
        scene = replace(parsed[0][0], actors=tuple(each.actors[0] for each, _ in parsed))
        plan = _plan_scene(scene, negative, warnings)
        if foregrounds and background and all(foregrounds):
            return plan
        pairs = zip(foregrounds, plan.foregrounds, strict=False)  # without foregrounds one is left
        prompts = [prompt if text else "" for text, prompt in pairs]
        return _plan_texts(prompts, plan.background if background else "", negative, ", ", warnings)

    def _parse_layer(self, subject: str, background: str) -> tuple[Scene, list[str]]:
        """Return the scene of one foreground, and warnings; defaults stand in for empty texts."""
        defaults = {kind: words[0].name for kind, words in self._lexicon.words.items() if words}
        clauses = SubjectClauses(subjects=(subject or defaults["subject"],))
        background = background or f"{defaults['place']}, {defaults['time']}"
        return _PromptParser(clauses, background, "", self._lexicon, self._embed).parse()


class _PromptParser:
    """Parses the texts of a request: what is understood is taken out of them.

    Place and time are looked for in ``background``, or in all clauses if that is empty; then, like
    a single subject, in ``fallback``.
    """

    def __init__(
        self,
        clauses: SubjectClauses,
        background: str,
        fallback: str,
        lexicon: Lexicon,
        embed: SentenceEmbedder,
    ) -> None:
        self._lexicon, self._embed = lexicon, embed
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
        return (
            self._words["subject"][index]
            or self._nearest("subject", _capable(subjects, action), parts)
            or self._default("subject")
        )

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
                f"A {subject.name} of this model is not {action.name}; it is {possible[0]}."
            )
        is_painted = world.is_painted(number)
        if color is not None and not is_painted:
            self._warnings.append(
                f"A {subject.name} has one colour in this model, so {color.name!r} is left out."
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


def _abilities(subject: Word) -> tuple[str, ...]:
    return world.ABILITIES[world.SUBJECTS.index(subject)]


def _capable(subjects: Words, action: Word | None) -> Words:
    """Return the subjects that can do an action; all for None."""
    return [word for word in subjects if action is None or action.name in _abilities(word)]


def _assign_spots(scene: Scene, spots: tuple[str, ...]) -> tuple[Scene, list[str]]:
    """Give several subjects different spots, as in every clip of the world.

    Those without a spot get left and right in their order. Also returns warnings of subjects that
    the model never saw together.
    """
    actors, warnings = list(scene.actors), []
    names = [world.SUBJECTS[actor.subject].name for actor in actors]
    for name in sorted({name for name in names if names.count(name) > 1}):
        warnings.append(f"More than one foreground shows a {name}; this model never learned that.")
    free = [s for s in spots if s != "middle" or len(actors) > 2]
    for spot in spots:
        names_there = [n for n, actor in zip(names, actors, strict=True) if actor.spot == spot]
        if len(names_there) > 1:
            warnings.append(
                f"The {' and the '.join(names_there)} are asked for at one spot ({spot}); this "
                "model learned subjects that stand apart."
            )
        if names_there and spot in free:
            free.remove(spot)
    for index, actor in enumerate(actors):
        if len(actors) > 1 and not actor.spot and free:
            actors[index] = replace(actor, spot=free.pop(0))
    return replace(scene, actors=tuple(actors)), warnings


def _nearness(actor: Actor) -> int:
    """Return the order from far to near, since farther subjects lie below; near by default."""
    return world.DISTANCES.index(actor.distance or "near")


def _verbatim_plan(spec: GenerateSpec) -> PromptPlan:
    foregrounds = spec.foreground_prompts or (spec.prompt,)
    return PromptPlan(
        global_prompt=spec.prompt,
        foregrounds=foregrounds,
        background=spec.background_prompt or spec.prompt,
        negative=spec.negative_prompt,
        interpretation=f"{', '.join(foregrounds)}; {spec.background_prompt or spec.prompt}",
        warnings=(),
    )


def _plan_texts(
    foregrounds: Sequence[str],
    background: str,
    negative: str,
    separator: str,
    warnings: tuple[str, ...],
) -> PromptPlan:
    """Return a plan of these texts; the global prompt is all of them, or empty if one is."""
    texts = (*foregrounds, background)
    return PromptPlan(
        global_prompt=", ".join(texts) if all(texts) else "",
        foregrounds=tuple(foregrounds),
        background=background,
        negative=negative,
        interpretation=separator.join(text for text in texts if text),
        warnings=warnings,
    )


def _plan_scene(scene: Scene, negative: str, warnings: tuple[str, ...]) -> PromptPlan:
    """Return a plan in the sentences that a model of the world was trained on."""
    texts = canonical_description(scene, DETAILS)
    return PromptPlan(
        global_prompt=texts.whole,
        foregrounds=texts.foregrounds,
        background=texts.background,
        negative=negative,
        interpretation=_describe(scene),
        warnings=warnings,
    )


def _describe(scene: Scene) -> str:
    parts = []
    for actor in scene.actors:
        subject = world.SUBJECTS[actor.subject].name
        is_painted = actor.color >= 0
        parts += [f"{world.COLORS[actor.color].name} {subject}" if is_painted else subject]
        parts += [actor.action, *detail_phrases(actor)]
    return ", ".join((*parts, world.PLACES[scene.place].name, world.TIMES[scene.time].name))


def _unique(warnings: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(warning for some in warnings for warning in some))
