"""What a model can do, measured: prompts drawn from the world, generated, judged, laid out.

Half of the figures need no judge: how well the layers add up to the model's own full video, how
much a matte covers, whether a shadow lies under its caster. The others are what small classifiers
see.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import torch
from scipy.ndimage import label as connected
from torch import Tensor

from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.evaluation.judges import Judges
from layert2v_engine.evaluation.sheets import checkerboard, save_captioned
from layert2v_engine.layers import ForegroundFrames, LayerFrames
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.world.captions import canonical
from layert2v_engine.world.light import decode_srgb, encode_srgb
from layert2v_engine.world.vocabulary import Label, is_held_out, labels

logger = logging.getLogger(__name__)

COLUMNS = ("comp of layers", "full video", "last frame", "bg", "fg", "matte", "shadow")


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """One generated clip, all frames, display-referred; what it was asked to show."""

    label: Label
    caption: str
    held_out: bool
    layers: LayerFrames
    comp: Tensor  # [3, T, H, W] the linear over of the layers, display-encoded

    @property
    def actor(self) -> ForegroundFrames:
        return self.layers.foregrounds[0]


def draw_labels(count: int, seed: int, *, held_out: bool) -> list[Label]:
    """`count` labels, every subject equally often, seen in training or held out of it."""
    rng = Random(seed)  # noqa: S311 - prompts, not secrets
    pool = [y for y in labels() if is_held_out(y.subject, y.place, y.time) == held_out]
    subjects = sorted({y.subject for y in pool})
    drawn = []
    for k in range(count):
        subject = subjects[k % len(subjects)]
        drawn.append(rng.choice([y for y in pool if y.subject == subject]))
    return drawn


def generate_shot(pipeline: LayeredPipeline, label: Label, seed: int) -> Shot:
    """One clip of a label at the model's defaults, through the prompt planner like any request."""
    caption = canonical(label)[0]
    spec = resolve(GenerateSpec(prompt=caption, model=pipeline.info.name), pipeline.info, seed)
    plan = pipeline.plan(spec)
    latents = pipeline.sample(spec, plan, lambda step: None)
    groups = [group.cpu() for group in pipeline.decode(latents, len(plan.foregrounds))]
    layers = _joined(groups)
    return Shot(
        label=label,
        caption=caption,
        held_out=is_held_out(label.subject, label.place, label.time),
        layers=layers,
        comp=recompose(layers),
    )


def recompose(layers: LayerFrames) -> Tensor:
    """The linear over of the layers of the first clip, display-encoded [3, T, H, W]."""
    comp = decode_srgb(layers.background[0])
    for actor in layers.foregrounds:
        if actor.shadow is not None:
            comp = comp * (1 - actor.shadow[0])
        comp = decode_srgb(actor.colour[0]) * actor.alpha[0] + comp * (1 - actor.alpha[0])
    return encode_srgb(comp)


def measure(shots: Sequence[Shot], judges: Judges) -> dict[str, float]:
    """All figures over the shots; accuracies and shares are in 0..1, PSNR in dB."""
    return {
        "shots": float(len(shots)),
        **_accuracy(shots, judges),
        "recomposition_psnr_db": float(
            np.mean([_psnr(s.comp, s.layers.composite[0]) for s in shots])
        ),
        "recomposition_psnr_worst_db": min(_psnr(s.comp, s.layers.composite[0]) for s in shots),
        "coverage_mean": float(np.mean([float(s.actor.alpha.mean()) for s in shots])),
        "matte_single_component_share": float(
            np.mean([_one_component(s.actor.alpha) for s in shots])
        ),
        "matte_soft_pixel_share": float(np.mean([_soft(s.actor.alpha) for s in shots])),
        "shadow_correlation": float(np.mean([_shadow_correlation(s) for s in shots])),
    }


