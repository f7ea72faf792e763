"""How often classifiers see the right subject, place and time, each in its own layer only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from layert2v_engine.evaluation.classifiers import ClassifierSet
from layert2v_engine.evaluation.samples import Sample
from layert2v_engine.stream_codec import ForegroundFrames

_GRAY = 0.5
_MIDDLE = 1 / 12  # of the width: half of what subjects on a side are from the middle


def classification_accuracy(
    samples: Sequence[Sample], classifiers: ClassifierSet
) -> dict[str, float]:
    """Return the accuracy in 0..1 by kind: in the full video, by silhouette, in each layer alone.

    What a prompt does not name is not counted; a kind that no prompt names is left out.
    """
    rows = [(sample, k) for sample in samples for k in range(len(sample.foregrounds))]
    alone = [sample for sample in samples if len(sample.case.subjects) == 1]
    views: dict[str, tuple[str, list[tuple[int, Tensor]]]] = {
        "subject": ("subject", [(s.case.label("subject"), s.layers.composite) for s in alone]),
        "subject_of_fg": (
            "subject",
            [(s.case.label("subject", k), composite_on_gray(s.foregrounds[k])) for s, k in rows],
        ),
        "subject_by_silhouette": (
            "silhouette",
            [(s.case.label("silhouette", k), s.foregrounds[k].alpha) for s, k in rows],
        ),
        "heading": (
            "heading",
            [(s.case.label("heading", k), composite_on_gray(s.foregrounds[k])) for s, k in rows],
        ),
    }
    for kind in ("place", "time"):
        views[kind] = (kind, [(s.case.label(kind), s.layers.composite) for s in samples])
        views[f"{kind}_of_bg"] = (
            kind,
            [(s.case.label(kind), s.layers.background) for s in samples],
        )
    metrics = {}
    for name, (kind, cases) in views.items():
        named = [(label, pictures) for label, pictures in cases if label >= 0]
        if named:
            label = torch.tensor([label for label, _ in named])
            predicted = classifiers.classify(kind, torch.cat([pictures for _, pictures in named]))
            metrics[name] = float((predicted == label).float().mean())
    return metrics


def spot_accuracy(cases: Sequence[tuple[Sequence[str], Sequence[Tensor]]]) -> dict[str, float]:
    """Return how often subjects stand where they should, in 0..1; nothing where nothing is said.

    cases: the spots of the subjects of a clip, and their mattes [1, 1, T, H, W]. A subject is in
    the middle up to an eighth of the width from it.
    """
    right = [
        _is_at(spot, matte)
        for spots, mattes in cases
        for spot, matte in zip(spots, mattes, strict=False)
    ]
    return {"spot": sum(right) / len(right)} if right else {}


def _is_at(spot: str, matte: Tensor) -> bool:
    columns = matte.sum((0, 1, 2, 3))
    places = (torch.arange(len(columns)) + 0.5) / len(columns) - 0.5
    offset = float((columns * places).sum() / columns.sum().clamp_min(1e-6))
    is_there = {"left": offset < -_MIDDLE, "middle": abs(offset) < _MIDDLE}
    return is_there.get(spot, offset > _MIDDLE)


def layer_leakage(samples: Sequence[Sample], classifiers: ClassifierSet) -> dict[str, float]:
    """Return the shares in 0..1 of layers that show what belongs to another layer."""
    backgrounds = torch.cat([sample.layers.background for sample in samples])
    foregrounds = torch.cat(
        [composite_on_gray(foreground) for sample in samples for foreground in sample.foregrounds]
    )
    return {
        "figure_in_bg": float(classifiers.classify("figure", backgrounds).float().mean()),
        "scenery_in_fg": float(classifiers.classify("scenery", foregrounds).float().mean()),
    }


def composite_on_gray(foreground: ForegroundFrames) -> Tensor:
    """Return a foreground alone [1, 3, T, H, W] over mid-gray."""
    return foreground.color * foreground.alpha + _GRAY * (1 - foreground.alpha)
