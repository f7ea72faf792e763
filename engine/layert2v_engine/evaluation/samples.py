"""Generated clips to be measured: prompts sampled from the world or read from a file.

They pass through the prompt planner like any request.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from layert2v.spec import GenerateSpec, ModelInfo, resolve
from layert2v_engine.errors import EngineError
from layert2v_engine.metrics.layers import recompose
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.stream_codec import (
    ForegroundFrames,
    LayerFrames,
    concatenate_groups,
)
from layert2v_engine.world.text.descriptions import canonical_description
from layert2v_engine.world.text.scenes import Scene, sample_scene
from layert2v_engine.world.text.vocabulary import (
    HEADINGS,
    PLACES,
    SUBJECTS,
    TIMES,
    V0,
    V1,
    Selection,
    Word,
    is_held_out,
    is_possible,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptCase:
    """A prompt and what it names: indices into the words, -1 where it names none."""

    prompt: str
    subjects: tuple[int, ...]  # bottom to top
    place: int
    time: int
    # What the prompt says of each subject, in their order; empty where it says nothing.
    headings: tuple[str, ...] = ()
    spots: tuple[str, ...] = ()

    def label(self, kind: str, foreground: int = 0) -> int:
        """Return the class that a classifier of a kind should find."""
        if kind == "heading":
            return HEADINGS.index(self.headings[foreground]) if self.headings else -1
        if kind in ("subject", "silhouette"):
            return self.subjects[foreground]
        return self.place if kind == "place" else self.time


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One generated clip, all frames, display-referred, on the CPU."""

    case: PromptCase
    seed: int
    layers: LayerFrames
    comp: Tensor  # [3, T, H, W] the linear over of the layers, display-encoded

    @property
    def foregrounds(self) -> tuple[ForegroundFrames, ...]:
        """The foregrounds that the prompt names, bottom to top."""
        return self.layers.foregrounds[: len(self.case.subjects)]


def selection_of(info: ModelInfo) -> Selection:
    """Return the part of the world a model knows; raise EngineError where it names none."""

    def names_of(kind: str, words: Sequence[Word]) -> tuple[str, ...]:
        names = [word.name for word in words]
        return tuple(name for name in info.vocabulary.get(kind, ()) if name in names)

    # Without words of position a model shows what Mini v0 did; one distance alone needs no word.
    known, has_spots = info.vocabulary, "spot" in info.vocabulary
    selection = Selection(
        subjects=names_of("subject", SUBJECTS),
        places=names_of("place", PLACES),
        times=names_of("time", TIMES),
        foregrounds=tuple(range(1, info.max_foregrounds + 1)),
        headings=known.get("heading", V0.headings),
        spots=known.get("spot", V0.spots),
        distances=known.get("distance", ("near",) if has_spots else V0.distances),
        cameras=V1.cameras if has_spots else V0.cameras,
    )
    if not (selection.subjects and selection.places and selection.times):
        raise EngineError(
            f"{info.title} does not say which words it knows.",
            "Measure a model with a closed vocabulary, such as the Mini.",
            reason="NO_VOCABULARY",
        )
    return selection


def draw_prompt_cases(
    selection: Selection,
    count: int,
    seed: int,
    *,
    held_out: bool,
    foregrounds: int = 1,
    repeated: bool = False,
) -> list[PromptCase]:
    """Return ``count`` cases of scenes trained on or held out, all subjects equally often.

    ``repeated`` subjects of scenes of one are there twice, on both sides. Raises EngineError where
    the selection allows none.
    """
    rng = random.Random(seed)  # noqa: S311 - prompts, not secrets
    scenes = [
        (place, time)
        for place in selection.place_indices
        for time in selection.time_indices
        if is_possible(place, time)
    ]
    order = [
        subject
        for subject in selection.subject_indices
        if any(is_held_out(subject, *scene) == held_out for scene in scenes)
    ]
    cases = []
    if not order:
        sample_scene(rng, selection, held_out=held_out, foregrounds=foregrounds)  # says why
    for k in range(count):
        while True:
            scene = sample_scene(rng, selection, held_out=held_out, foregrounds=foregrounds)
            if any(actor.subject == order[k % len(order)] for actor in scene.actors):
                shown = _repeat_subject(scene) if repeated else scene
                cases.append(_case_of_scene(shown, selection))
                break
    return cases


def read_prompt_cases(path: Path) -> list[PromptCase]:
    """Read one prompt a line; skip empty lines and lines that begin with #.

    Raises EngineError where there is none.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise EngineError(
            f"The prompts in {path} cannot be read.",
            "Name a text file with one prompt a line.",
            reason="NO_PROMPTS",
        ) from error
    prompts = [line for line in lines if line and not line.startswith("#")]
    if not prompts:
        raise EngineError(
            f"There is no prompt in {path}.", "Write one prompt a line.", reason="NO_PROMPTS"
        )
    return [_case_of_prompt(prompt) for prompt in prompts]


def generate(pipeline: LayeredPipeline, case: PromptCase, seed: int) -> Sample:
    """Generate one clip of a case at the model's defaults, of the nearest subject it knows."""
    request = GenerateSpec(prompt=case.prompt, model=pipeline.info.name, nearest=True)
    spec = resolve(request, pipeline.info, seed)
    plan = pipeline.plan(spec)
    latents = pipeline.sample(spec, plan)
    layers = concatenate_groups(
        [group.cpu() for group in pipeline.decode(latents, len(plan.foregrounds))]
    )
    return Sample(case=case, seed=seed, layers=layers, comp=recompose(layers))


def _repeat_subject(scene: Scene) -> Scene:
    """Return the scene with two of its first subject, left and right."""
    pair = tuple(replace(scene.actors[0], spot=side) for side in ("left", "right"))
    return replace(scene, actors=pair)


def _case_of_scene(scene: Scene, selection: Selection) -> PromptCase:
    """Return the sentence of a scene, with headings and spots if the selection has several.

    Several subjects differ by their side in any case.
    """
    has_headings, has_spots = len(selection.headings) > 1, len(selection.spots) > 1
    details = ("heading",) if has_headings else ()
    if has_spots or len(scene.actors) > 1:
        details = (*details, "spot")
    return PromptCase(
        prompt=canonical_description(scene, details).whole,
        subjects=tuple(actor.subject for actor in scene.actors),
        place=scene.place,
        time=scene.time,
        headings=tuple(actor.heading for actor in scene.actors) if has_headings else (),
        spots=tuple(actor.spot for actor in scene.actors) if "spot" in details else (),
    )


def _case_of_prompt(prompt: str) -> PromptCase:
    """Return what a prompt names in the words of the world, found by name or synonym."""

    def first(words: Sequence[Word]) -> int:
        found = [
            (-len(name), index)
            for index, word in enumerate(words)
            for name in (word.name, *word.synonyms)
            if re.search(rf"\b{re.escape(name)}\b", prompt.lower())
        ]
        return min(found)[1] if found else -1

    place, time = first(PLACES), first(TIMES)
    return PromptCase(prompt=prompt, subjects=(first(SUBJECTS),), place=place, time=time)
