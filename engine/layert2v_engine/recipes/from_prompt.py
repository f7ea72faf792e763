"""Recipes that begin with a sentence: they are listed and asked for like models.

The footage that such a recipe makes is decomposed as any other, so that layers, shadows and the
measures of the history are those of a decomposition.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import torch
from torch import Tensor

from layert2v.decompose import FOOTAGE, SCRATCH_FOLDER, DecomposeSpec, Footage, SubjectSpec
from layert2v.spec import GenerateSpec, spec_to_json
from layert2v.stack import NetworkRecord, Stack, slug
from layert2v_engine.decompose.pipeline import STAGE_WEIGHTS, Decomposition
from layert2v_engine.decompose.stages import Stages
from layert2v_engine.image import exr
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.exr_header import ExrOptions, Tags
from layert2v_engine.progress import ProgressReporter
from layert2v_engine.recipes.catalog import Recipe
from layert2v_engine.recipes.models import NETWORK
from layert2v_engine.recipes.text import encode_text, encoder_record
from layert2v_engine.recipes.text_to_video import load_text_to_video
from layert2v_engine.recipes.wan import NEGATIVE_PROMPT
from layert2v_engine.stack.files import remove_empty_folders
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.preview import DISPLAY_SPACE
from layert2v_engine.weights.folder import WeightsFolder

_FRAMES_FOLDER, _DONE = "flat", "done.json"
_LINEAR = "lin_rec709_scene"
_NO_PLACES = "Flat video is made without placements; foregrounds are where Wan put them."
_SHARE = 0.6  # of the time, that making the footage takes
FLAT_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {
        "load": 0.05 * _SHARE,
        "text": 0.05 * _SHARE,
        "denoise": 0.85 * _SHARE,
        "decode": 0.05 * _SHARE,
        **{stage: weight * (1 - _SHARE) for stage, weight in STAGE_WEIGHTS.items()},
    }
)


@dataclass(frozen=True, kw_only=True)
class RecipeRun:
    """What a run of a recipe is given: ``stages`` are those of the product."""

    recipe: Recipe
    weights: WeightsFolder
    device: torch.device
    stages: Stages
    progress: ProgressReporter


def generate_flat_stack(spec: GenerateSpec, run: RecipeRun) -> Stack:
    """Make flat video of a resolved request, and the stack of its layers.

    Raises WeightsMissing, BadCheckpoint, FootageError where no subject is found, Cancelled,
    StackError, DiskFull.
    """
    progress = run.progress
    progress.stage_weights = FLAT_WEIGHTS
    with _scratch(progress.folder) as frames:
        if not _is_done(frames, spec):
            _write_flat(spec, run, frames)
            (frames / _DONE).write_text(json.dumps(_key(spec)))
        request = decompose_request(spec)
        made = (run.weights.record(NETWORK), encoder_record(run.weights))
        networks = (*made, *run.stages.networks)
        decomposition = Decomposition(
            request,
            {FOOTAGE: frames},
            run.stages,
            progress,
            origin=lambda found: _origin(found, spec, networks),
        )
        progress.stage_weights = FLAT_WEIGHTS  # a decomposition sets those of its own
        return decomposition.run()


def decompose_request(spec: GenerateSpec) -> DecomposeSpec:
    """Return how the footage of a request is decomposed: each foreground prompt is a subject."""
    subjects = tuple(SubjectSpec(words=words) for words in spec.foreground_prompts)
    return DecomposeSpec(
        subjects=subjects[::-1],  # of a request from bottom to top, here the nearest first
        footage=Footage(colorspace=_LINEAR, fps=spec.fps, start_frame=spec.start_frame),
        colorspace=spec.colorspace,
        name=slug(spec.prompt),
        compression=spec.compression,
    )


def whole_prompt(spec: GenerateSpec) -> str:
    """Return the sentence for a flat video: all that is said, without what is said twice."""
    parts = [spec.prompt, *spec.foreground_prompts, spec.background_prompt]
    said: list[str] = []
    for part in parts:
        if part and not any(part.lower() in other.lower() for other in said):
            said.append(part)
    return ", ".join(said)


def _write_flat(spec: GenerateSpec, run: RecipeRun, folder: Path) -> None:
    progress = run.progress
    progress.report("load", 0, 1, f"loading {run.recipe.name}")
    prompts = (whole_prompt(spec), spec.negative_prompt or NEGATIVE_PROMPT)
    text = encode_text(prompts, run.weights, run.device, is_kept=False)
    network = load_text_to_video(run.weights.require(NETWORK), run.device)
    progress.report("load", 1, 1)
    progress.report("denoise", 0, spec.steps)
    video = network.sample(
        text,
        size=(spec.width, spec.height),
        frames=spec.frames,
        steps=spec.steps,
        guidance=spec.guidance,
        seed=spec.seed or 0,
        on_step=lambda done: progress.report("denoise", done, spec.steps),
    )
    write_frames(
        video,
        folder,
        spec,
        lambda done: progress.report("decode", done, spec.frames),
    )


def write_frames(
    video: Tensor, folder: Path, spec: GenerateSpec, on_frame: Callable[[int], None]
) -> None:
    """Write display-referred ``[T, 3, H, W]`` as linear half frames with the request's numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    to_linear = ColorConfig.load().transform(DISPLAY_SPACE, _LINEAR)
    options = ExrOptions(compression="zips")
    for index, picture in enumerate(video):
        color = to_linear(picture).movedim(0, -1)
        pixels = torch.cat((color, torch.ones_like(color[..., :1])), -1).half()
        tags = Tags(colorspace=_LINEAR, fps=spec.fps, frame=spec.start_frame + index)
        exr.write(folder / f"flat.{spec.start_frame + index:06d}.exr", pixels, tags, options)
        on_frame(index + 1)


def _origin(
    found: Provenance, spec: GenerateSpec, networks: tuple[NetworkRecord, ...]
) -> Provenance:
    return replace(
        found,
        action="generate",
        prompt=spec.prompt,
        negative_prompt=spec.negative_prompt,
        seed=spec.seed or 0,
        model=spec.model,
        prompt_interpretation=whole_prompt(spec),
        warnings=(*found.warnings, *([_NO_PLACES] if spec.placements else [])),
        spec=spec_to_json(spec),
        networks=networks,
    )


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Give the folder of the flat frames; nothing of it is left after an error."""
    is_new = not folder.exists()
    try:
        yield folder / SCRATCH_FOLDER / _FRAMES_FOLDER
    except BaseException:
        shutil.rmtree(folder / SCRATCH_FOLDER, ignore_errors=True)
        if is_new and folder.exists():
            remove_empty_folders(folder, folder.parent)
        raise


def _is_done(frames: Path, spec: GenerateSpec) -> bool:
    """Tell whether an attempt that was killed had made these frames."""
    try:
        return bool(json.loads((frames / _DONE).read_text()) == _key(spec))
    except (OSError, ValueError):
        return False


def _key(spec: GenerateSpec) -> str:
    return hashlib.sha256(json.dumps(spec_to_json(spec), sort_keys=True).encode()).hexdigest()
