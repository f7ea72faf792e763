"""What a model is measured against: a drawn world, judges trained on it, real clips of it.

Made once in a folder and kept there; a training run's folder has a world already.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from layert2v.spec import ModelInfo
from layert2v_engine.evaluation.classifiers import Judges, judge_accuracy, judge_clips, train_judges
from layert2v_engine.evaluation.samples import selection_of
from layert2v_engine.world.clips import World, build_bank
from layert2v_engine.world.dataset import ClipSet, Renderer, core_count
from layert2v_engine.world.text.vocabulary import Selection

WORLD, JUDGES = "world", "judges.safetensors"
TEST_CLIPS, TRAINED_CLIPS = 64, 600
_CREATURES, _PLATES = 12, 12  # enough for judges to see every look of a creature more than once

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """Judges with their own accuracy by group, and real clips: of scenes that models are trained
    on and of held-out ones, on seeds no model has seen; and clips it was trained on.
    """

    selection: Selection  # the part of the world that is shown
    judges: Judges
    judge_figures: dict[str, dict[str, float]]
    seen: ClipSet
    held_out: ClipSet
    trained: ClipSet


def prepare(folder: Path, info: ModelInfo, *, judge_clips_count: int, judge_s: float) -> Material:
    """Draw and train what is not there yet. `judge_s`: seconds of training for all judges."""
    folder.mkdir(parents=True, exist_ok=True)
    world = folder / WORLD
    if not world.exists():
        partial = folder / f"{WORLD}.part"
        build_bank(
            partial,
            selection=selection_of(info),
            width=info.default_width,
            height=info.default_height,
            creatures_per_species=_CREATURES,
            plates_per_scene=_PLATES,
            processes=core_count(0),
            report=_told("world"),
        )
        partial.rename(world)
    judges = Judges.load(folder / JUDGES)
    train = 8 if judges is not None else judge_clips_count
    clips = judge_clips(world, train=train, test=TEST_CLIPS, frames=info.default_frames)
    if judges is None:
        judges = train_judges(clips["train"], seconds=judge_s, seed=5, report=logger.info)
        judges.save(folder / JUDGES)
    with Renderer(world, processes=1) as renderer:
        trained = renderer.clips(
            TRAINED_CLIPS, first_seed=0, frames=info.default_frames, report=_told("clips")
        )
    return Material(
        selection=World(world).selection,
        judges=judges,
        judge_figures={name: judge_accuracy(judges, clips[name]) for name in ("seen", "held_out")},
        seen=clips["seen"],
        held_out=clips["held_out"],
        trained=trained,
    )


def _told(stage: str) -> Callable[..., None]:
    def report(*progress: object) -> None:
        done, total = progress[-2:]
        if isinstance(done, int) and (done % 50 == 0 or done == total):
            logger.info("evaluate=%s done=%d/%s", stage, done, total)

    return report
