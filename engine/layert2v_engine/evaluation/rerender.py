"""What is left of a stack when one layer is drawn again: a new actor in its place, a new place
around its actor. Measured on delivered files, against the stack that was generated first.
"""

from __future__ import annotations

import json
import logging
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v_engine.engine import Engine
from layert2v_engine.evaluation.classification import accuracy
from layert2v_engine.evaluation.classifiers import Judges
from layert2v_engine.evaluation.report import SHEET_ROWS, save_sheet
from layert2v_engine.evaluation.samples import Shot, Wish, draw_wishes, selection_of
from layert2v_engine.evaluation.stack_reader import read_layers
from layert2v_engine.metrics.layers import psnr, recompose, shadow_correlation, shadow_reach
from layert2v_engine.world.text.descriptions import canonical_description
from layert2v_engine.world.text.scenes import Actor, Scene
from layert2v_engine.world.text.vocabulary import ABILITIES, is_painted, is_possible

logger = logging.getLogger(__name__)

ACTOR, GROUND = "fg_01", "bg"
Trio = tuple[Shot, Shot, Shot]  # as generated, with another actor, in another place


def report(
    engine: Engine, model: str, judges: Judges, out: Path, *, count: int, seed: int
) -> dict[str, float]:
    """Draw, measure, and write `rerender.json` and contact sheets into `out`; the figures."""

    def told(done: int, total: int) -> None:
        logger.info("evaluate=rerender done=%d/%d", done, total)

    trios = rerender_trios(engine, model, count, seed, told)
    figures = rerender_figures(trios, judges)
    (out / "rerender.json").write_text(json.dumps(figures, indent=2) + "\n")
    rows = [shot for trio in trios for shot in trio]
    for number, start in enumerate(range(0, len(rows), SHEET_ROWS), 1):
        save_sheet(rows[start : start + SHEET_ROWS], out / f"rerender_{number}.png")
    return figures


def rerender_trios(
    engine: Engine, model: str, count: int, seed: int, report: Callable[[int, int], None]
) -> list[Trio]:
    """Generate `count` stacks, and draw each one's actor and each one's background again."""
    info = next(info for info in engine.models() if info.name == model)
    selection = selection_of(info)
    rng = random.Random(seed)  # noqa: S311 - prompts, not secrets
    trios = []
    for k, wish in enumerate(draw_wishes(selection, count, seed, held_out=False)):
        subject = rng.choice([s for s in selection.subject_indices if s not in wish.subjects])
        place, time = wish.place, wish.time
        while place == wish.place or not is_possible(place, time):
            place, time = rng.choice(selection.place_indices), rng.choice(selection.time_indices)
        recast = replace(wish, subjects=(subject,))
        moved = replace(wish, place=place, time=time)
        spec = GenerateSpec(prompt=wish.prompt, model=model, seed=seed + k)
        with tempfile.TemporaryDirectory() as name:
            folder, source = Path(name) / "stack", info.source_colorspace
            engine.generate(spec, folder, report=lambda _: None, cancelled=lambda: False)
            made = _shot(folder, wish, seed + k, source)
            new_actor = _drawn(engine, folder, ACTOR, _actor(subject), seed + k)
            recast_shot = _shot(folder, recast, new_actor, source)
            new_ground = _drawn(engine, folder, GROUND, _where(place, time), seed + k, at=1)
            moved_shot = _shot(folder, moved, new_ground, source)
        trios.append((made, recast_shot, moved_shot))
        report(k + 1, count)
    return trios


def rerender_figures(trios: Sequence[Trio], judges: Judges) -> dict[str, float]:
    """Accuracies in 0..1, PSNR in dB, of the stacks as generated and of the two changes."""
    made, recast, moved = (list(shots) for shots in zip(*trios, strict=True))
    groups = {"generated": made, "new_actor": recast, "new_place": moved}
    figures = {"stacks": float(len(trios))}
    for name, shots in groups.items():
        figures |= {f"{name}_{kind}": share for kind, share in accuracy(shots, judges).items()}
        figures[f"{name}_recomposition_psnr_db"] = float(
            np.mean([psnr(shot.comp, shot.layers.composite[0]) for shot in shots])
        )
        figures[f"{name}_shadow_correlation"] = float(
            np.mean([shadow_correlation(shot.layers, shot.actors[0]) for shot in shots])
        )
        figures[f"{name}_shadow_under_actor"] = float(
            np.mean([shadow_reach(shot.actors[0]) for shot in shots])
        )
    return figures


def _drawn(engine: Engine, folder: Path, layer: str, prompt: str, seed: int, *, at: int = 0) -> int:
    spec = RerenderSpec(
        action="regenerate", layers=(layer,), prompts={layer: prompt}, seed=seed, at=at
    )
    engine.rerender(spec, folder, inputs={}, report=lambda _: None, cancelled=lambda: False)
    return seed


def _shot(folder: Path, wish: Wish, seed: int, display: str) -> Shot:
    layers = read_layers(folder, display)
    return Shot(wish=wish, seed=seed, layers=layers, comp=recompose(layers))


def _actor(subject: int) -> str:
    color = 0 if is_painted(subject) else -1
    actor = Actor(subject=subject, action=ABILITIES[subject][0], color=color)
    return canonical_description(Scene(place=0, time=0, actors=(actor,))).foregrounds[0]


def _where(place: int, time: int) -> str:
    return canonical_description(Scene(place=place, time=time)).background
