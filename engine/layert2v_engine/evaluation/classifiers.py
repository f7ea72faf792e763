"""Small classifiers trained on clips of the world, which say what a generated picture shows.

Four name the subject, the subject by its silhouette alone (colour by itself fools a judge), the
place and the time. Two only say whether there is anything of a kind in a layer where it does not
belong: a figure in the background, scenery in a foreground. They are trained here, on seeds the
generator never saw, and report their own accuracy, also on scenes held out of its training.
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

from layert2v_engine.world.clips import Label
from layert2v_engine.world.dataset import CLASSIFIER_SEED, MATTE_CHANNEL, ClipSet, Renderer
from layert2v_engine.world.text.vocabulary import PLACES, SUBJECTS, TIMES

NAMING = ("subject", "silhouette", "place", "time")
PRESENCE = ("figure", "scenery")  # class 1: there is one
SEEN = 112  # pixels of width, about, that are enough to name what is there
KINDS = (*NAMING, *PRESENCE)
COMPOSITE, BACKGROUND, FOREGROUND = slice(0, 3), slice(3, 6), slice(6, 9)
# What shows a thing, and what does not: the full video against the background, and against a figure
# alone over grey.
_LESSONS = {"figure": (COMPOSITE, BACKGROUND), "scenery": (COMPOSITE, FOREGROUND)}


class Judge(nn.Module):
    """A plain convolutional classifier of pictures [B, C, H, W] in 0..1; large ones are seen from
    further away.
    """

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
        if (times := round(pictures.shape[-1] / SEEN)) > 1:
            pictures = nn.functional.avg_pool2d(pictures, times)
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
    def load(cls, path: Path) -> Judges | None:
        """Read what `save` wrote; None where there is nothing, or a panel of other words."""
        tensors = load_file(path) if path.exists() else {}
        panel = _new_panel()
        for kind, judge in panel.items():
            own = {name: tensors.get(f"{kind}.{name}") for name in judge.state_dict()}
            for name, wanted in judge.state_dict().items():
                found = own[name]
                if found is None or found.shape != wanted.shape:
                    return None
            judge.load_state_dict(own)
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

        def render(first: int, count: int, held_out: bool) -> ClipSet:
            seed = CLASSIFIER_SEED + first
            return renderer.clips(
                count, first_seed=seed, frames=frames, report=lambda *_: None, held_out=held_out
            )

        usual, rare = render(0, train - train // 4, False), render(train, train // 4, True)
        return {
            "train": ClipSet(
                pixels=torch.cat([usual.pixels, rare.pixels]), scenes=usual.scenes + rare.scenes
            ),
            "seen": render(2 * train, test, False),
            "held_out": render(3 * train, test, True),
        }


def judge_accuracy(judges: Judges, clips: ClipSet) -> dict[str, float]:
    """Each judge's own accuracy on real clips."""
    pixels = clips.pixels.float() / 255
    views = {kind: pixels[:, COMPOSITE] for kind in NAMING}
    views["silhouette"] = pixels[:, MATTE_CHANNEL : MATTE_CHANNEL + 1]
    figures = {k: _share(judges.name(k, v) == truth(k, clips.labels)) for k, v in views.items()}
    for kind in PRESENCE:
        with_it, without = (judges.name(kind, pixels[:, part]) for part in _LESSONS[kind])
        figures[kind] = (_share(with_it == 1) + _share(without == 0)) / 2
    return figures


def _share(right: Tensor) -> float:
    return float(right.float().mean())


def _new_panel() -> dict[str, Judge]:
    classes = {
        "subject": len(SUBJECTS),
        "silhouette": len(SUBJECTS),
        "place": len(PLACES),
        "time": len(TIMES),
        "figure": 2,
        "scenery": 2,
    }
    return {kind: Judge(1 if kind == "silhouette" else 3, classes[kind]) for kind in KINDS}


def _train(judge: Judge, kind: str, clips: ClipSet, seconds: float, seed: int) -> float:
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(judge.parameters(), 1e-3, weight_decay=0.02)
    answers = None if kind in PRESENCE else truth(kind, clips.labels)
    began, right, seen = time.monotonic(), 0.0, 0.0
    while time.monotonic() - began < seconds:
        rows = torch.randint(len(clips.scenes), (32,), generator=rng)
        frame = int(torch.randint(clips.pixels.shape[2], (), generator=rng))
        pixels = clips.pixels[rows][:, :, frame].float() / 255
        if answers is None:
            pictures, wanted = _with_or_without(kind, pixels, rng)
        else:
            pictures, wanted = _view(kind, pixels, rng), answers[rows]
        logits = judge(_roughen(pictures, rng))
        loss = nn.functional.cross_entropy(logits, wanted, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right = 0.98 * right + float((logits.argmax(-1) == wanted).float().sum())
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


def _with_or_without(kind: str, pixels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures that hold a thing (answer 1) and pictures that do not, mixed."""
    wanted = torch.randint(2, (len(pixels),), generator=rng)
    with_it, without = (pixels[:, part] for part in _LESSONS[kind])
    return torch.where(wanted.bool()[:, None, None, None], with_it, without), wanted


def _roughen(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Blur and noise like a decoder's, so a judge does not hang on the last bit of sharpness."""
    if torch.rand((), generator=rng) < 0.5:
        pictures = nn.functional.avg_pool2d(
            pictures, 3, stride=1, padding=1, count_include_pad=False
        )
    shift = torch.randint(-4, 5, (2,), generator=rng).tolist()
    pictures = torch.roll(pictures, shift, dims=(-2, -1))
    return pictures + 0.04 * torch.randn(pictures.shape, generator=rng)
