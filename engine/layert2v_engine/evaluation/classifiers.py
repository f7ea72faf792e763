"""Small classifiers trained on clips of the world, which name what a generated picture shows.

Four name the subject, the subject by its silhouette alone (color by itself misleads), the place and
the time. Two only say whether there is anything of a kind in a layer where it does not
belong: a subject in the background, scenery in a foreground. They are trained here, on seeds the
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
PRESENCE = ("figure", "scenery")  # class 1: there is one; the names are those in files
INPUT_WIDTH = 112  # pixels of width, about, that are enough to name what is there
KINDS = (*NAMING, *PRESENCE)
COMPOSITE, BACKGROUND, FOREGROUND = slice(0, 3), slice(3, 6), slice(6, 9)
# Channels that show a thing, and that do not: the full video against the background, and against a
# foreground alone over gray.
_PRESENT_AND_ABSENT = {"figure": (COMPOSITE, BACKGROUND), "scenery": (COMPOSITE, FOREGROUND)}


class Classifier(nn.Module):
    """A plain convolutional classifier of pictures [B, C, H, W] in 0..1; large ones are reduced."""

    def __init__(self, channels: int, classes: int, width: int = 32) -> None:
        super().__init__()
        widths = (channels, width, 2 * width, 3 * width, 4 * width)
        steps: list[nn.Module] = []
        for a, b in pairwise(widths):
            steps += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.GroupNorm(8, b), nn.SiLU()]
        # A grid of cells, not one average: a silhouette is told by where its parts are.
        self.features = nn.Sequential(*steps, nn.AdaptiveAvgPool2d((3, 4)), nn.Flatten())
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(12 * widths[-1], classes))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the logits [B, classes] of pictures [B, C, H, W] in 0..1."""
        if (times := round(pictures.shape[-1] / INPUT_WIDTH)) > 1:
            pictures = nn.functional.avg_pool2d(pictures, times)
        logits: Tensor = self.head(self.features(pictures))
        return logits


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassifierSet:
    """Classifiers by what each one names."""

    by_kind: dict[str, Classifier]

    @torch.no_grad()
    def classify(self, kind: str, pictures: Tensor) -> Tensor:
        """Return class indices [B] of clips [B, C, T, H, W] in 0..1, by the mean over frames."""
        frames = pictures.transpose(1, 2).flatten(0, 1)
        votes = self.by_kind[kind](frames).softmax(-1)
        return votes.unflatten(0, (len(pictures), -1)).mean(1).argmax(-1)

    def save(self, path: Path) -> None:
        """Write all classifiers into one safetensors file."""
        tensors = {
            f"{kind}.{n}": v
            for kind, classifier in self.by_kind.items()
            for n, v in classifier.state_dict().items()
        }
        save_file(tensors, path)

    @classmethod
    def load(cls, path: Path) -> ClassifierSet | None:
        """Read what ``save`` wrote; return None where there is nothing, or of other words."""
        tensors = load_file(path) if path.exists() else {}
        classifiers = _new_classifiers()
        for kind, classifier in classifiers.items():
            own = {name: tensors.get(f"{kind}.{name}") for name in classifier.state_dict()}
            for name, expected in classifier.state_dict().items():
                stored = own[name]
                if stored is None or stored.shape != expected.shape:
                    return None
            classifier.load_state_dict(own)
            classifier.eval()
        return cls(by_kind=classifiers)


def train_classifiers(
    clips: ClipSet, *, seconds: float, seed: int, report: Callable[[str], None]
) -> ClassifierSet:
    """Train all classifiers on pixels for ``seconds`` of wall time, divided evenly."""
    torch.manual_seed(seed)
    classifiers = _new_classifiers()
    for kind, classifier in classifiers.items():
        accuracy = _train(classifier, kind, clips, seconds / len(classifiers), seed)
        report(f"classifier={kind} training_accuracy={accuracy:.3f}")
        classifier.eval()
    return ClassifierSet(by_kind=classifiers)


def class_labels(kind: str, labels: Sequence[Label]) -> Tensor:
    """Return the class indices [N] of labels for a kind of classifier."""
    field = "subject" if kind == "silhouette" else kind
    return torch.tensor([getattr(label, field) for label in labels])


