"""One sentence to a prompt per layer, and an honest account of how it was understood.

A model with a closed vocabulary was trained on a small grammar, so the planner looks for its words
(names, synonyms, inflections, then nearest in meaning) and writes the sentences the model knows;
whatever it had to guess or leave out becomes a warning. A model without a vocabulary gets the
artist's own words, split by grammar. Knows text only: meaning comes as vectors.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from types import MappingProxyType
from typing import Any

from layert2v.labels import LABELS
from layert2v.spec import FieldViolation, GenerateSpec
from layert2v_engine.errors import InvalidSpec
from layert2v_engine.layout import Figure
from layert2v_engine.prompting.clauses import (
    SubjectClauses,
    split_subjects,
    split_unknown_subjects,
)
from layert2v_engine.prompting.language_model import PromptSplitter
from layert2v_engine.prompting.lexicon import Lexicon
from layert2v_engine.prompting.parser import PromptParser, SentenceEmbedder, UnknownSubject
from layert2v_engine.world.text import vocabulary as world
from layert2v_engine.world.text.descriptions import DETAILS, canonical_description, detail_phrases
from layert2v_engine.world.text.scenes import Actor, Scene


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptPlan:
    """The prompts of each layer, and how the request was understood.

    global_prompt: for all streams. foregrounds: one per foreground. background: of the background.
    interpretation: the subjects, actions, place and time that were found, in plain words.
    figures: what a layout prior knows of each foreground; empty without a vocabulary.
    """

    global_prompt: str
    foregrounds: tuple[str, ...]
    background: str
    negative: str
    interpretation: str
    warnings: tuple[str, ...]
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NewText:
    """What belongs to the new text of a foreground in a re-render.

    before: the text that it had, if any; its place, heading and distance stay where the new one is
        silent.
    field: of the request, which an InvalidSpec names where no subject is known; without one the
        subject nearest in meaning is taken.
    """

    before: str = ""
    field: str = ""


class PromptPlanner:
    """Plans the prompts of a request for one model.

    vocabulary: the words the model was trained on, by kind: subject, action, place, time and
        color, and spot, heading and distance of subjects.
    foregrounds: how many it shows at most.
    splitter: of sentences for a model without a vocabulary; by grammar if there is none.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, Sequence[str]],
        embed: SentenceEmbedder,
        foregrounds: int = 1,
        splitter: PromptSplitter | None = None,
    ) -> None:
        self._embed = lru_cache(maxsize=32)(embed)  # the model's own names come every time
        self._lexicon = Lexicon(vocabulary)
        self._foregrounds = foregrounds
        self._splitter = splitter or PromptSplitter()

    def plan(self, spec: GenerateSpec) -> PromptPlan:
        """Return the prompts for a request that already passed validation.

        Where foregrounds are not named one by one, the sentence says how many there are. Raises
        InvalidSpec where a model with a vocabulary knows no subject of a text, unless the request
        asks for the nearest.
        """
        if not self._lexicon.words["subject"]:
            return _plan_free_text(spec, self._foregrounds, self._splitter)
        clauses = SubjectClauses(subjects=spec.foreground_prompts or (spec.prompt,))
        are_named = bool(spec.foreground_prompts)
        if not are_named and self._foregrounds > 1:
            clauses = split_subjects(spec.prompt, self._lexicon, self._foregrounds)
            if spec.nearest and not clauses.is_one_sentence:  # it names none that is known
                clauses = split_unknown_subjects(spec.prompt)
        have_spots = are_named or len(clauses.subjects) > 1
        background = spec.background_prompt or (spec.prompt if are_named else "")
        fallback = spec.prompt if background else ""
        parser = PromptParser(
            clauses, background, fallback, self._lexicon, self._embed, nearest=spec.nearest
        )
        try:
            scene, warnings = parser.parse()
        except UnknownSubject as error:
            field = f"foreground_prompts[{error.index}]" if are_named else "prompt"
            text = clauses.subjects[error.index]
            raise InvalidSpec([FieldViolation(field, self._refusal(text, error))]) from error
        everybody = range(len(scene.actors))
        if have_spots:
            scene, more = _assign_spots(scene, self._lexicon.details, everybody)
            warnings += more
        if not are_named:  # layers that are named stay in their order
            scene = replace(scene, actors=tuple(sorted(scene.actors, key=_nearness)))
        complete = _choose_details(scene, self._lexicon.details, everybody, spec.seed or 0)
        plan = self._plan_scene(complete, spec.negative_prompt, _unique([warnings]))
        return replace(plan, interpretation=_describe(scene))

    def plan_layers(
        self,
        foregrounds: Sequence[str],
        background: str,
        negative: str = "",
        *,
        sentence: str = "",
        new: Mapping[int, NewText] = MappingProxyType({}),
        seed: int = 0,
    ) -> PromptPlan:
        """Return the prompts of layers that each have their own text.

        One without a text, such as a plate nobody described, gets an empty prompt, and then the
        global prompt is empty, too. sentence: the artist's own of the whole, if it still holds; a
        model without a vocabulary takes it as the global prompt. new: the foregrounds (from 0)
        whose text is new; where they stand and head is completed, with ``seed``, as for a new
        request. Others are not told more than their text, which may be of a given picture.
        """
        if not self._lexicon.words["subject"]:
            plan = _plan_texts(foregrounds, background, negative, "; ", ())
            return replace(plan, global_prompt=sentence) if sentence else plan
        parsed = [
            self._parse_layer(text, background, new.get(index, NewText()))
            for index, text in enumerate(foregrounds or ("",))
        ]
        scene = replace(parsed[0][0], actors=tuple(each.actors[0] for each, _ in parsed))
        details, clashes = self._lexicon.details, list[str]()
        if new:
            scene, clashes = _assign_spots(scene, details, new)
            scene = _choose_details(scene, details, new, seed)
        warnings = _unique([*(each for _, each in parsed), clashes])
        plan = self._plan_scene(scene, negative, warnings)
        if foregrounds and background and all(foregrounds):
            return plan
        pairs = zip(foregrounds, plan.foregrounds, strict=False)  # without foregrounds one is left
        prompts = [prompt if text else "" for text, prompt in pairs]
        figures = [
            figure if prompt else Figure()
            for figure, prompt in zip(plan.figures, prompts, strict=False)
        ]
        plan = _plan_texts(prompts, plan.background if background else "", negative, ", ", warnings)
        return replace(plan, figures=tuple(figures))

    def _parse_layer(self, subject: str, background: str, new: NewText) -> tuple[Scene, list[str]]:
        """Return the scene of one foreground, and warnings; defaults stand in for empty texts.

        Raises InvalidSpec about ``new.field``, if there is one, where no subject is known.
        """
        defaults = {kind: words[0].name for kind, words in self._lexicon.words.items() if words}
        clauses = SubjectClauses(subjects=(subject or defaults["subject"],))
        background = background or f"{defaults['place']}, {defaults['time']}"
        parser = PromptParser(
            clauses, background, "", self._lexicon, self._embed, nearest=not new.field
        )
        try:
            scene, warnings = parser.parse()
        except UnknownSubject as error:
            refusal = self._refusal(subject, error)
            raise InvalidSpec([FieldViolation(new.field, refusal)]) from error
        actor = scene.actors[0]
        kept: dict[str, Any] = {
            kind: getattr(actor, kind) or self._lexicon.extract_detail(kind, new.before)[0]
            for kind in DETAILS
        }
        return replace(scene, actors=(replace(actor, **kept),)), warnings

    def _plan_scene(self, scene: Scene, negative: str, warnings: tuple[str, ...]) -> PromptPlan:
        """Return the plan of a scene with its figures, of which a model may know one kind only."""
        plan, known = _plan_scene(scene, negative, warnings), self._lexicon.details
        sides = {1: ("middle",), 2: ("left", "right")}.get(len(scene.actors), world.SPOTS)
        heading = "" if known["heading"] else world.V0.headings[0]
        figures = [
            actor.figure._replace(
                heading=actor.heading or heading,
                spot=actor.spot or ("" if known["spot"] else side),
            )
            for actor, side in zip(scene.actors, sides, strict=False)
        ]
        return replace(plan, figures=tuple(figures))

    def _refusal(self, text: str, error: UnknownSubject) -> str:
        """Return a sentence about a text without a known subject: what there is, what is near."""
        known = ", ".join(word.name for word in self._lexicon.words["subject"])
        nearest = "" if error.nearest is None else f', here "{error.nearest.name}"'
        return (
            f'This model knows no subject in "{text}". Name one that it knows ({known}), or allow '
            f"the nearest in meaning{nearest} ({LABELS['nearest'].text}, --nearest)."
        )


