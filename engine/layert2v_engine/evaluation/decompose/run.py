"""Decompose all clips, measure them, and write what ``report`` makes of it.

Each clip is kept as soon as it is measured, so that an evaluation that was stopped goes on.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from torch import Tensor

from layert2v_engine.decompose.protocols import Splitter
from layert2v_engine.decompose.split import ClosedFormSplitter
from layert2v_engine.decompose.splitter import TrainedSplitter
from layert2v_engine.engine import Engine
from layert2v_engine.errors import EngineError
from layert2v_engine.evaluation.decompose import cases, report
from layert2v_engine.evaluation.decompose.cases import Case
from layert2v_engine.evaluation.decompose.kept import KeptClips
from layert2v_engine.evaluation.decompose.measures import decompose_case, mean_iou, measure
from layert2v_engine.evaluation.decompose.splitter import TRAINED, Measures, measure_splitters
from layert2v_engine.training.splitter.frames import HeldOut, rendered_clips, world_clips
from layert2v_engine.world.dataset import TEST_SEED

logger = logging.getLogger(__name__)

WORLD_CLIPS = 12
CLICKS = 2  # after a box
_CLIPS = "clips"  # folder in ``out`` of those that are done


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationSettings:
    """What is measured. Folders that are None are left out, and the report says so."""

    run: Path | None = None  # a training run whose world is used
    rendered: Path | None = None
    samples: Path | None = None
    weights: Path | None = None  # of a splitter other than the shipped one
    count: int = WORLD_CLIPS
    frames: int = 9
    only_splitter: bool = False


def evaluate(engine: Engine, out: Path, settings: EvaluationSettings) -> str:
    """Measure, and write ``decompose.json``, ``decompose.md`` and sheets; return the Markdown.

    A second call with the same ``out`` and settings goes on where the first was stopped; one after
    the end measures anew.
    """
    world = cases.find_world(settings.run, out)
    notes = [
        f"Not measured: {name}, since none were named."
        for name, folder in (("rendered clips", settings.rendered), ("samples", settings.samples))
        if folder is None
    ]
    for note in notes:
        logger.warning(note)
    measurements = report.Measurements()
    kept = KeptClips(out / _CLIPS, f"frames={settings.frames} weights={settings.weights}")
    if not settings.only_splitter:
        rows = _decompose_all(engine, world, settings, measurements, kept)
        report.save_sheets(rows, out)
    text = report.write(out, measurements, _splitters(world, settings), notes)
    kept.clear()
    return text


def _splitters(world: Path, settings: EvaluationSettings) -> dict[str, Measures]:
    trained = TrainedSplitter() if settings.weights is None else TrainedSplitter(settings.weights)
    both: dict[str, Splitter] = {"closed form": ClosedFormSplitter(), TRAINED: trained}
    held_out = world_clips(
        world, HeldOut(), first_seed=TEST_SEED, count=settings.count, frames=4, is_test=True
    )
    groups: dict[str, Iterator[tuple[Tensor, str]]] = {"world": held_out}
    if settings.rendered is not None:
        groups["rendered"] = rendered_clips(settings.rendered)
    return {group: measure_splitters(clips, both) for group, clips in groups.items()}


def _decompose_all(
    engine: Engine,
    world: Path,
    settings: EvaluationSettings,
    measurements: report.Measurements,
    kept: KeptClips,
) -> list[tuple[str, Tensor]]:
    rows: list[tuple[str, Tensor]] = []
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        clips = [cases.world_cases(world, work, settings.count, settings.frames)]
        if settings.rendered is not None:
            clips.append(cases.rendered_cases(settings.rendered, work))
        if settings.samples is not None:
            clips.append(cases.sample_cases(settings.samples))
        for done, case in enumerate(chain.from_iterable(clips), 1):
            found = kept.load(case.name)
            if found is None:
                found = _measure_case(engine, case, work)
                kept.save(case.name, *found)
            metrics, row = found
            measurements.add(case.group, case.name, metrics)
            if row is not None:
                rows.append((_caption(case, metrics), row))
            logger.info("evaluate=decompose done=%d clip=%s", done, case.name)
    return rows


def _measure_case(engine: Engine, case: Case, work: Path) -> tuple[dict[str, float], Tensor | None]:
    """Return the metrics of a case with nothing given and with a hint, and its pictures."""
    metrics: dict[str, float] = {}
    row = None
    try:
        layers, seconds = decompose_case(engine, case, work / f"{case.name}_layers")
        metrics = measure(case, layers) | {"seconds_per_frame": seconds}
        row = report.sheet_row(case, layers)
    except EngineError as error:  # such as no subject found: as bad as can be
        logger.warning("clip=%s %s", case.name, error)
        metrics = {"iou": 0.0}
    return metrics | _measure_hints(engine, case, work), row


def _measure_hints(engine: Engine, case: Case, work: Path) -> dict[str, float]:
    """Return the overlap with a box, and with clicks after it, each made after a look.

    With a box also what depends on the subject: shadow and hidden background.
    """
    overlaps, boxed = [], {}
    subject = case.boxed_subject()
    for clicks in range(CLICKS + 1):
        try:
            folder = work / f"{case.name}_hinted_{clicks}"
            layers, _ = decompose_case(engine, case, folder, subject)
        except EngineError as error:
            logger.warning("clip=%s with a hint: %s", case.name, error)
            overlaps.append(0.0)
            break
        overlaps.append(mean_iou(layers.alpha, case.alpha))
        if clicks == 0:
            behind = measure(case, layers).items()
            boxed = {f"boxed_{k}": v for k, v in behind if k.startswith(("shadow", "plate_db"))}
        click = case.next_click(layers.alpha)
        if click is None:
            break
        subject = replace(subject, points=(*subject.points, click))
    return boxed | {"boxed_iou": overlaps[0], "clicked_iou": overlaps[-1]}


def _caption(case: Case, metrics: dict[str, float]) -> str:
    words = [f"IoU {metrics['iou']:.2f} ({metrics['clicked_iou']:.2f} with a box and clicks)"]
    if "shadow_error" in metrics:
        words.append(f"shadow error {metrics['shadow_error']:.2f}")
    return f"{case.name}: {', '.join(words)}"
