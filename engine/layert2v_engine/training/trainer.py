"""The loop every stage shares: time budget, Muon and AdamW, averaged weights, resume, logs.

A ``Phase`` says what to learn; the trainer knows nothing of video or text. Learning rates
follow the spent share of the budget, so the same phase runs for a minute as a rehearsal or for
hours. Batches and noise are functions of seed and step: a run that was stopped, or killed, goes on
as if it had not been.
"""

from __future__ import annotations

import json
import logging
import math
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from layert2v_engine.errors import BadConfig, EngineError
from layert2v_engine.training import data_parallel, sharding
from layert2v_engine.training.optimizers import (
    clipped_parts,
    fill_optimizer_state,
    load_optimizer_state,
    make_optimizers,
    optimizer_state,
    split_parameters,
)
from layert2v_engine.training.sharding import Counters, gather
from layert2v_engine.training.trainer_config import TrainerConfig
from layert2v_engine.training.training_state import STATE, TrainingState

logger = logging.getLogger(__name__)


class Phase(Protocol):
    """One training task: a model, its loss and its validation."""

    name: str
    model: nn.Module  # its parameters that require gradients are trained

    def loss(self, step: int, progress: float) -> Tensor:
        """Return the loss of the batch of ``step``, a function of seed and step.

        Of several processes each returns the part of its own rows; together they are the loss of
        the batch. ``progress`` is the spent part of the budget, 0..1.
        """

    def validate(self) -> dict[str, float]:
        """Return metrics on held-out data; called with the averaged weights in place."""

    def sample(self, path: Path) -> Mapping[str, float] | None:
        """Write a picture of what the averaged weights can do to ``path`` (PNG).

        Several pictures begin with its name. Returns metrics of what it shows, if there are any.
        """


class NonFiniteLoss(EngineError):
    """The loss or a gradient is infinite or not a number."""

    reason = "NON_FINITE_LOSS"


class TrainingInterrupted(Exception):
    """The run was asked to stop; its state is saved and the same command goes on from there."""


