"""The loop every stage shares: time budget, Muon and AdamW, averaged weights, resume, logs.

A ``Phase`` says what to learn; the trainer knows nothing of video or text. Learning rates
follow the spent share of the budget, so the same phase runs for a minute as a rehearsal or for
hours. State is safetensors and JSON.
"""

from __future__ import annotations

import json
import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from layert2v_engine.image.atomic import atomic_write

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainerConfig:
    """How one phase is optimised. ``budget_s`` counts training time, not validation or samples.

    With ``steps`` a phase takes so many, however long that is: for trainings that are compared.
    """

    budget_s: float = 60.0
    steps: int = 0  # 0: as many as the budget allows
    lr: float = 1e-3
    muon_lr: float = 0.0  # 0: AdamW for everything
    weight_decay: float = 0.01
    warmup_steps: int = 60
    flat_share: float = 0.6  # then linear decay to 2 %
    clip_norm: float = 1.0
    ema: float = 0.999
    log_every: int = 50
    validate_every_s: float = 120.0
    save_every_s: float = 120.0


class Phase(Protocol):
    """One training task: a model, its loss and its validation."""

    name: str
    model: nn.Module  # its parameters that require gradients are trained

    def loss(self, step: int, progress: float) -> Tensor:
        """Return the loss of the next batch; ``progress`` is the spent part of the budget, 0..1."""

    def reseed(self, step: int) -> None:
        """Sample other batches than before ``step``: a resumed run must not repeat its start."""

    def validate(self) -> dict[str, float]:
        """Return metrics on held-out data; called with the averaged weights in place."""

    def sample(self, path: Path) -> None:
        """Write a picture of what the averaged weights can do to ``path`` (PNG)."""


class TrainingInterrupted(Exception):
    """The run was asked to stop; its state is saved and the same command goes on from there."""


