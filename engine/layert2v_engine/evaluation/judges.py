"""Small classifiers trained on clips of the world, which say what a generated picture shows.

Three judges: one sees colour pictures and names place and time, one sees colour and names the
subject, one sees silhouettes alone and names the subject, since colour by itself fools a judge.
They are trained here, on seeds the generator never saw, and report their own accuracy, also on
scenes that were held out of its training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from layert2v_engine.training.data import JUDGE_SEED, MATTE_CHANNEL, ClipSet, Renderer
from layert2v_engine.world.clips import Label
from layert2v_engine.world.vocabulary import PLACES, SUBJECTS, TIMES

KINDS = ("subject", "silhouette", "place", "time")
COMPOSITE, BACKGROUND, FOREGROUND = slice(0, 3), slice(3, 6), slice(6, 9)


class Judge(nn.Module):
    """A plain convolutional classifier of pictures [B, C, H, W] in 0..1."""

    def __init__(self, channels: int, classes: int, width: int = 32) -> None:
        super().__init__()
        widths = (channels, width, 2 * width, 3 * width, 4 * width)
        steps: list[nn.Module] = []
        for a, b in pairwise(widths):
            steps += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(8, b), nn.SiLU()]
        # A grid of cells, not one average: a silhouette is told by where its parts are.
        self.features = nn.Sequential(*steps, nn.AdaptiveAvgPool2d((3, 4)), nn.Flatten())
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(12 * widths[-1], classes))

    def forward(self, pictures: Tensor) -> Tensor:  # -> [B, classes]
        logits: Tensor = self.head(self.features(pictures))
        return logits


@dataclass(frozen=True, kw_only=True, slots=True)
class Judges:
    """The panel, by what each one names."""

    members: dict[str, Judge]

    @torch.no_grad()
    def name(self, kind: str, pictures: Tensor) -> Tensor:
        """Class indices [B] for clips [B, C, T, H, W]: the mean vote over frames."""
        frames = pictures.transpose(1, 2).flatten(0, 1)
        votes = self.members[kind](frames).softmax(-1)
        return votes.unflatten(0, (len(pictures), -1)).mean(1).argmax(-1)

    def save(self, path: Path) -> None:
        """All members in one safetensors file."""
        tensors = {
            f"{kind}.{n}": v
            for kind, judge in self.members.items()
            for n, v in judge.state_dict().items()
        }
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path) -> Judges:
        """Read what `save` wrote."""
        tensors = load_file(path)
        panel = _new_panel()
        for kind, judge in panel.items():
            prefix = f"{kind}."
            judge.load_state_dict(
                {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            )
            judge.eval()
        return cls(members=panel)


def train_judges(
    clips: ClipSet, *, seconds: float, seed: int, report: Callable[[str], None]
) -> Judges:
    """Train the panel on pixels for `seconds` of wall time, divided evenly."""
    torch.manual_seed(seed)
    panel = _new_panel()
    for kind, judge in panel.items():
        accuracy = _train(judge, kind, clips, seconds / len(panel), seed)
        report(f"judge={kind} training_accuracy={accuracy:.3f}")
        judge.eval()
    return Judges(members=panel)


def truth(kind: str, labels: Sequence[Label]) -> Tensor:
    """The right answers [N] of a judge."""
    field = "subject" if kind == "silhouette" else kind
    return torch.tensor([getattr(label, field) for label in labels])


def judge_clips(world: Path, *, train: int, test: int, frames: int) -> dict[str, ClipSet]:
    """Fresh clips for judges: `train`, of all scenes, and two tests, `seen` and `held_out` as the
    generator's training has it.
    """
    with Renderer(world, processes=1) as renderer:

        def draw(first: int, count: int, held_out: bool) -> ClipSet:
            seed = JUDGE_SEED + first
            return renderer.clips(
                count, first_seed=seed, frames=frames, report=lambda *_: None, held_out=held_out
            )

        usual, rare = draw(0, train - train // 4, False), draw(train, train // 4, True)
        return {
            "train": ClipSet(
                pixels=torch.cat([usual.pixels, rare.pixels]), scenes=usual.scenes + rare.scenes
            ),
            "seen": draw(2 * train, test, False),
            "held_out": draw(3 * train, test, True),
        }


def judge_accuracy(judges: Judges, clips: ClipSet) -> dict[str, float]:
    """Each judge's own accuracy on real clips."""
    pixels = clips.pixels.float() / 255
    views = {
        "subject": pixels[:, COMPOSITE],
        "silhouette": pixels[:, MATTE_CHANNEL : MATTE_CHANNEL + 1],
        "place": pixels[:, COMPOSITE],
        "time": pixels[:, COMPOSITE],
    }
    return {
        k: float((judges.name(k, v) == truth(k, clips.labels)).float().mean())
        for k, v in views.items()
    }


def _new_panel() -> dict[str, Judge]:
    classes = {
        "subject": len(SUBJECTS),
        "silhouette": len(SUBJECTS),
        "place": len(PLACES),
        "time": len(TIMES),
    }
    return {kind: Judge(1 if kind == "silhouette" else 3, classes[kind]) for kind in KINDS}


def _train(judge: Judge, kind: str, clips: ClipSet, seconds: float, seed: int) -> float:
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(judge.parameters(), 1e-3, weight_decay=0.02)
    answers = truth(kind, clips.labels)
    began, right, seen = time.monotonic(), 0.0, 0.0
    while time.monotonic() - began < seconds:
        rows = torch.randint(len(answers), (32,), generator=rng)
        frame = int(torch.randint(clips.pixels.shape[2], (), generator=rng))
        pictures = _view(kind, clips.pixels[rows][:, :, frame].float() / 255, rng)
        logits = judge(_roughen(pictures, rng))
        loss = nn.functional.cross_entropy(logits, answers[rows], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right = 0.98 * right + float((logits.argmax(-1) == answers[rows]).float().sum())
        seen = 0.98 * seen + len(rows)
    return right / max(seen, 1)


def _view(kind: str, pixels: Tensor, rng: torch.Generator) -> Tensor:
    """What a judge looks at: scenes with or without their subject, subjects with or without their
    scene.
    """
    if kind == "silhouette":
        return pixels[:, MATTE_CHANNEL : MATTE_CHANNEL + 1]
    alone = BACKGROUND if kind in ("place", "time") else FOREGROUND
    return pixels[:, COMPOSITE if torch.rand((), generator=rng) < 0.5 else alone]


def _roughen(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Blur and noise like a decoder's, so a judge does not hang on the last bit of sharpness."""
    if torch.rand((), generator=rng) < 0.5:
        pictures = nn.functional.avg_pool2d(
            pictures, 3, stride=1, padding=1, count_include_pad=False
        )
    shift = torch.randint(-4, 5, (2,), generator=rng).tolist()
    pictures = torch.roll(pictures, shift, dims=(-2, -1))
    return pictures + 0.04 * torch.randn(pictures.shape, generator=rng)
