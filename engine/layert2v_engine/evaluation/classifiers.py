"""Small classifiers trained on clips of the world, which name what a generated picture shows.

Five name the subject, the subject by its silhouette alone (color by itself misleads), the way it
heads, the place and the time. Two only say whether there is anything of a kind in a layer where it
does not belong: a subject in the background, scenery in a foreground. They are trained here, on
seeds the generator never saw, and report their own accuracy, also on scenes held out of its
training.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from layert2v_engine.tensor_file import load_tensors
from layert2v_engine.world.dataset import (
    CLASSIFIER_SEED,
    MATTE_CHANNEL,
    TEST_SEED,
    ClipSet,
    Renderer,
    stream_channels,
)
from layert2v_engine.world.text.scenes import Scene
from layert2v_engine.world.text.vocabulary import HEADINGS, PLACES, SUBJECTS, TIMES

NAMING = ("subject", "silhouette", "place", "time", "heading")
PRESENCE = ("figure", "scenery")  # class 1: there is one; the names are those in files
INPUT_WIDTH = 112  # pixels of width, about, that are enough to name what is there
KINDS = (*NAMING, *PRESENCE)
_SHARES = dict(zip(KINDS, (5, 5, 3, 2, 3, 1, 1), strict=True))  # of the time of training
_LR = 1e-3  # falls to zero in the second half
COMPOSITE, BACKGROUND, FOREGROUND = slice(0, 3), slice(3, 6), slice(6, 9)
_CHUNK, _FRAMES = 50, 5  # clips rendered at once, and the frames of one, to train on
_SIZES = (0.45, 1.1)  # of a subject alone, against that in its clip
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
        logits: Tensor = self.head(self.features(_reduce(pictures)))
        return logits


def _reduce(pictures: Tensor) -> Tensor:
    """Return pictures [B, C, H, W] with about ``INPUT_WIDTH`` columns, or as they are."""
    times = round(pictures.shape[-1] / INPUT_WIDTH)
    return nn.functional.avg_pool2d(pictures, times) if times > 1 else pictures


def _reduce_bytes(pixels: Tensor) -> Tensor:
    """Return bytes [N, C, T, H, W] reduced alike, to the nearest byte."""
    frames = [_reduce(clip.transpose(0, 1).float()).round().byte() for clip in pixels]
    return torch.stack(frames).transpose(1, 2)


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
        tensors = load_tensors(path) if path.exists() else {}
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
    """Train all classifiers on pixels for ``seconds`` of this thread at work.

    Those that tell many things apart have more of it. Other work on the machine makes it longer,
    and no classifier worse.
    """
    torch.manual_seed(seed)
    classifiers = _new_classifiers()
    for kind, classifier in classifiers.items():
        share = _SHARES[kind] / sum(_SHARES.values())
        accuracy = _train(classifier, kind, clips, seconds * share, seed)
        report(f"classifier={kind} training_accuracy={accuracy:.3f}")
        classifier.eval()
    return ClassifierSet(by_kind=classifiers)


def class_labels(kind: str, scenes: Sequence[Scene], foreground: int = 0) -> Tensor:
    """Return the class indices [N] of scenes, and one of their foregrounds, for a kind."""
    if kind == "heading":
        return torch.tensor([HEADINGS.index(s.actors[foreground].heading) for s in scenes])
    if kind in ("subject", "silhouette"):
        return torch.tensor([scene.actors[foreground].subject for scene in scenes])
    return torch.tensor([getattr(scene, kind) for scene in scenes])


def render_training_clips(world: Path, count: int, frames: int) -> ClipSet:
    """Return ``count`` clips to train classifiers on, a quarter of them of held-out scenes.

    They are as small as classifiers see them, and have few frames: a large clip of 17 frames takes
    12 MB, a picture of it says as much.
    """
    held_out = count // 4
    chunks = [
        (first + k, min(_CHUNK, size - k), is_held_out)
        for first, size, is_held_out in (
            (0, count - held_out, False), (count - held_out, held_out, True),
        )
        for k in range(0, size, _CHUNK)
    ]  # fmt: skip
    pixels, scenes = list[Tensor](), list[Scene]()
    with Renderer(world, processes=1) as renderer:
        for first, size, is_held_out in chunks:
            clips = renderer.clips(
                size, first_seed=CLASSIFIER_SEED + first, frames=min(frames, _FRAMES),
                report=lambda *_: None, held_out=is_held_out,
            )  # fmt: skip
            pixels.append(_reduce_bytes(clips.pixels))
            scenes += clips.scenes
    return ClipSet(pixels=torch.cat(pixels), scenes=tuple(scenes))


def render_test_clips(world: Path, count: int, frames: int, foregrounds: int) -> dict[str, ClipSet]:
    """Return new clips: ``seen``, ``held_out`` and, with two ``foregrounds`` or more, ``two``.

    They show the scenes that the generator is trained on, those it is not, and pairs. Their seeds
    are no classifier's, and their plates and subjects no training's.
    """
    kinds = {"seen": (False, 1), "held_out": (True, 1)}
    if foregrounds > 1:
        kinds["two"] = (False, 2)
    with Renderer(world, processes=1) as renderer:
        return {
            name: renderer.clips(
                count, first_seed=TEST_SEED + k * count, frames=frames, report=lambda *_: None,
                held_out=held_out, foregrounds=number, unseen=True,
            )
            for k, (name, (held_out, number)) in enumerate(kinds.items())
        }  # fmt: skip


def classifier_accuracy(classifiers: ClassifierSet, clips: ClipSet) -> dict[str, float]:
    """Return each classifier's own accuracy in 0..1 on clips of the world.

    Of several foregrounds each is named in its own layer.
    """
    colors, mattes = (
        stream_channels(clips.foregrounds)[2::3],
        stream_channels(clips.foregrounds)[3::3],
    )

    def classify(kind: str, part: slice) -> Tensor:
        few = clips.pixels[:, part].split(8)  # as numbers, all of them take gigabytes
        return torch.cat([classifiers.classify(kind, each.float() / 255) for each in few])

    metrics = {
        kind: _share(classify(kind, COMPOSITE) == class_labels(kind, clips.scenes))
        for kind in ("place", "time")
    }
    for kind, parts in (("subject", colors), ("silhouette", mattes), ("heading", colors)):
        right = [
            classify(kind, part) == class_labels(kind, clips.scenes, k)
            for k, part in enumerate(parts)
        ]
        metrics[kind] = _share(torch.cat(right))
    for kind in PRESENCE:
        with_it, without = (classify(kind, part) for part in _PRESENT_AND_ABSENT[kind])
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
        "heading": len(HEADINGS),
        "figure": 2,
        "scenery": 2,
    }
    return {kind: Classifier(1 if kind == "silhouette" else 3, classes[kind]) for kind in KINDS}


def _train(classifier: Classifier, kind: str, clips: ClipSet, seconds: float, seed: int) -> float:
    rng = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(classifier.parameters(), _LR, weight_decay=0.02)
    labels = None if kind in PRESENCE else class_labels(kind, clips.scenes)
    start_s, correct, total = time.thread_time(), 0.0, 0.0
    while (done := (time.thread_time() - start_s) / seconds) < 1:
        optimizer.param_groups[0]["lr"] = _LR * min(1.0, 2 - 2 * done)
        rows = torch.randint(len(clips.scenes), (32,), generator=rng)
        frame = int(torch.randint(clips.pixels.shape[2], (), generator=rng))
        pixels = clips.pixels[:, :, frame][rows].float() / 255
        if labels is None:
            pictures, expected = _presence_batch(kind, pixels, rng)
        else:
            pictures, expected = _classifier_input(kind, pixels, rng), labels[rows]
        if kind == "heading":
            pictures, expected = _turn_some(pictures, expected, rng)
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
        return _place_anywhere(pixels[:, MATTE_CHANNEL : MATTE_CHANNEL + 1], rng, fill=0.0)
    if kind != "heading" and torch.rand((), generator=rng) < 0.5:
        return pixels[:, COMPOSITE]
    if kind in ("place", "time"):
        return pixels[:, BACKGROUND]
    return _place_anywhere(pixels[:, FOREGROUND], rng, fill=0.5)


def _turn_some(pictures: Tensor, headings: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return half of the pictures mirrored, with the other heading: a batch has both."""
    turned = torch.rand(len(pictures), generator=rng) < 0.5
    mirrored = torch.where(turned[:, None, None, None], pictures.flip(-1), pictures)
    return mirrored, torch.where(turned, 1 - headings, headings)


