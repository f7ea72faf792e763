"""What a model can do, measured: clips generated, judged, laid out."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from layert2v_engine.evaluation.benchmark import carried_size, generation_cost, largest_request
from layert2v_engine.evaluation.classification import accuracy, impurity
from layert2v_engine.evaluation.classifiers import BACKGROUND, COMPOSITE
from layert2v_engine.evaluation.matte_round_trip import round_trip_mattes
from layert2v_engine.evaluation.reference_data import Material
from layert2v_engine.evaluation.samples import Shot, Wish, draw_wishes, generate
from layert2v_engine.evaluation.summary import table
from layert2v_engine.metrics.contact_sheet import foreground_tiles, save_captioned
from layert2v_engine.metrics.diversity import nearest, spread
from layert2v_engine.metrics.flow import warped_error
from layert2v_engine.metrics.layers import matte_figures, psnr, shadow_correlation, shadow_reach
from layert2v_engine.metrics.matting import matte_errors
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.stream_codec import ForegroundFrames, LayerFrames
from layert2v_engine.world.dataset import MATTE_CHANNEL, ClipSet

logger = logging.getLogger(__name__)

Figures = dict[str, float]
SHEET_ROWS = 24
_SEEDS, _PROMPTS = 4, 6  # of the measure of variety
_MATTE, _SHADOW = MATTE_CHANNEL, MATTE_CHANNEL + 1


def report(
    pipeline: LayeredPipeline,
    material: Material,
    out: Path,
    *,
    model: Path,
    wishes: Sequence[Wish] | None,
    count: int,
    seed: int,
) -> str:
    """Generate, measure, and write `report.json`, `table.md` and contact sheets into `out`; returns
    the table. `model` is the folder of the pipeline's checkpoint; `wishes` are measured instead of
    `count` drawn from the world, and then variety and cost are left out.
    """
    if wishes is None:
        shots = drawn_groups(pipeline, material, count, seed)
    else:
        shots = {"seen": shoot(pipeline, wishes, "prompts", seed=seed)}
    for name, group in shots.items():
        for number, start in enumerate(range(0, len(group), SHEET_ROWS), 1):
            save_sheet(group[start : start + SHEET_ROWS], out / f"contact_{name}_{number}.png")
    groups = {name: measure(group, material) for name, group in shots.items()}
    groups["real"] = measure_real(material.seen)
    groups["motion"] = motion_ratios(groups["seen"], groups["real"])
    groups["round_trip"] = measure_round_trip(pipeline, material.seen)
    groups["size"] = carried_size(model)
    if wishes is None:
        groups["variety"] = measure_variety(pipeline, material, shots["seen"], seed)
        request = largest_request(pipeline.info, shots["seen"][0].wish.prompt)
        groups["cost"] = generation_cost(model.parent, request)
    head: dict[str, object] = {
        "model": pipeline.info.name,
        "digest": pipeline.info.digest,
        "judges": material.judge_figures,
    }
    return save_report(out, head, groups)


def shoot(
    pipeline: LayeredPipeline, wishes: Sequence[Wish], name: str, *, seed: int = 0
) -> list[Shot]:
    """One clip for each wish, on consecutive seeds."""
    shots = []
    for k, wish in enumerate(wishes):
        shots.append(generate(pipeline, wish, seed + k))
        logger.info("evaluate=%s done=%d/%d %s", name, k + 1, len(wishes), wish.prompt)
    return shots


def drawn_groups(
    pipeline: LayeredPipeline, material: Material, count: int, seed: int
) -> dict[str, list[Shot]]:
    """Shots of prompts drawn from the world: of scenes trained on, held out of training, and with
    two foregrounds where the model draws them.
    """
    third = max(count // 3, 1)
    wishes = {
        "seen": draw_wishes(material.selection, count, seed, held_out=False),
        "held_out": draw_wishes(material.selection, third, seed, held_out=True),
    }
    if pipeline.info.max_foregrounds > 1:
        wishes["two"] = draw_wishes(material.selection, third, seed, held_out=False, foregrounds=2)
    return {name: shoot(pipeline, wanted, name, seed=seed) for name, wanted in wishes.items()}


def measure(shots: Sequence[Shot], material: Material) -> Figures:
    """All figures over the shots; accuracies and shares are in 0..1, PSNR in dB."""
    actors = [(shot, actor) for shot in shots for actor in shot.actors]
    psnrs = [psnr(shot.comp, shot.layers.composite[0]) for shot in shots]
    return {
        "shots": float(len(shots)),
        "recomposition_psnr_db": float(np.mean(psnrs)),
        "recomposition_psnr_worst_db": min(psnrs),
        **accuracy(shots, material.judges),
        **impurity(shots, material.judges),
        **_means([matte_figures(actor.alpha) for _, actor in actors]),
        **_means([_shadow_figures(shot.layers, actor) for shot, actor in actors]),
        "warped_error_comp": _mean([warped_error(shot.comp, shot.comp) for shot in shots]),
        "warped_error_matte": _mean(
            [warped_error(actor.alpha[0], shot.comp) for shot, actor in actors]
        ),
    }


def measure_real(clips: ClipSet) -> Figures:
    """The same of real clips with one foreground: the floor that no model gets below."""
    figures = []
    for row in range(len(clips.scenes)):
        pixels = clips.pixels[row].float() / 255
        matte, shadow = pixels[_MATTE : _MATTE + 1], pixels[_SHADOW : _SHADOW + 1]
        colour = pixels[6:9]
        actor = ForegroundFrames(color=colour[None], alpha=matte[None], shadow=shadow[None])
        layers = LayerFrames(
            composite=pixels[COMPOSITE][None], background=pixels[BACKGROUND][None],
            foregrounds=(actor,),
        )  # fmt: skip
        figures.append(
            {
                **matte_figures(actor.alpha),
                **_shadow_figures(layers, actor),
                "warped_error_comp": warped_error(pixels[COMPOSITE], pixels[COMPOSITE]),
                "warped_error_matte": warped_error(matte, pixels[COMPOSITE]),
            }
        )
    return _means(figures)


def measure_variety(
    pipeline: LayeredPipeline, material: Material, shots: Sequence[Shot], seed: int
) -> Figures:
    """How far seeds are apart, and clips from those the model was trained on."""
    spreads = []
    for wish in [shot.wish for shot in shots[:_PROMPTS]]:
        clips = shoot(pipeline, [wish] * _SEEDS, "variety", seed=seed + 1000)
        spreads.append(spread([clip.comp for clip in clips]))
    trained, fresh = _composites(material.trained), _composites(material.seen)
    return {
        "between_seeds": _mean(spreads),
        "to_training": float(nearest([shot.comp for shot in shots], trained).mean()),
        "to_training_least": float(nearest([shot.comp for shot in shots], trained).min()),
        "real_to_training": float(nearest(fresh, trained).mean()),
        "real_to_training_least": float(nearest(fresh, trained).min()),
    }


def measure_round_trip(pipeline: LayeredPipeline, clips: ClipSet) -> Figures:
    """Errors of real mattes that went through the autoencoder and came back."""
    mattes = clips.pixels[:16, _MATTE].float() / 255
    return matte_errors(round_trip_mattes(pipeline, mattes), mattes)


def motion_ratios(generated: Mapping[str, float], real: Mapping[str, float]) -> Figures:
    """Warping errors of generated clips over those of real ones."""
    return {
        f"{what}_ratio": generated[f"warped_error_{what}"] / real[f"warped_error_{what}"]
        for what in ("comp", "matte")
    }


def save_sheet(shots: Sequence[Shot], path: Path) -> None:
    """One captioned row per shot: what an artist gets, and what it is made of."""
    most = max(len(shot.layers.foregrounds) for shot in shots)
    columns = ["comp of layers", "full video", "last frame", "bg"]
    for number in range(1, most + 1):
        columns += [f"{part} {number:02d}" for part in ("fg", "matte", "shadow")]
    rows = [_row(shot, most) for shot in shots]
    save_captioned(rows, [shot.wish.prompt for shot in shots], columns, path)


def save_report(out: Path, figures: Mapping[str, object], groups: Mapping[str, Figures]) -> str:
    """Write `report.json` and `table.md` into `out`; returns the table."""
    text = table(groups)
    (out / "report.json").write_text(json.dumps({**figures, **groups}, indent=2) + "\n")
    (out / "table.md").write_text(text + "\n")
    return text


def _row(shot: Shot, most: int) -> Tensor:
    middle = shot.comp.shape[1] // 2
    pictures = [
        shot.comp[:, middle],
        shot.layers.composite[0, :, middle],
        shot.layers.composite[0, :, -1],
        shot.layers.background[0, :, middle],
    ]
    for actor in shot.layers.foregrounds:
        pictures += foreground_tiles(actor, 0, middle)
    pictures += [torch.zeros_like(pictures[0])] * (3 * (most - len(shot.layers.foregrounds)))
    return torch.stack(pictures)


def _shadow_figures(layers: LayerFrames, actor: ForegroundFrames) -> Figures:
    return {
        "shadow_correlation": shadow_correlation(layers, actor),
        "shadow_under_actor": shadow_reach(actor),
    }


def _composites(clips: ClipSet) -> list[Tensor]:
    return [row[COMPOSITE].float() / 255 for row in clips.pixels]


def _means(rows: Sequence[Mapping[str, float]]) -> Figures:
    return {name: _mean([row[name] for row in rows]) for name in rows[0]}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
