"""What the judges say of generated clips: the right thing, in the right layer, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from layert2v_engine.evaluation.classifiers import Judges
from layert2v_engine.evaluation.samples import Shot
from layert2v_engine.stream_codec import ForegroundFrames

_GREY = 0.5


def accuracy(shots: Sequence[Shot], judges: Judges) -> dict[str, float]:
    """Shares in 0..1 judged right: in the full video, by silhouette, and in each layer alone.

    What a prompt is silent about is not judged; a kind that no prompt names is left out.
    """
    rows = [(shot, k) for shot in shots for k in range(len(shot.actors))]
    alone = [shot for shot in shots if len(shot.wish.subjects) == 1]
    views: dict[str, tuple[str, list[tuple[int, Tensor]]]] = {
        "subject": ("subject", [(s.wish.truth("subject"), s.layers.composite) for s in alone]),
        "subject_of_fg": (
            "subject",
            [(s.wish.truth("subject", k), over_grey(s.actors[k])) for s, k in rows],
        ),
        "subject_by_silhouette": (
            "silhouette",
            [(s.wish.truth("silhouette", k), s.actors[k].alpha) for s, k in rows],
        ),
    }
    for kind in ("place", "time"):
        views[kind] = (kind, [(s.wish.truth(kind), s.layers.composite) for s in shots])
        views[f"{kind}_of_bg"] = (kind, [(s.wish.truth(kind), s.layers.background) for s in shots])
    figures = {}
    for name, (kind, cases) in views.items():
        told = [(truth, pictures) for truth, pictures in cases if truth >= 0]
        if told:
            truth = torch.tensor([truth for truth, _ in told])
            seen = judges.name(kind, torch.cat([pictures for _, pictures in told]))
            figures[name] = float((seen == truth).float().mean())
    return figures


def impurity(shots: Sequence[Shot], judges: Judges) -> dict[str, float]:
    """Shares in 0..1 of layers in which a judge sees what belongs to another one."""
    grounds = torch.cat([shot.layers.background for shot in shots])
    actors = torch.cat([over_grey(actor) for shot in shots for actor in shot.actors])
    return {
        "figure_in_bg": float(judges.name("figure", grounds).float().mean()),
        "scenery_in_fg": float(judges.name("scenery", actors).float().mean()),
    }


def over_grey(actor: ForegroundFrames) -> Tensor:
    """A foreground alone [1, 3, T, H, W] over mid-grey."""
    return actor.color * actor.alpha + _GREY * (1 - actor.alpha)
