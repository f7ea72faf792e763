"""Reference data for evaluation: a rendered world, its clips, classifiers trained on them.

Made once in a folder and kept there; a training run's folder has a world already.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from layert2v.spec import ModelInfo
from layert2v_engine.errors import EngineError
from layert2v_engine.evaluation.classifiers import (
    ClassifierSet,
    classifier_accuracy,
    render_test_clips,
    render_training_clips,
    train_classifiers,
)
from layert2v_engine.evaluation.samples import selection_of
from layert2v_engine.metrics.diversity import GRID
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.tensor_file import open_tensors
from layert2v_engine.world.clips import World, build_bank
from layert2v_engine.world.dataset import ClipSet, core_count
from layert2v_engine.world.text.vocabulary import Selection

FOLDER = "material"  # in the output folder of an evaluation
WORLD, CLASSIFIERS_FILE = "world", "classifiers.safetensors"
RUN_LATENTS = "latents*.safetensors"  # of a training run: what its transformer saw
TEST_CLIPS = 64
# Three of every look of an animal: two for classifiers, one that only clips to test on show.
_CREATURES, _PLATES = 24, 12
_SEED = 1  # another than trainings have: a model saw none of these subjects and plates

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceData:
    """Classifiers with their own accuracy by group of scenes, and clips of the world.

    ``seen`` shows scenes that models are trained on and ``held_out`` those they are not, both on
    plates, subjects and seeds that neither a model nor a classifier was trained on. ``two`` are
    such clips of two foregrounds, for models that know them; ``run_latents`` are the files of those
    that the transformer was trained on, where its run is there.
    """

    selection: Selection  # the part of the world that is shown
    classifiers: ClassifierSet
    classifier_accuracies: dict[str, dict[str, float]]
    seen: ClipSet
    held_out: ClipSet
    two: ClipSet | None
    run_latents: tuple[Path, ...] = ()

    @torch.no_grad()
    def trained_composites(self, pipeline: LayeredPipeline) -> list[Tensor]:
        """Return composites [3, 3, h, w] in 0..1 of all clips that the transformer was trained on.

        They are first, middle and last frame group by the linear part of the autoencoder, reduced
        as pictures are when they are compared. Empty without a run, or with another autoencoder.
        """
        vae, layout = pipeline.components.vae, pipeline.layout(0)
        if not isinstance(vae, PatchAutoencoder):
            return []
        stream = layout.index("composite")  # the first in every layout
        mean, std = (
            each[stream][:, None, None, None].cpu()
            for each in pipeline.config.latents_mean_std(layout)
        )
        linear, pictures = copy.deepcopy(vae.decoder.linear).cpu().float(), list[Tensor]()
        for path in self.run_latents:
            with open_tensors(path) as file:
                latents = file.get_slice("latents")[:, stream]  # [N, C, F, h, w]
            last = latents.shape[2] - 1
            for some in latents[:, :, [0, last // 2, last]].split(64):
                groups = (some.float() * std + mean).transpose(1, 2).flatten(0, 1)
                frames = nn.functional.pixel_shuffle(linear(groups), vae.decoder.patch)
                middle = frames.unflatten(1, (3, -1))[:, :, vae.decoder.frames // 2]
                small = nn.functional.adaptive_avg_pool2d(middle, GRID) * 0.5 + 0.5
                pictures += small.clamp(0, 1).unflatten(0, (-1, 3)).transpose(1, 2).unbind()
        return pictures


def prepare(folder: Path, info: ModelInfo, *, clip_count: int, train_s: float) -> ReferenceData:
    """Render and train what ``folder`` does not hold yet.

    ``train_s`` are seconds of training for all classifiers, ``clip_count`` the clips they see.
    Raises EngineError where the world that is there has another size than the model, or shows what
    that does not know.
    """
    folder.mkdir(parents=True, exist_ok=True)
    world = folder / WORLD
    if not world.exists():
        partial = folder / f"{WORLD}.part"
        build_bank(
            partial,
            selection=selection_of(info),
            seed=_SEED,
            width=info.default_width,
            height=info.default_height,
            creatures_per_species=_CREATURES,
            plates_per_scene=_PLATES,
            processes=core_count(0),
            report=_progress_logger("world"),
        )
        partial.rename(world)
    _check_world(World(world), info, world)
    classifiers = ClassifierSet.load(folder / CLASSIFIERS_FILE)
    if classifiers is None:
        clips = render_training_clips(world, clip_count, info.default_frames)
        classifiers = train_classifiers(clips, seconds=train_s, seed=5, report=logger.info)
        classifiers.save(folder / CLASSIFIERS_FILE)
    tests = render_test_clips(world, TEST_CLIPS, info.default_frames, info.max_foregrounds)
    return ReferenceData(
        selection=World(world).selection,
        classifiers=classifiers,
        classifier_accuracies={
            name: classifier_accuracy(classifiers, clips) for name, clips in tests.items()
        },
        seen=tests["seen"],
        held_out=tests["held_out"],
        two=tests.get("two"),
        run_latents=tuple(sorted(folder.glob(RUN_LATENTS))),
    )


def _check_world(world: World, info: ModelInfo, folder: Path) -> None:
    size, wanted = (world.width, world.height), (info.default_width, info.default_height)
    known = selection_of(info)
    is_unknown = any(
        set(getattr(world.selection, kind)) - set(getattr(known, kind))
        for kind in ("subjects", "places", "times", "headings", "spots", "distances")
    )
    if size == wanted and not is_unknown:
        return
    what = "shows words it does not know" if size == wanted else f"has {size[0]}x{size[1]} pixels"
    raise EngineError(
        f"{info.title} cannot be measured with {folder}, which {what}.",
        "Choose another folder with --out, without --run; it gets a world of its own.",
        reason="OTHER_WORLD",
    )


def _progress_logger(stage: str) -> Callable[..., None]:
    """Return a report function that logs about every 50 items."""

    def report(*progress: object) -> None:
        done, total = progress[-2:]
        if isinstance(done, int) and (done % 50 == 0 or done == total):
            logger.info("evaluate=%s done=%d/%s", stage, done, total)

    return report
