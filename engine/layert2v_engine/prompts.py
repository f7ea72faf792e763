"""One sentence to a prompt per layer, and an honest account of how it was understood.

A model with a closed vocabulary was trained on a small grammar, so the planner looks for its words
(names, synonyms, inflections, then nearest in meaning) and writes the sentences the model knows;
whatever it had to guess or leave out becomes a warning. A model without a vocabulary gets the
artist's own words. Knows text only: meaning comes as vectors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from layert2v.spec import GenerateSpec
from layert2v_engine.world import vocabulary as world
from layert2v_engine.world.captions import canonical
from layert2v_engine.world.vocabulary import Label, Word

Vectors = Callable[[Sequence[str]], Tensor]  # texts to unit vectors [N, D]

# Cosine of all-MiniLM-L6-v2 below which two words have little in common (stallion-horse 0.66,
# vixen-fox 0.44).
NEAR_ENOUGH = 0.45

FIGURE_KINDS = ("subject", "colour", "action")

_STOP_WORDS = frozenset(
    """
    a an and the of in on at by to with for from into onto through across along over under near its
    his her their it is are was very while there one some this that as during inside around past day
    time scene video shot view
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
        self._vectors = vectors
        tables = {
            "subject": world.SUBJECTS,
            "action": world.ACTIONS,
            "place": world.PLACES,
            "time": world.TIMES,
            "colour": world.COLOURS,
        }
        self._words = {
            kind: tuple(word for word in words if word.name in vocabulary.get(kind, ()))
            for kind, words in tables.items()
        }

    def plan(self, spec: GenerateSpec) -> PromptPlan:
        """Prompts for a request that already passed validation."""
        if not self._words["subject"]:
            return _verbatim(spec)
        warnings: list[str] = []
        figure = spec.foreground_prompts[0] if spec.foreground_prompts else spec.prompt
        texts = {"figure": figure, "scene": spec.background_prompt or spec.prompt}
        if texts["figure"] == texts["scene"]:
            texts = {"figure": figure}  # one sentence speaks of both
        elsewhere = "" if len(texts) == 1 else spec.prompt
        found = {
            kind: self._look(kind, texts, "figure" if kind in FIGURE_KINDS else "scene", elsewhere)
            for kind in ("place", "time", "subject", "colour", "action")
        }
        subject = found["subject"] or self._guess("subject", texts, "figure", warnings)
        place = found["place"] or self._guess("place", texts, "scene", warnings)
        time = found["time"] or self._guess("time", texts, "scene", warnings)
        action, colour = found["action"], found["colour"]
        label = self._label(subject, action, place, time, colour, warnings)
        self._mention_company(texts, subject, warnings)
        self._mention_leftovers(texts, warnings)
        whole, foreground, background = canonical(label)
        return PromptPlan(
            whole=whole,
            foregrounds=(foreground,),
            background=background,
            negative=spec.negative_prompt,
            understood=_account(label),
            warnings=tuple(warnings),
        )

    def _look(self, kind: str, texts: dict[str, str], part: str, elsewhere: str) -> Word | None:
        """A name, synonym or inflection of `kind`, taken out of its text; else one said anywhere in
        the prompt.
        """
        part = part if part in texts else "figure"
        found, texts[part] = _take(self._words[kind], texts[part])
        return found or _take(self._words[kind], elsewhere)[0]

    def _guess(self, kind: str, texts: dict[str, str], part: str, warnings: list[str]) -> Word:
        """The word nearest in meaning to one that is left in the text, else the first word of the
        kind.
        """
        words = self._words[kind]
        part = part if part in texts else "figure"
        candidates = _content(texts[part])
        if candidates:
            names = [(word, name) for word in words for name in word.spoken]
            cosines = self._vectors(candidates) @ self._vectors([name for _, name in names]).T
            best = int(cosines.argmax())
            said, word = candidates[best // len(names)], names[best % len(names)][0]
            if float(cosines.flatten()[best]) >= NEAR_ENOUGH:
                texts[part] = re.sub(
                    rf"\b{re.escape(said)}\b", " ", texts[part], flags=re.IGNORECASE
                )
                warnings.append(
                    f'Took "{said}" for the {kind} "{word.name}", the nearest this model knows.'
                )
                return word
        known = ", ".join(word.name for word in words)
        warnings.append(
            f'Found no {kind} this model knows, so it shows "{words[0].name}"; it knows {known}.'
        )
        return words[0]

    def _label(
        self,
        subject: Word,
        action: Word | None,
        place: Word,
        time: Word,
        colour: Word | None,
        warnings: list[str],
    ) -> Label:
        index = world.SUBJECTS.index(subject)
        able = world.ABILITIES[index]
        if action is not None and action.name not in able:
            warnings.append(
                f"A {subject.name} of this model is not {action.name}; it is {able[0]}."
            )
        painted = world.is_painted(index)
        if colour is not None and not painted:
            warnings.append(
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

    def _mention_company(self, texts: dict[str, str], subject: Word, warnings: list[str]) -> None:
        others = tuple(word for word in self._words["subject"] if word != subject)
        other, texts["figure"] = _take(others, texts["figure"])
        if other is not None:
            warnings.append(
                f"This model draws one foreground: {subject.name}, not also {other.name}."
            )

    def _mention_leftovers(self, texts: dict[str, str], warnings: list[str]) -> None:
        unknown = list(dict.fromkeys(token for text in texts.values() for token in _content(text)))
        if unknown:
            quoted = ", ".join(f'"{token}"' for token in unknown)
            warnings.append(f"This model does not know {quoted}, and left that out.")


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


def _account(label: Label) -> str:
    subject = world.SUBJECTS[label.subject].name
    figure = f"{world.COLOURS[label.colour].name} {subject}" if label.colour >= 0 else subject
    return ", ".join(
        (figure, label.action, world.PLACES[label.place].name, world.TIMES[label.time].name)
    )


def _take(words: Sequence[Word], text: str) -> tuple[Word | None, str]:
    """The earliest word found in `text`, by its longest form there, and the text without it."""
    best: tuple[int, int, Word] | None = None
    for word in words:
        for form in _forms(word):
            match = re.search(rf"\b{re.escape(form)}\b", text, flags=re.IGNORECASE)
            if match and (best is None or (match.start(), -len(form)) < (best[0], -best[1])):
                best = (match.start(), len(form), word)
    if best is None:
        return None, text
    start, length, word = best
    return word, f"{text[:start]} {text[start + length :]}"


def _forms(word: Word) -> set[str]:
    """Names and simple inflections: plurals of nouns, and for "running" also run, runs; for
    "racing" race, races.
    """
    forms = {word.name, *word.synonyms}
    for name in tuple(forms):
        forms |= {f"{name}s", f"{name}es"}
        if name.endswith("ing"):
            stem = name[:-3]
            forms |= {
                base + end
                for base in (stem, stem[:-1], f"{stem}e")
                if len(base) > 2
                for end in ("", "s")
            }
    return forms


def _content(text: str) -> list[str]:
    return [
        token
        for token in re.findall(r"[a-z]+(?:-[a-z]+)*", text.lower())
        if token not in _STOP_WORDS
    ]