def _presence_batch(kind: str, pixels: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return pictures [B, 3, H, W] that hold a thing (class 1) and that do not, and classes [B]."""
    expected = torch.randint(2, (len(pixels),), generator=rng)
    with_it, without = (pixels[:, part] for part in _PRESENT_AND_ABSENT[kind])
    return torch.where(expected.bool()[:, None, None, None], with_it, without), expected


def _place_anywhere(pictures: Tensor, rng: torch.Generator, fill: float) -> Tensor:
    """Return pictures [B, C, H, W] at random sizes and places, over ``fill``.

    One subject fills more of a picture than each of several does.
    """
    count = len(pictures)
    scale = _SIZES[0] + (_SIZES[1] - _SIZES[0]) * torch.rand(count, generator=rng)
    room = (1 - scale).clamp_min(0.1)[:, None]
    shift = room * (2 * torch.rand(count, 2, generator=rng) - 1)
    views = torch.zeros(count, 2, 3)
    views[:, 0, 0] = views[:, 1, 1] = 1 / scale
    views[:, :, 2] = -shift / scale[:, None]
    grid = nn.functional.affine_grid(views, list(pictures.shape), align_corners=False)
    return nn.functional.grid_sample(pictures - fill, grid, align_corners=False) + fill


def _degrade(pictures: Tensor, rng: torch.Generator) -> Tensor:
    """Return pictures with a decoder's blur and noise, so that sharpness does not decide."""
    if torch.rand((), generator=rng) < 0.5:
        pictures = nn.functional.avg_pool2d(
            pictures, 3, stride=1, padding=1, count_include_pad=False
        )
    shift = torch.randint(-4, 5, (2,), generator=rng).tolist()
    pictures = torch.roll(pictures, shift, dims=(-2, -1))
    return pictures + 0.04 * torch.randn(pictures.shape, generator=rng)