def report(
    pipeline: LayeredPipeline,
    judges: Judges,
    judge_figures: dict[str, dict[str, float]],
    out: Path,
    *,
    count: int,
    seed: int,
) -> dict[str, object]:
    """Generate, measure, and write `report.json` and `contact.png` into `out`."""
    out.mkdir(parents=True, exist_ok=True)
    groups = {}
    for name, held_out, size in (("seen", False, count), ("held_out", True, max(count // 3, 1))):
        shots = []
        for k, label in enumerate(draw_labels(size, seed, held_out=held_out)):
            shots.append(generate_shot(pipeline, label, seed + k))
            logger.info("evaluate=%s done=%d/%d %s", name, k + 1, size, shots[-1].caption)
        groups[name] = shots
    figures: dict[str, object] = {
        "model": pipeline.info.name,
        "digest": pipeline.info.digest,
        "judges": judge_figures,
        **{name: measure(shots, judges) for name, shots in groups.items()},
    }
    (out / "report.json").write_text(json.dumps(figures, indent=2) + "\n")
    for name, shots in groups.items():
        save_sheet(shots[:24], out / f"contact_{name}.png")
    return figures


def save_sheet(shots: Sequence[Shot], path: Path) -> None:
    """One captioned row per shot: what an artist gets, and what it is made of."""
    save_captioned([_row(s) for s in shots], [s.caption for s in shots], COLUMNS, path)


def _row(shot: Shot) -> Tensor:
    middle = shot.comp.shape[1] // 2
    actor, checker = shot.actor, checkerboard(*shot.comp.shape[-2:])
    alpha = actor.alpha[0, :, middle]
    shadow = torch.zeros_like(alpha) if actor.shadow is None else actor.shadow[0, :, middle]
    return torch.stack(
        [
            shot.comp[:, middle],
            shot.layers.composite[0, :, middle],
            shot.layers.composite[0, :, -1],
            shot.layers.background[0, :, middle],
            actor.colour[0, :, middle] * alpha + checker * (1 - alpha),
            alpha.expand(3, -1, -1),
            shadow.expand(3, -1, -1),
        ]
    )


def _joined(groups: Sequence[LayerFrames]) -> LayerFrames:
    def actor(number: int) -> ForegroundFrames:
        parts = [group.foregrounds[number] for group in groups]
        shadows = [part.shadow for part in parts if part.shadow is not None]
        return ForegroundFrames(
            colour=torch.cat([part.colour for part in parts], 2),
            alpha=torch.cat([part.alpha for part in parts], 2),
            shadow=torch.cat(shadows, 2) if shadows else None,
        )

    return LayerFrames(
        composite=torch.cat([group.composite for group in groups], 2),
        background=torch.cat([group.background for group in groups], 2),
        foregrounds=tuple(actor(k) for k in range(len(groups[0].foregrounds))),
    )


def _accuracy(shots: Sequence[Shot], judges: Judges) -> dict[str, float]:
    """Shares judged right: on the full video, on the silhouette, and on the layers apart."""
    composite = torch.cat([s.layers.composite for s in shots])
    background = torch.cat([s.layers.background for s in shots])
    actor = torch.cat([s.actor.colour * s.actor.alpha + 0.5 * (1 - s.actor.alpha) for s in shots])
    alpha = torch.cat([s.actor.alpha for s in shots])
    views = {
        "subject": ("subject", composite),
        "subject_of_fg": ("subject", actor),
        "subject_by_silhouette": ("silhouette", alpha),
        "place": ("place", composite),
        "place_of_bg": ("place", background),
        "time": ("time", composite),
        "time_of_bg": ("time", background),
    }
    figures = {}
    for name, (kind, pictures) in views.items():
        field = "subject" if kind == "silhouette" else kind
        truth = torch.tensor([getattr(s.label, field) for s in shots])
        figures[name] = float((judges.name(kind, pictures) == truth).float().mean())
    return figures


def _psnr(a: Tensor, b: Tensor) -> float:
    return float(-10 * torch.log10((a - b).square().mean().clamp_min(1e-10)))


def _one_component(alpha: Tensor) -> float:
    """Share of frames whose matte is one body (islands under 0.5 % of the frame do not count)."""
    single = []
    for plane in alpha[0, 0].numpy():
        components, count = connected(plane > 0.5)
        sizes = np.bincount(components.ravel())[1:] if count else np.zeros(0)
        single.append((sizes > 0.005 * plane.size).sum() == 1)
    return float(np.mean(single))


def _soft(alpha: Tensor) -> float:
    return float(((alpha > 0.05) & (alpha < 0.95)).float().mean())


def _shadow_correlation(shot: Shot) -> float:
    """Correlation of shadow opacity with the darkening of the full video against bg, outside fg."""
    if shot.actor.shadow is None:
        return 0.0
    full, plate = (
        decode_srgb(x[0]).mean(0) for x in (shot.layers.composite, shot.layers.background)
    )
    darkening = (1 - full / plate.clamp_min(0.02)).clamp(-1, 1)
    outside = shot.actor.alpha[0, 0] < 0.05
    pair = torch.stack([darkening[outside], shot.actor.shadow[0, 0][outside]])
    correlation = torch.corrcoef(pair)[0, 1]
    return 0.0 if correlation.isnan() else float(correlation)