class Trainer:
    """Runs one phase until its budget is spent."""

    def __init__(self, phase: Phase, config: TrainerConfig, folder: Path) -> None:
        self.phase, self.config, self.folder = phase, config, folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.parameters = {n: p for n, p in phase.model.named_parameters() if p.requires_grad}
        self.is_sharded = sharding.is_sharded(phase.model)
        if not self.is_sharded:
            data_parallel.copy_from_first(list(self.parameters.values()))
        self.ema = {n: p.detach().clone() for n, p in self.parameters.items()}
        self.optimizers = make_optimizers(self.parameters, config)
        self._base_lrs = [[g["lr"] for g in o.param_groups] for o in self.optimizers]
        self.step, self.spent_s = 0, 0.0
        self.is_first = data_parallel.rank() == 0  # of the processes: it saves and validates
        self.writer = SummaryWriter(str(folder / "tensorboard")) if self.is_first else None

    def run(self) -> None:
        """Train, validate and save.

        Raises TrainingInterrupted after a termination signal, with the state saved, and
        NonFiniteLoss, with the last saved state left as it is.
        """
        # Counted from the start of the phase, however often it stopped in between.
        every_s = max(self.config.validate_every_s, 1e-9)
        validations, last_saved, first_step = self.spent_s // every_s, self.spent_s, self.step
        losses: list[Tensor] = []
        with _watch_termination() as terminated:
            while self._progress() < 1:
                began = time.monotonic()
                losses.append(self._step())
                spent_s = self.spent_s + time.monotonic() - began
                self.spent_s, is_stopped = data_parallel.of_first(spent_s, terminated())
                if self.step % self.config.log_every == 0 or self.step in (1, 5, 20):
                    self._log(losses)
                    losses = []
                if is_stopped:
                    self.save()
                    raise TrainingInterrupted(f"{self.phase.name} stopped at step {self.step}")
                if self.spent_s - last_saved > self.config.save_every_s:
                    last_saved = self.spent_s
                    self.save()
                if self.spent_s // every_s > validations:
                    validations = self.spent_s // every_s
                    self._validate(f"{self.step:06d}")
        if self.step > first_step or not (self.folder / "sample_final.png").exists():
            self.save()
            self._validate("final")

    def apply_ema(self) -> None:
        """Leave the averaged weights in the model, to be exported or trained on."""
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self.ema[name])

    def save(self) -> None:
        """Write weights, averages, optimizer state and counters: one file, or one a process."""
        if self.is_sharded:
            counters = Counters(self.step, self.spent_s)
            sharding.save_shards(self.folder, self._shards(), counters)
        elif self.is_first:
            TrainingState(
                step=self.step,
                spent_s=self.spent_s,
                averages=self.ema,
                weights=self.parameters,
                optimizer=optimizer_state(self.parameters, self.optimizers),
            ).save(self.folder)

    def resume(self) -> bool:
        """Go on from what ``save`` wrote; return False where there is nothing.

        A run that was packed for another machine has only the averages: they are the weights, and
        the optimizers start anew. One of several processes that share the weights out goes on from
        one of any number of such processes.
        """
        _require_kind(self.folder, is_sharded=self.is_sharded)
        if self.is_sharded:
            return self._resume_shards()
        state = TrainingState.load(self.folder)
        if state is None:
            return False
        self.step, self.spent_s = state.step, state.spent_s
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                average = state.averages.get(name, parameter)  # none of what is new since then
                parameter.copy_(state.weights.get(name, average))
                self.ema[name].copy_(average)
        muon, adamw = split_parameters(self.parameters, self.config)
        named = [*adamw], [*muon]
        old = {named[i][row]: entries for (i, row), entries in state.old_rows.items()}
        load_optimizer_state({**state.optimizer, **old}, self.parameters, self.optimizers)
        return True

    def _resume_shards(self) -> bool:
        if sharding.find_shards(self.folder) is None:
            return False
        for optimizer in self.optimizers:
            fill_optimizer_state(optimizer)
        tensors = self._shards()
        counters = sharding.load_shards(self.folder, tensors)
        self.step, self.spent_s = counters or (0, 0.0)
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[f"model.{name}"])
                self.ema[name].copy_(tensors[f"average.{name}"])
        entries: dict[str, dict[str, Tensor]] = {name: {} for name in self.parameters}
        for key, tensor in tensors.items():
            kind, _, others = key.partition(".")
            entry, _, name = others.partition(".")
            if kind == "optimizer":
                entries[name][entry] = tensor
        load_optimizer_state(entries, self.parameters, self.optimizers)
        return True

    def _shards(self) -> dict[str, Tensor]:
        """Return the parts of this process by name."""
        for optimizer in self.optimizers:
            fill_optimizer_state(optimizer)
        states = optimizer_state(self.parameters, self.optimizers)
        return {
            **{f"model.{n}": p.detach() for n, p in self.parameters.items()},
            **{f"average.{n}": p for n, p in self.ema.items()},
            **{f"optimizer.{k}.{n}": v for n, state in states.items() for k, v in state.items()},
        }

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
        # Gradients of shared-out weights come as the mean over the processes.
        (loss * data_parallel.world_size() if self.is_sharded else loss).backward()
        total = loss.detach().clone()
        data_parallel.sum_in_place([total, *(() if self.is_sharded else self._gradients())])
        norms = [
            float(gather(nn.utils.clip_grad_norm_(part, self.config.clip_norm)))
            for part in clipped_parts(self.parameters)
        ]
        if not math.isfinite(float(total) + sum(norms)):
            raise NonFiniteLoss(
                f"The loss of {self.phase.name} is no longer a number, at step {self.step}.",
                "The last saved state is kept: lower lr and muon_lr, then call the same command.",
            )
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        decay = min(
            self.config.ema, (self.step + 1) / (self.step + 20)
        )  # short memory at the start
        with torch.no_grad():
            torch._foreach_lerp_(list(self.ema.values()), list(self.parameters.values()), 1 - decay)
        return total

    def _gradients(self) -> Iterator[Tensor]:
        """Yield the gradients of all parameters in their order; where there is none, zeros."""
        for parameter in self.parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            yield parameter.grad

    def _log(self, losses: list[Tensor]) -> None:
        if self.writer is None:
            return
        loss = float(torch.stack(losses).mean())
        rate = self.step / max(self.spent_s, 1e-9)
        self.writer.add_scalar(f"{self.phase.name}/loss", loss, self.step)
        logger.info(
            "phase=%s step=%d spent_s=%.0f/%.0f loss=%.4f steps_per_s=%.2f",
            self.phase.name, self.step, self.spent_s, self.config.budget_s, loss, rate,
        )  # fmt: skip

    def _validate(self, tag: str) -> None:
        if not (self.is_first or self.is_sharded):  # they wait for the next step of the first
            return
        with (
            tempfile.TemporaryDirectory() as unseen,
            self._ema_weights(),
            torch.no_grad(),
            torch.compiler.set_stance("force_eager"),
        ):
            # With shared-out weights all processes are needed; the first one keeps the result.
            folder = self.folder if self.is_first else Path(unseen)
            metrics = dict(self.phase.validate())
            metrics |= self.phase.sample(folder / f"sample_{tag}.png") or {}
        if self.writer is not None:
            self._write_validation(tag, metrics)

    def _write_validation(self, tag: str, metrics: Mapping[str, float]) -> None:
        """Write metrics and pictures to TensorBoard, and the metrics to the log."""
        if self.writer is None:
            return
        for name, value in metrics.items():
            self.writer.add_scalar(f"{self.phase.name}/{name}", value, self.step)
        for path in sorted(self.folder.glob(f"sample_{tag}*.png")):
            kind = path.stem.removeprefix(f"sample_{tag}").strip("_") or "sample"
            with Image.open(path) as picture:
                pixels = np.asarray(picture.convert("RGB"))
            self.writer.add_image(f"{self.phase.name}/{kind}", pixels, self.step, dataformats="HWC")
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


def _require_kind(folder: Path, *, is_sharded: bool) -> None:
    """Raise BadConfig where a state was written by the other kind of training."""
    whole, parts = (folder / STATE).exists(), sharding.find_shards(folder) is not None
    if whole and is_sharded:
        raise BadConfig(f"{folder} was begun without --sharded.", "Leave the option out.")
    if parts and not is_sharded:
        raise BadConfig(f"{folder} was begun with --sharded.", "Give the option again.")


def _lr_factor(step: int, progress: float, config: TrainerConfig) -> float:
    warmup = min(1.0, (step + 1) / max(config.warmup_steps, 1))
    if progress < config.flat_share:
        return warmup
    return warmup * max(0.02, (1 - progress) / (1 - config.flat_share))


@contextmanager
def _watch_termination() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into a flag for as long as the block runs.

    Only a main thread hears signals; Ray's workers train in another.
    """
    requested = False

    def request_stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal requested
        requested = True

    is_main = threading.current_thread() is threading.main_thread()
    signals = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    previous = {each: signal.signal(each, request_stop) for each in signals}
    try:
        yield lambda: requested
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
