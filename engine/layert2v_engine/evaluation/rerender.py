"""How well a re-rendered layer fits its stack: another subject, or another place around it.

Measured on delivered files, against the stack that was generated first.
"""

from __future__ import annotations

import json
import logging
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v_engine.engine import Engine
from layert2v_engine.evaluation.classification import classification_accuracy
from layert2v_engine.evaluation.classifiers import ClassifierSet
from layert2v_engine.evaluation.report import SHEET_ROWS, save_sheet
from layert2v_engine.evaluation.samples import PromptCase, Sample, draw_prompt_cases, selection_of
from layert2v_engine.evaluation.stack_reader import read_layers
from layert2v_engine.metrics.layers import psnr, recompose, shadow_correlation, shadow_reach
from layert2v_engine.world.text.descriptions import canonical_description
from layert2v_engine.world.text.scenes import Actor, Scene
from layert2v_engine.world.text.vocabulary import ABILITIES, is_painted, is_possible

logger = logging.getLogger(__name__)

FOREGROUND_LAYER, BACKGROUND_LAYER = "fg_01", "bg"


class RerenderSamples(NamedTuple):
    """A stack as generated, with another subject, and in another place."""

    generated: Sample
    new_actor: Sample
    new_place: Sample


def report(
    engine: Engine, model: str, classifiers: ClassifierSet, out: Path, *, count: int, seed: int
) -> dict[str, float]:
    """Generate, re-render and measure; return the metrics.

    They are written to ``rerender.json`` in ``out``, with contact sheets beside it.
    """
    stacks = rerender_stacks(engine, model, count, seed)
    metrics = rerender_metrics(stacks, classifiers)
    (out / "rerender.json").write_text(json.dumps(metrics, indent=2) + "\n")
    rows = [sample for stack in stacks for sample in stack]
    for number, start in enumerate(range(0, len(rows), SHEET_ROWS), 1):
        save_sheet(rows[start : start + SHEET_ROWS], out / f"rerender_{number}.png")
    return metrics


def rerender_stacks(engine: Engine, model: str, count: int, seed: int) -> list[RerenderSamples]:
    """Generate ``count`` stacks, and re-render each one's foreground and each one's background."""
    info = next(info for info in engine.models() if info.name == model)
    selection = selection_of(info)
    rng = random.Random(seed)  # noqa: S311 - prompts, not secrets
    stacks = []
    for k, case in enumerate(draw_prompt_cases(selection, count, seed, held_out=False)):
        subject = rng.choice([s for s in selection.subject_indices if s not in case.subjects])
        place, time = case.place, case.time
        while place == case.place or not is_possible(place, time):
            place, time = rng.choice(selection.place_indices), rng.choice(selection.time_indices)
        subject_case = replace(case, subjects=(subject,))
        place_case = replace(case, place=place, time=time)
        spec = GenerateSpec(prompt=case.prompt, model=model, seed=seed + k)
        with tempfile.TemporaryDirectory() as name:
            folder, display = Path(name) / "stack", info.source_colorspace
            engine.generate(spec, folder, report=lambda _: None, cancelled=lambda: False)
            generated = _read_sample(folder, case, seed + k, display)
            _regenerate(engine, folder, FOREGROUND_LAYER, _foreground_prompt(subject), seed + k)
            new_actor = _read_sample(folder, subject_case, seed + k, display)
            prompt = _background_prompt(place, time)
            _regenerate(engine, folder, BACKGROUND_LAYER, prompt, seed + k, at=1)
            new_place = _read_sample(folder, place_case, seed + k, display)
        stacks.append(RerenderSamples(generated, new_actor, new_place))
        logger.info("evaluate=rerender done=%d/%d", k + 1, count)
    return stacks


def rerender_metrics(
    stacks: Sequence[RerenderSamples], classifiers: ClassifierSet
) -> dict[str, float]:
    """Return accuracies in 0..1 and PSNR in dB of stacks as generated and as re-rendered."""
    metrics = {"stacks": float(len(stacks))}
    for name in RerenderSamples._fields:
        samples: list[Sample] = [getattr(stack, name) for stack in stacks]
        accuracies = classification_accuracy(samples, classifiers)
        metrics |= {f"{name}_{kind}": share for kind, share in accuracies.items()}
        measures: dict[str, Callable[[Sample], float]] = {
            "recomposition_psnr_db": lambda x: psnr(x.comp, x.layers.composite[0]),
            "shadow_correlation": lambda x: shadow_correlation(x.layers, x.foregrounds[0]),
            "shadow_under_actor": lambda x: shadow_reach(x.foregrounds[0]),
        }
        for measure, value in measures.items():
            metrics[f"{name}_{measure}"] = float(np.mean([value(sample) for sample in samples]))
    return metrics


def _regenerate(
    engine: Engine, folder: Path, layer: str, prompt: str, seed: int, *, at: int = 0
) -> None:
    spec = RerenderSpec(
        action="regenerate", layers=(layer,), prompts={layer: prompt}, seed=seed, at=at
    )
    engine.rerender(spec, folder, inputs={}, report=lambda _: None, cancelled=lambda: False)


def _read_sample(folder: Path, case: PromptCase, seed: int, display: str) -> Sample:
    layers = read_layers(folder, display)
    return Sample(case=case, seed=seed, layers=layers, comp=recompose(layers))


def _foreground_prompt(subject: int) -> str:
    color = 0 if is_painted(subject) else -1
    actor = Actor(subject=subject, action=ABILITIES[subject][0], color=color)
    return canonical_description(Scene(place=0, time=0, actors=(actor,))).foregrounds[0]


def _background_prompt(place: int, time: int) -> str:
    return canonical_description(Scene(place=place, time=time)).background
