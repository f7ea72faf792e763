"""Reference data for evaluation: a rendered world, its clips, classifiers trained on them.

Made once in a folder and kept there; a training run's folder has a world already.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from layert2v.spec import ModelInfo
from layert2v_engine.evaluation.classifiers import (
    ClassifierSet,
    classifier_accuracy,
    render_classifier_clips,
    train_classifiers,
)
from layert2v_engine.evaluation.samples import selection_of
from layert2v_engine.world.clips import World, build_bank
from layert2v_engine.world.dataset import ClipSet, Renderer, core_count
from layert2v_engine.world.text.vocabulary import Selection

FOLDER = "material"  # in the output folder of an evaluation
WORLD, CLASSIFIERS_FILE = "world", "judges.safetensors"
TEST_CLIPS, TRAINING_CLIPS = 64, 600
_CREATURES, _PLATES = 12, 12  # enough for classifiers to see every look of an animal more than once

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceData:
    """Classifiers with their own accuracy by group of scenes, and clips of the world.

    ``seen`` shows scenes that models are trained on and ``held_out`` those they are not, both on
    seeds that no model has seen; ``trained`` are clips that models were trained on.
    """

    selection: Selection  # the part of the world that is shown
    classifiers: ClassifierSet
    classifier_accuracies: dict[str, dict[str, float]]
    seen: ClipSet
    held_out: ClipSet
    trained: ClipSet


def prepare(folder: Path, info: ModelInfo, *, clip_count: int, train_s: float) -> ReferenceData:
    """Render and train what ``folder`` does not hold yet.

    ``train_s`` are seconds of training for all classifiers, ``clip_count`` the clips they see.
    """
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
            report=_progress_logger("world"),
        )
        partial.rename(world)
    classifiers = ClassifierSet.load(folder / CLASSIFIERS_FILE)
    train = 8 if classifiers is not None else clip_count
    clips = render_classifier_clips(world, train=train, test=TEST_CLIPS, frames=info.default_frames)
    if classifiers is None:
        classifiers = train_classifiers(clips["train"], seconds=train_s, seed=5, report=logger.info)
        classifiers.save(folder / CLASSIFIERS_FILE)
    with Renderer(world, processes=1) as renderer:
        trained = renderer.clips(
            TRAINING_CLIPS,
            first_seed=0,
            frames=info.default_frames,
            report=_progress_logger("clips"),
        )
    return ReferenceData(
        selection=World(world).selection,
        classifiers=classifiers,
        classifier_accuracies={
            name: classifier_accuracy(classifiers, clips[name]) for name in ("seen", "held_out")
        },
        seen=clips["seen"],
        held_out=clips["held_out"],
        trained=trained,
    )


def _progress_logger(stage: str) -> Callable[..., None]:
    """Return a report function that logs about every 50 items."""

    def report(*progress: object) -> None:
        done, total = progress[-2:]
        if isinstance(done, int) and (done % 50 == 0 or done == total):
            logger.info("evaluate=%s done=%d/%s", stage, done, total)

    return report
