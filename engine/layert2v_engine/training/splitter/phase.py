"""What the splitter learns: alpha and shadow of frames whose plate and mask are not right."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from layert2v_engine.decompose.splitter.network import SplitterNetwork, network_input
from layert2v_engine.devices import TrainingRng, mixed_precision, seed_for
from layert2v_engine.metrics.contact_sheet import save_grid
from layert2v_engine.training import data_parallel
from layert2v_engine.training.splitter.corruption import Corruption
from layert2v_engine.training.splitter.frames import PLANES, FrameSet
from layert2v_engine.training.splitter.relighting import Relighting
from layert2v_engine.training.splitter.splits import Split, as_split, hide_plate, to_device

SHEET_ROWS = 6
# Errors are shares of what there is of alpha and shadow, so that a faint shadow counts as much as
# a deep one; these parts of the picture are added, so that where there is none it counts too.
_ALPHA_FLOOR, _SHADOW_FLOOR = 0.03, 0.006
_BEHIND = 0.1  # weight of the shadow where the subject hides it
_WINDOW = (0.6, 1.0)  # height of a crop, share of the frame
_ON_SUBJECT = 0.8  # share of crops with a pixel of the subject in their middle


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitterBatch:
    """What a batch looks like."""

    batch: int = 8
    height: int = 128  # of a crop, pixels
    width: int = 192
    rendered_share: float = 0.4  # of rendered clips, not of the world
    without_plate_share: float = 0.5  # of frames whose shadow is found without a plate
    seed: int = 0


class SplitterPhase:
    """Train alpha and shadow on frames of the world and on rendered ones."""

    name = "splitter"

    def __init__(
        self,
        network: SplitterNetwork,
        sets: tuple[FrameSet, FrameSet | None],
        held_out: FrameSet,
        config: SplitterBatch,
        device: torch.device,
    ) -> None:
        """Prepare; ``sets`` are frames of the world and rendered ones."""
        self.model: nn.Module = network.to(device)
        self.config, self.device = config, device
        self.world, self.rendered = sets
        self.held_out = held_out
        self._drawer = ThreadPoolExecutor(1, "splitter-batch")
        self._next: tuple[int, Future[tuple[Split, Tensor]]] | None = None

    def loss(self, step: int, progress: float) -> Tensor:
        """Return the errors of alpha, its edges and the shadow, as shares of what there is.

        Of several processes each returns the part of its own crops.
        """
        del progress
        given, mask = self._take(step)
        own = data_parallel.own_rows()
        split, mask = to_device(given, own, self.device), mask[own].to(self.device)
        inputs = network_input(split.source, split.plate, mask)
        with mixed_precision(self.device):
            alpha, shadow = self.model(inputs)
        losses = alpha_loss(alpha, split.alpha) + shadow_loss(shadow, split)
        return losses.sum() / self.config.batch

    def _take(self, step: int) -> tuple[Split, Tensor]:
        """Return the batch of ``step``, and have the next one drawn beside what is done with it."""
        drawn = self._next[1] if self._next and self._next[0] == step else None
        batch = drawn.result() if drawn else self._draw(step)
        self._next = step + 1, self._drawer.submit(self._draw, step + 1)
        return batch

    def _draw(self, step: int) -> tuple[Split, Tensor]:
        """Return frames with what they are given, and their masks: the same for the same step."""
        rng = TrainingRng(seed_for(self.config.seed, "splitter", step), torch.device("cpu"))
        planes = torch.cat([self._crop(rng) for _ in range(self.config.batch)])
        true = Relighting(rng.choices)(as_split(planes))
        given, mask = Corruption(rng.choices)(true)
        draw = torch.rand(len(planes), generator=rng.choices)
        return hide_plate(given, true.shadow, draw < self.config.without_plate_share), mask

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return errors of alpha and shadow, shares of what there is, beside those of the input."""
        rows: dict[str, list[float]] = {}
        for row, (split, mask) in enumerate(self._held_out_splits(range(len(self.held_out)))):
            alpha, shadow = self.model(network_input(split.source, split.plate, mask))
            rows.setdefault("mask_error", []).append(share(mask, split.alpha))
            rows.setdefault("alpha_error", []).append(share(alpha, split.alpha))
            _add_shadow_error(rows, "shadow_error", shadow, split)
            whole = self.held_out.planes[row : row + 1, PLANES - 1 :]
            bare = hide_plate(split, whole, torch.ones(1, dtype=torch.bool, device=self.device))
            _, shadow = self.model(network_input(bare.source, bare.plate, mask))
            _add_shadow_error(rows, "shadow_error_without_plate", shadow, bare)
        metrics = {name: float(torch.tensor(v).median()) for name, v in rows.items()}
        for name in ("shadow_error", "shadow_error_without_plate"):
            metrics[f"{name}_p90"] = float(torch.tensor(rows[name]).quantile(0.9))
        return metrics

    @torch.no_grad()
    def sample(self, path: Path) -> None:
        """Write source, plate, mask, alpha, true alpha, shadow, true shadow of some frames."""
        step = max(1, len(self.held_out) // SHEET_ROWS)
        rows = []
        for split, mask in self._held_out_splits(range(0, len(self.held_out), step)):
            alpha, shadow = self.model(network_input(split.source, split.plate, mask))
            pictures = (split.source, split.plate, mask, alpha, split.alpha, shadow, split.shadow)
            rows.append(torch.cat([x.expand(-1, 3, -1, -1) for x in pictures]).clamp(0, 1))
        save_grid(rows[:SHEET_ROWS], path, scale=1)

    def _held_out_splits(self, rows: range) -> list[tuple[Split, Tensor]]:
        """Return frames of the held-out set, each corrupted the same way every time."""
        splits = []
        for row in rows:
            generator = torch.Generator().manual_seed(seed_for("held out", row))
            planes = self.held_out.planes[row : row + 1].float()
            split, mask = Corruption(generator)(as_split(planes))
            splits.append((to_device(split, slice(None), self.device), mask.to(self.device)))
        return splits

    def _crop(self, rng: TrainingRng) -> Tensor:
        """Return a part of a random frame at the size of the batch [1, 8, h, w]."""
        is_rendered = self.rendered is not None and rng.bernoulli(self.config.rendered_share)
        frames = self.rendered if is_rendered and self.rendered is not None else self.world
        planes = frames.planes[rng.index(len(frames))].float()
        height, width = planes.shape[-2:]
        low, high = _WINDOW
        part = low + (high - low) * float(torch.rand((), generator=rng.choices))
        rows = min(height, round(height * part))
        columns = min(width, round(rows * self.config.width / self.config.height))
        top, left = rng.index(height - rows + 1), rng.index(width - columns + 1)
        if rng.bernoulli(_ON_SUBJECT):
            pixels = (planes[PLANES - 2] > 0.5).nonzero()
            if len(pixels):
                y, x = pixels[rng.index(len(pixels))].tolist()
                top = min(max(0, y - rows // 2), height - rows)
                left = min(max(0, x - columns // 2), width - columns)
        window = planes[None, :, top : top + rows, left : left + columns]
        size = (self.config.height, self.config.width)
        crop = functional.interpolate(window, size, mode="bilinear", antialias=True)
        return crop.flip(-1) if rng.bernoulli(0.5) else crop


def share(guess: Tensor, true: Tensor) -> float:
    """Return the sum of absolute errors as a share of what there is."""
    return float((guess - true).abs().sum() / true.sum().clamp_min(1.0))


def _add_shadow_error(
    rows: dict[str, list[float]], name: str, shadow: Tensor, split: Split
) -> None:
    """Add the error beside the subject, as a share of the true shadow, where that can be told."""
    seen = split.alpha < 0.02
    total = (split.shadow * seen).sum()
    if total / seen.numel() > 1e-3:
        rows.setdefault(name, []).append(
            float(((shadow - split.shadow).abs() * seen).sum() / total)
        )


def alpha_loss(alpha: Tensor, true: Tensor) -> Tensor:
    """Return per row [B] the error of alpha and of its edges, as a share of the true area."""
    error = alpha - true
    area = true.mean((1, 2, 3)) + _ALPHA_FLOOR
    edges = error.diff(dim=-1).abs().mean((1, 2, 3)) + error.diff(dim=-2).abs().mean((1, 2, 3))
    return (error.abs().mean((1, 2, 3)) + 0.5 * edges) / area


def shadow_loss(shadow: Tensor, split: Split) -> Tensor:
    """Return per row [B] the error of the shadow, fine and coarse, as a share of the true one."""
    weight = 1 - (1 - _BEHIND) * split.alpha
    error = (shadow - split.shadow) * weight
    amount = (split.shadow * weight).mean((1, 2, 3)) + _SHADOW_FLOOR
    coarse = functional.avg_pool2d(error, 8).abs().mean((1, 2, 3))
    return 0.5 * (error.abs().mean((1, 2, 3)) + 0.5 * coarse) / amount