def render_classifier_clips(
    world: Path, *, train: int, test: int, frames: int
) -> dict[str, ClipSet]:
    """Return new clips: ``train`` of all scenes, and two tests, ``seen`` and ``held_out``.

    The tests show the scenes that the generator is trained on, and those it is not.
    """
    with Renderer(world, processes=1) as renderer:

        def render(first: int, count: int, held_out: bool) -> ClipSet:
            seed = CLASSIFIER_SEED + first
            return renderer.clips(
                count, first_seed=seed, frames=frames, report=lambda *_: None, held_out=held_out
            )

        common, rare = render(0, train - train // 4, False), render(train, train // 4, True)
        return {
            "train": ClipSet(
                pixels=torch.cat([common.pixels, rare.pixels]), scenes=common.scenes + rare.scenes
            ),
            "seen": render(2 * train, test, False),
            "held_out": render(3 * train, test, True),
        }


def classifier_accuracy(classifiers: ClassifierSet, clips: ClipSet) -> dict[str, float]:
    """Return each classifier's own accuracy in 0..1 on clips of the world."""
    pixels = clips.pixels.float() / 255
    views = {kind: pixels[:, COMPOSITE] for kind in NAMING}
    views["silhouette"] = pixels[:, MATTE_CHANNEL : MATTE_CHANNEL + 1]
    metrics = {
        k: _share(classifiers.classify(k, v) == class_labels(k, clips.labels))
        for k, v in views.items()
    }
    for kind in PRESENCE:
        with_it, without = (
            classifiers.classify(kind, pixels[:, part]) for part in _PRESENT_AND_ABSENT[kind]
        )
        metrics[kind] = (_share(with_it == 1) + _share(without == 0)) / 2
    return metrics


def _share(correct: Tensor) -> float:
    return float(correct.float().mean())


def _new_classifiers() -> dict[str, Classifier]:
    classes = {
        "subject": len(SUBJECTS),
        "silhouette": len(SUBJECTS),
        "place": len(PLACES),
        "time": len(TIMES),
        "figure": 2,
        "scenery": 2,
    }
    return {kind: Classifier(1 if kind == "silhouette" else 3, classes[kind]) for kind in KINDS}


def _train(classifier: Classifier, kind: str, clips: ClipSet, seconds: float, seed: int) -> float:
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(classifier.parameters(), 1e-3, weight_decay=0.02)
    labels = None if kind in PRESENCE else class_labels(kind, clips.labels)
    start_s, correct, total = time.monotonic(), 0.0, 0.0
    while time.monotonic() - start_s < seconds:
        rows = torch.randint(len(clips.scenes), (32,), generator=rng)
        frame = int(torch.randint(clips.pixels.shape[2], (), generator=rng))
        pixels = clips.pixels[rows][:, :, frame].float() / 255
        if labels is None:
            pictures, expected = _presence_batch(kind, pixels, rng)
        else:
            pictures, expected = _classifier_input(kind, pixels, rng), labels[rows]
        logits = classifier(_degrade(pictures, rng))
        loss = nn.functional.cross_entropy(logits, expected, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        correct = 0.98 * correct + float((logits.argmax(-1) == expected).float().sum())
        total = 0.98 * total + len(rows)
    return correct / max(total, 1)


def _classifier_input(kind: str, pixels: Tensor, rng: torch.Generator) -> Tensor:
    """Return the pictures [B, C, H, W] of a kind: scenes and subjects, alone or together."""
    if kind == "silhouette":
        return pixels[:, MATTE_CHANNEL : MATTE_CHANNEL + 1]
    alone = BACKGROUND if kind in ("place", "time") else FOREGROUND
    return pixels[:, COMPOSITE if torch.rand((), generator=rng) < 0.5 else alone]


def _presence_batch(kind: str, pixels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return pictures [B, 3, H, W] that hold a thing (class 1) and that do not, and classes [B]."""
    expected = torch.randint(2, (len(pixels),), generator=rng)
    with_it, without = (pixels[:, part] for part in _PRESENT_AND_ABSENT[kind])
    return torch.where(expected.bool()[:, None, None, None], with_it, without), expected


def _degrade(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Return pictures with a decoder's blur and noise, so that sharpness does not decide."""
    if torch.rand((), generator=rng) < 0.5:
        pictures = nn.functional.avg_pool2d(
            pictures, 3, stride=1, padding=1, count_include_pad=False
        )
    shift = torch.randint(-4, 5, (2,), generator=rng).tolist()
    pictures = torch.roll(pictures, shift, dims=(-2, -1))
    return pictures + 0.04 * torch.randn(pictures.shape, generator=rng)