def _assign_spots(
    scene: Scene, offered: Mapping[str, Mapping[str, str]], which: Container[int]
) -> tuple[Scene, list[str]]:
    """Give several subjects different spots, as in every clip of the world.

    Those of ``which`` without a spot get left and right in their order; ``offered`` are the details
    that the model knows, by kind. Also returns warnings of subjects that it never saw together.
    """
    actors, warnings, spots = list(scene.actors), [], tuple(offered["spot"])
    names = [world.SUBJECTS[actor.subject].name for actor in actors]
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
        if len(actors) > 1 and index in which and not actor.spot and free:
            actors[index] = replace(actor, spot=free.pop(0))
    return replace(scene, actors=tuple(actors)), warnings


def _choose_details(
    scene: Scene, offered: Mapping[str, Mapping[str, str]], which: Container[int], seed: int
) -> Scene:
    """Say where actors of ``which`` head and stand where a request left it open.

    A model that is not told draws all of it at once. ``offered`` are the details that it knows, by
    kind. Headings are drawn with the seed; a single actor stands in the middle.
    """
    rng = Random(seed)  # noqa: S311 - chance, not secrets
    actors = []
    for index, actor in enumerate(scene.actors):
        if index not in which:
            actors.append(actor)
            continue
        heading = rng.choice(tuple(offered["heading"]) or ("",))  # also where it is not needed
        spot = "middle" if len(scene.actors) == 1 and "middle" in offered["spot"] else ""
        chosen = replace(actor, heading=actor.heading or heading, spot=actor.spot or spot)
        actors.append(chosen)
    return replace(scene, actors=tuple(actors))


def _nearness(actor: Actor) -> int:
    """Return the order from far to near, since farther subjects lie below; near by default."""
    return world.DISTANCES.index(actor.distance or "near")


def _plan_free_text(spec: GenerateSpec, limit: int, splitter: PromptSplitter) -> PromptPlan:
    """Return a plan in the artist's own words, which are split where layers are not named."""
    foregrounds, background = spec.foreground_prompts, spec.background_prompt
    warnings: tuple[str, ...] = ()
    if not foregrounds or not background:
        split, warnings = splitter.split(spec.prompt, limit)
        foregrounds = foregrounds or split.subjects
        background = background or split.background
    if not background:
        background = spec.prompt
        warnings = (
            *warnings,
            "The prompt does not say where this is, so that the background is told all of it; "
            "write a background prompt.",
        )
    return PromptPlan(
        global_prompt=spec.prompt,
        foregrounds=foregrounds,
        background=background,
        negative=spec.negative_prompt,
        interpretation="; ".join((*foregrounds, background)),
        warnings=warnings,
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
