"""The report on a model: clips generated, measured and laid out."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from layert2v_engine.evaluation.benchmark import (
    benchmark_request,
    checkpoint_size,
    clip_megapixels,
    measure_generation,
)
from layert2v_engine.evaluation.classification import (
    classification_accuracy,
    composite_on_gray,
    layer_leakage,
    spot_accuracy,
)
from layert2v_engine.evaluation.classifiers import COMPOSITE
from layert2v_engine.evaluation.matte_round_trip import round_trip_mattes
from layert2v_engine.evaluation.reference_data import ReferenceData
from layert2v_engine.evaluation.samples import PromptCase, Sample, draw_prompt_cases, generate
from layert2v_engine.evaluation.summary import markdown_table
from layert2v_engine.metrics.contact_sheet import foreground_tiles, save_captioned
from layert2v_engine.metrics.diversity import mean_pairwise_distance, nearest_distances
from layert2v_engine.metrics.flow import warping_error
from layert2v_engine.metrics.layers import (
    matte_overlap,
    matte_statistics,
    psnr,
    shadow_correlation,
    shadow_reach,
)
from layert2v_engine.metrics.matting import matte_errors
from layert2v_engine.metrics.sharpness import flicker, gradient_energy, high_pass_energy
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.stream_codec import ForegroundFrames, LayerFrames
from layert2v_engine.world.dataset import MATTE_CHANNEL, ClipSet, stream_channels

logger = logging.getLogger(__name__)

Metrics = dict[str, float]
SHEET_ROWS = 24
MAX_OVERLAP = 0.5  # of the smaller of two mattes; above it they are one subject
_SEEDS, _PROMPTS = 4, 6  # of the measure of diversity
# What real clips reach is the best there is, and not 1.
_COMPARED = ("gradient_", "detail_", "flicker_", "warped_error_", "shadow_correlation")


def report(
    pipeline: LayeredPipeline,
    reference: ReferenceData,
    out: Path,
    *,
    model: Path,
    cases: Sequence[PromptCase] | None,
    count: int,
    seed: int,
) -> str:
    """Generate and measure; return the table.

    ``report.json``, ``table.md`` and contact sheets are written into ``out``. ``model`` is the
    folder of the pipeline's checkpoint. ``cases`` are measured instead of ``count`` sampled from
    the world; then diversity and cost are left out.
    """
    if cases is None:
        samples = generate_groups(pipeline, reference, count, seed)
    else:
        samples = {"seen": generate_samples(pipeline, cases, "prompts", seed=seed)}
    for name, group in samples.items():
        for number, start in enumerate(range(0, len(group), SHEET_ROWS), 1):
            save_sheet(group[start : start + SHEET_ROWS], out / f"contact_{name}_{number}.png")
    groups = dict[str, Metrics]()
    for name, group in samples.items():
        logger.info("evaluate=measure group=%s clips=%d", name, len(group))
        groups[name] = measure(group, reference)
    logger.info("evaluate=measure group=real")
    groups["real"] = {
        **measure_reference(reference.seen),
        "heading": reference.classifier_accuracies["seen"]["heading"],
    }
    groups["against_real"] = ratios(groups["seen"], groups["real"])
    if "two" in groups and reference.two is not None:
        groups["real_two"] = {
            **measure_reference(reference.two),
            "subject_of_fg": reference.classifier_accuracies["two"]["subject"],
        }
        groups["two_against_real"] = ratios(groups["two"], groups["real_two"])
    groups["round_trip"] = measure_round_trip(pipeline, reference.seen)
    groups["size"] = {**checkpoint_size(model), "megapixels": clip_megapixels(pipeline.info)}
    if cases is None:
        groups["variety"] = measure_diversity(pipeline, reference, samples["seen"], seed)
        request = benchmark_request(pipeline.info, samples["seen"][0].case.prompt)
        groups["cost"] = measure_generation(model.parent, request)
    head: dict[str, object] = {
        "model": pipeline.info.name,
        "digest": pipeline.info.digest,
        "judges": reference.classifier_accuracies,
    }
    return save_report(out, head, groups)


def generate_samples(
    pipeline: LayeredPipeline, cases: Sequence[PromptCase], name: str, *, seed: int = 0
) -> list[Sample]:
    """Generate one clip for each case, on consecutive seeds."""
    samples = []
    for k, case in enumerate(cases):
        samples.append(generate(pipeline, case, seed + k))
        logger.info("evaluate=%s done=%d/%d %s", name, k + 1, len(cases), case.prompt)
    return samples


def generate_groups(
    pipeline: LayeredPipeline, reference: ReferenceData, count: int, seed: int
) -> dict[str, list[Sample]]:
    """Generate samples of prompts from the world by group.

    Groups are of scenes trained on, of those held out of training, and of scenes with two
    foregrounds where the model knows them, two different ones or ``equal`` ones.
    """
    third = max(count // 3, 1)
    cases = {
        "seen": draw_prompt_cases(reference.selection, count, seed, held_out=False),
        "held_out": draw_prompt_cases(reference.selection, third, seed, held_out=True),
    }
    if pipeline.info.max_foregrounds > 1:
        cases["two"] = draw_prompt_cases(
            reference.selection, third, seed, held_out=False, foregrounds=2
        )
        cases["equal"] = draw_prompt_cases(
            reference.selection, third, seed, held_out=False, repeated=True
        )
    return {
        name: generate_samples(pipeline, wanted, name, seed=seed) for name, wanted in cases.items()
    }


def measure(samples: Sequence[Sample], reference: ReferenceData) -> Metrics:
    """Return all metrics over the samples; accuracies and shares are in 0..1, PSNR in dB."""
    foregrounds = [(sample, foreground) for sample in samples for foreground in sample.foregrounds]
    psnrs = [psnr(sample.comp, sample.layers.composite[0]) for sample in samples]
    videos, motions = list[Metrics](), list[Metrics]()
    for sample in samples:  # one after the other, as optical flow is kept for one clip
        videos.append(_video_metrics(sample.comp, sample.layers))
        motions += [_matte_motion(each.alpha[0], sample.comp) for each in sample.foregrounds]
    return {
        "shots": float(len(samples)),
        "recomposition_psnr_db": float(np.mean(psnrs)),
        "recomposition_psnr_worst_db": min(psnrs),
        **classification_accuracy(samples, reference.classifiers),
        **spot_accuracy([(s.case.spots, [f.alpha for f in s.foregrounds]) for s in samples]),
        **layer_leakage(samples, reference.classifiers),
        **_means([matte_statistics(foreground.alpha) for _, foreground in foregrounds]),
        **_means(
            [_shadow_metrics(sample.layers, foreground) for sample, foreground in foregrounds]
        ),
        **_separation(samples),
        **_means(videos),
        **_means(motions),
    }


def measure_reference(clips: ClipSet) -> Metrics:
    """Return the same of clips of the world: the best that can be."""
    metrics, placed = [], []
    for row, scene in enumerate(clips.scenes):
        layers = layers_of_clip(clips, row)
        placed.append(([a.spot for a in scene.actors], [f.alpha for f in layers.foregrounds]))
        comp = layers.composite[0]
        video = _video_metrics(comp, layers)
        metrics += [
            {
                **matte_statistics(foreground.alpha),
                **_shadow_metrics(layers, foreground),
                **video,
                **_matte_motion(foreground.alpha[0], comp),
            }
            for foreground in layers.foregrounds
        ]
    return {**_means(metrics), **spot_accuracy(placed)}


def layers_of_clip(clips: ClipSet, row: int) -> LayerFrames:
    """Return one clip of the world as the layers that a model would generate."""
    pixels = clips.pixels[row][None].float() / 255
    first, *others = stream_channels(clips.foregrounds)
    parts = [pixels[:, part] for part in others]
    foregrounds = [
        ForegroundFrames(color=color, alpha=matte, shadow=shadow)
        for color, matte, shadow in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    ]
    return LayerFrames(
        composite=pixels[:, first], background=parts[0], foregrounds=tuple(foregrounds)
    )


def measure_diversity(
    pipeline: LayeredPipeline, reference: ReferenceData, samples: Sequence[Sample], seed: int
) -> Metrics:
    """Return how far seeds are apart, and clips from those the model was trained on."""
    distances = []
    for case in [sample.case for sample in samples[:_PROMPTS]]:
        clips = generate_samples(pipeline, [case] * _SEEDS, "variety", seed=seed + 1000)
        distances.append(mean_pairwise_distance([clip.comp for clip in clips]))
    metrics = {"between_seeds": _mean(distances)}
    trained = reference.trained_composites(pipeline)
    if not trained:
        return metrics
    fresh = [row[COMPOSITE].float() / 255 for row in reference.seen.pixels]
    generated = nearest_distances([sample.comp for sample in samples], trained)
    real = nearest_distances(fresh, trained)
    return metrics | {
        "to_training": float(generated.mean()),
        "to_training_least": float(generated.min()),
        "real_to_training": float(real.mean()),
        "real_to_training_least": float(real.min()),
    }


def measure_round_trip(pipeline: LayeredPipeline, clips: ClipSet) -> Metrics:
    """Return the errors of mattes of the world after a round trip through the autoencoder."""
    mattes = clips.pixels[:16, MATTE_CHANNEL].float() / 255
    return matte_errors(round_trip_mattes(pipeline, mattes), mattes)


def ratios(generated: Mapping[str, float], real: Mapping[str, float]) -> Metrics:
    """Return motion and sharpness of generated clips over those of real ones."""
    names = [name for name in real if name.startswith(_COMPARED)]
    return {f"{name}_ratio": generated[name] / real[name] for name in names if real[name]}


def save_sheet(samples: Sequence[Sample], path: Path) -> None:
    """Write one captioned row per sample: what an artist gets, and its layers."""
    most = max(len(sample.layers.foregrounds) for sample in samples)
    columns = ["comp of layers", "full video", "last frame", "bg"]
    for number in range(1, most + 1):
        columns += [f"{part} {number:02d}" for part in ("fg", "matte", "shadow")]
    rows = [_sample_tiles(sample, most) for sample in samples]
    save_captioned(rows, [sample.case.prompt for sample in samples], columns, path)


def save_report(out: Path, metrics: Mapping[str, object], groups: Mapping[str, Metrics]) -> str:
    """Write ``report.json`` and ``table.md`` into ``out``; return the table."""
    text = markdown_table(groups)
    (out / "report.json").write_text(json.dumps({**metrics, **groups}, indent=2) + "\n")
    (out / "table.md").write_text(text + "\n")
    return text


def _sample_tiles(sample: Sample, most: int) -> Tensor:
    """Return the pictures [4 + 3 K, 3, H, W] of a row for K = ``most`` foregrounds."""
    middle = sample.comp.shape[1] // 2
    pictures = [
        sample.comp[:, middle],
        sample.layers.composite[0, :, middle],
        sample.layers.composite[0, :, -1],
        sample.layers.background[0, :, middle],
    ]
    for foreground in sample.layers.foregrounds:
        pictures += foreground_tiles(foreground, 0, middle)
    pictures += [torch.zeros_like(pictures[0])] * (3 * (most - len(sample.layers.foregrounds)))
    return torch.stack(pictures)


def _separation(samples: Sequence[Sample]) -> Metrics:
    """Return how often the first two foregrounds are two and not one drawn twice, in 0..1."""
    pairs = [sample.foregrounds[:2] for sample in samples if len(sample.foregrounds) > 1]
    overlaps = [matte_overlap(one.alpha, other.alpha) for one, other in pairs]
    return {"apart": _mean([overlap < MAX_OVERLAP for overlap in overlaps])} if overlaps else {}


def _shadow_metrics(layers: LayerFrames, foreground: ForegroundFrames) -> Metrics:
    return {
        "shadow_correlation": shadow_correlation(layers, foreground),
        "shadow_under_actor": shadow_reach(foreground),
    }


def _video_metrics(comp: Tensor, layers: LayerFrames) -> Metrics:
    """Return flicker of the comp [3, T, H, W], and fine detail by layer."""
    pictures = {"comp": comp, "bg": layers.background[0]}
    if layers.foregrounds:
        pictures["fg"] = composite_on_gray(layers.foregrounds[0])[0]  # what shows of its color
    metrics = {
        "warped_error_comp": warping_error(comp, comp),
        "flicker_comp": flicker(comp, comp),
    }
    for name, picture in pictures.items():
        metrics[f"gradient_{name}"] = gradient_energy(picture)
        metrics[f"detail_{name}"] = high_pass_energy(picture)
    return metrics


def _matte_motion(matte: Tensor, comp: Tensor) -> Metrics:
    return {
        "warped_error_matte": warping_error(matte, comp),
        "flicker_matte": flicker(matte, comp),
    }


def _means(rows: Sequence[Mapping[str, float]]) -> Metrics:
    return {name: _mean([row[name] for row in rows]) for name in rows[0]}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