class Trainer:
    """Runs one phase until its budget is spent."""

    def __init__(self, phase: Phase, config: TrainerConfig, folder: Path) -> None:
        self.phase, self.config, self.folder = phase, config, folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.parameters = {n: p for n, p in phase.model.named_parameters() if p.requires_grad}
        self.ema = {n: p.detach().clone() for n, p in self.parameters.items()}
        self.optimizers = _optimizers(self.parameters, config)
        self._base_lrs = [[g["lr"] for g in o.param_groups] for o in self.optimizers]
        self.step, self.spent_s = 0, 0.0
        self.writer = SummaryWriter(str(folder / "tensorboard"))

    def run(self) -> None:
        """Train, validate and save.

        Raises TrainingInterrupted after a termination signal, with the state saved.
        """
        last_validated = last_saved = self.spent_s
        losses: list[Tensor] = []
        with _watch_termination() as terminated:
            while self._progress() < 1:
                began = time.monotonic()
                losses.append(self._step())
                self.spent_s += time.monotonic() - began
                if self.step % self.config.log_every == 0 or self.step in (1, 5, 20):
                    self._log(losses)
                    losses = []
                if terminated():
                    self.save()
                    raise TrainingInterrupted(f"{self.phase.name} stopped at step {self.step}")
                if self.spent_s - last_saved > self.config.save_every_s:
                    last_saved = self.spent_s
                    self.save()
                if self.spent_s - last_validated > self.config.validate_every_s:
                    last_validated = self.spent_s
                    self._validate(f"{self.step:06d}")
        self.save()
        self._validate("final")

    def apply_ema(self) -> None:
        """Leave the averaged weights in the model, to be exported or trained on."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self.ema[name])

    def save(self) -> None:
        """Write weights, averages and optimizer state, each file as a whole."""
        tensors = {f"model.{n}": p.detach() for n, p in self.parameters.items()}
        tensors |= {f"average.{n}": p for n, p in self.ema.items()}
        for i, optimizer in enumerate(self.optimizers):
            for row, entries in optimizer.state_dict()["state"].items():
                tensors |= {
                    f"optimizer.{i}.{row}.{k}": torch.as_tensor(v) for k, v in entries.items()
                }
        with atomic_write(self.folder / "state.safetensors") as temporary:
            save_file({k: v.cpu().contiguous() for k, v in tensors.items()}, temporary)
        counters = {"step": self.step, "spent_s": self.spent_s}
        with atomic_write(self.folder / "state.json") as temporary:
            temporary.write_text(json.dumps(counters))

    def resume(self) -> bool:
        """Go on from what ``save`` wrote; return False where there is nothing.

        A run that was packed for another machine has only the averages: they are the weights, and
        the optimizers start anew.
        """
        if not (self.folder / "state.json").exists():
            return False
        counters = json.loads((self.folder / "state.json").read_text())
        self.step, self.spent_s = counters["step"], counters["spent_s"]
        self.phase.reseed(self.step)
        tensors = load_file(self.folder / "state.safetensors")
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                ema = tensors[f"average.{name}"]
                parameter.copy_(tensors.get(f"model.{name}", ema))
                self.ema[name].copy_(ema)
        for i, optimizer in enumerate(self.optimizers):
            state = optimizer.state_dict()
            for key, value in tensors.items():
                kind, _, others = key.partition(".")
                if kind == "optimizer" and others.startswith(f"{i}."):
                    _, row, entry = others.split(".", 2)
                    state["state"].setdefault(int(row), {})[entry] = value
            optimizer.load_state_dict(state)
        return True

    def _progress(self) -> float:
        """Return how much of the phase is done, in 0..1."""
        finished, total = (
            (self.step, self.config.steps)
            if self.config.steps
            else (self.spent_s, self.config.budget_s)
        )
        return 1.0 if finished >= total else finished / total

    def _step(self) -> Tensor:
        progress = self._progress()
        factor = _lr_factor(self.step, progress, self.config)
        for optimizer, base_lrs in zip(self.optimizers, self._base_lrs, strict=True):
            for group, base in zip(optimizer.param_groups, base_lrs, strict=True):
                group["lr"] = base * factor
            optimizer.zero_grad(set_to_none=True)
        loss = self.phase.loss(self.step, progress)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters.values(), self.config.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        decay = min(
            self.config.ema, (self.step + 1) / (self.step + 20)
        )  # short memory at the start
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.values()), list(self.parameters.values()), 1 - decay)
        return loss.detach()

    def _log(self, losses: list[Tensor]) -> None:
        loss = float(torch.stack(losses).mean())
        rate = self.step / max(self.spent_s, 1e-9)
        self.writer.add_scalar(f"{self.phase.name}/loss", loss, self.step)
        logger.info(
            "phase=%s step=%d spent_s=%.0f/%.0f loss=%.4f steps_per_s=%.2f",
            self.phase.name, self.step, self.spent_s, self.config.budget_s, loss, rate,
        )  # fmt: skip

    def _validate(self, tag: str) -> None:
        with self._ema_weights(), torch.no_grad(), torch.compiler.set_stance("force_eager"):
            metrics = self.phase.validate()
            self.phase.sample(self.folder / f"sample_{tag}.png")
        for name, value in metrics.items():
            self.writer.add_scalar(f"{self.phase.name}/{name}", value, self.step)
        self.writer.flush()
        with (self.folder / "validation.jsonl").open("a") as log:
            log.write(
                json.dumps({"step": self.step, "spent_s": round(self.spent_s), **metrics}) + "\n"
            )
        rounded = {k: round(v, 4) for k, v in metrics.items()}
        logger.info("phase=%s step=%d validation=%s", self.phase.name, self.step, rounded)

    @contextmanager
    def _ema_weights(self) -> Iterator[None]:
        current = {n: p.detach().clone() for n, p in self.parameters.items()}
        self.phase.model.eval()
        self.apply_ema()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, parameter in self.parameters.items():
                    parameter.copy_(current[name])
            self.phase.model.train()


def _optimizers(
    parameters: dict[str, nn.Parameter], config: TrainerConfig
) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the transformer blocks if wanted, AdamW for the rest."""
    matrices = [
        p for n, p in parameters.items() if p.dim() == 2 and "blocks." in n and config.muon_lr > 0
    ]
    muon_ids = {id(p) for p in matrices}
    others = [p for p in parameters.values() if id(p) not in muon_ids]
    on_gpu = all(p.is_cuda for p in others)  # where one kernel for all tensors pays
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            others,
            config.lr,
            betas=(0.9, 0.98),
            weight_decay=config.weight_decay,
            fused=on_gpu or None,
        )
    ]
    if matrices:
        muon = torch.optim.Muon(
            matrices, lr=config.muon_lr, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"
        )
        optimizers.append(muon)
    return optimizers


def _lr_factor(step: int, progress: float, config: TrainerConfig) -> float:
    warmup = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    if progress < config.flat_share:
        return warmup
    return warmup * max(0.02, (1 - progress) / (1 - config.flat_share))


@contextmanager
def _watch_termination() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into a flag for as long as the block runs."""
    requested = False

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal requested
        requested = True

    previous = {s: signal.signal(s, request_stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: requested
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
