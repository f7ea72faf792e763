from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from layert2v_engine.training.trainer import NonFiniteLoss, Trainer
from layert2v_engine.training.trainer_config import TrainerConfig


class Line:
    """Learn y = 3x with a block matrix (Muon) and a bias (AdamW)."""

    name = "line"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(4, 4)])})
        self.losses: list[float] = []

    def loss(self, step: int, progress: float) -> Tensor:
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
        loss = (self.model["blocks"][0](x) - 3 * x).square().mean()
        self.losses.append(float(loss.detach()))
        return loss

    def validate(self) -> dict[str, float]:
        return {"error": float(self.loss(10_000, 1.0).detach())}

    def sample(self, path: Path) -> dict[str, float]:
        Image.new("RGB", (4, 3), "red").save(path)
        return {"redness": 1.0}


def train(folder: Path, steps: int, phase: Line | None = None) -> Trainer:
    config = TrainerConfig(
        steps=steps, lr=0.05, muon_lr=0.05, warmup_steps=5, ema=0.9, flat_share=1.0
    )
    trainer = Trainer(phase or Line(), config, folder)
    trainer.resume()
    trainer.run()
    return trainer


def test_a_run_learns_logs_and_leaves_its_state(tmp_path: Path) -> None:
    trainer = train(tmp_path, 200)
    trainer.apply_ema()
    assert trainer.phase.validate()["error"] < 1.0
    assert {"state.safetensors", "validation.jsonl"} <= {p.name for p in tmp_path.iterdir()}


def test_tensorboard_has_pictures_and_the_metrics_of_what_they_show(tmp_path: Path) -> None:
    train(tmp_path, 2)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    (picture,) = events.Images("line/sample")
    assert (picture.step, picture.width, picture.height) == (2, 4, 3)
    assert [each.value for each in events.Scalars("line/redness")] == [1.0]
    assert '"redness": 1.0' in (tmp_path / "validation.jsonl").read_text()


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_a_phase_of_steps_takes_them_whatever_the_time(tmp_path: Path, seconds: float) -> None:
    line, shares = Line(), []
    config = TrainerConfig(budget_s=seconds, steps=4)
    trainer = Trainer(line, config, tmp_path)
    learn = line.loss
    line.loss = lambda step, progress: (shares.append(progress), learn(step, progress))[1]
    trainer.run()
    assert trainer.step == 4
    assert shares[:4] == [0, 0.25, 0.5, 0.75]


def test_no_time_and_no_steps_leave_things_as_they_are(tmp_path: Path) -> None:
    trainer = Trainer(Line(), TrainerConfig(budget_s=0.0), tmp_path)
    trainer.run()
    assert trainer.step == 0


def test_resume_goes_on_with_the_same_weights_and_optimiser(tmp_path: Path) -> None:
    first = train(tmp_path, 20)
    again = Trainer(Line(), first.config, tmp_path)
    assert again.resume()
    assert (again.step, again.spent_s) == (first.step, first.spent_s)
    for name, parameter in first.parameters.items():
        assert torch.equal(again.parameters[name], parameter)
        assert torch.equal(again.ema[name], first.ema[name])
    assert [len(o.state_dict()["state"]) for o in again.optimizers] == [1, 1]


def test_a_phase_that_has_ended_is_not_validated_again(tmp_path: Path) -> None:
    train(tmp_path, 3)
    log = (tmp_path / "validation.jsonl").read_text()
    assert train(tmp_path, 3).step == 3
    assert (tmp_path / "validation.jsonl").read_text() == log
    train(tmp_path, 4)
    assert len((tmp_path / "validation.jsonl").read_text().splitlines()) == 2


def test_stops_do_not_put_off_a_validation(tmp_path: Path) -> None:
    trainer = Trainer(Line(), TrainerConfig(steps=2, validate_every_s=1e6), tmp_path)
    trainer.spent_s = 1e6 - 1e-9  # of an earlier start
    trainer.run()
    assert (tmp_path / "sample_000001.png").exists()
    assert not (tmp_path / "sample_000002.png").exists()


def test_a_stopped_run_loses_what_one_without_a_stop_loses(tmp_path: Path) -> None:
    whole, first, second = Line(), Line(), Line()
    train(tmp_path / "whole", 20, whole)
    train(tmp_path / "stopped", 12, first)
    train(tmp_path / "stopped", 20, second)
    assert first.losses[:12] + second.losses[:8] == whole.losses[:20]


KILLED = """
import sys, os, signal
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_trainer import Line
from layert2v_engine.training.trainer import Trainer
from layert2v_engine.training.trainer_config import TrainerConfig

class Killed(Line):
    def loss(self, step, progress):
        if step == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss(step, progress)

config = TrainerConfig(
    steps=20, lr=0.05, muon_lr=0.05, warmup_steps=5, ema=0.9, flat_share=1.0, save_every_s=-1.0
)
Trainer(Killed(), config, Path(sys.argv[1])).run()
"""


def test_a_killed_run_goes_on_with_the_same_losses(tmp_path: Path) -> None:
    folder, whole, again = tmp_path / "killed", Line(), Line()
    command = [sys.executable, "-c", KILLED, str(folder), str(Path(__file__).parent)]
    killed = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    assert killed.returncode == -signal.SIGKILL
    train(tmp_path / "whole", 20, whole)
    trainer = train(folder, 20, again)
    assert trainer.step == 20
    assert again.losses[:7] == pytest.approx(whole.losses[13:20], rel=1e-6)


def test_weights_and_counters_are_one_file(tmp_path: Path) -> None:
    train(tmp_path, 3)
    with safe_open(tmp_path / "state.safetensors", "pt") as file:
        assert file.metadata()["step"] == "3"
    assert not (tmp_path / "state.json").exists()


def test_a_folder_of_before_is_gone_on_with(tmp_path: Path) -> None:
    whole, again = Line(), Line()
    train(tmp_path / "whole", 20, whole)
    train(tmp_path / "old", 12)
    path = tmp_path / "old" / "state.safetensors"
    with safe_open(path, "pt") as file:
        counters = file.metadata()
    # Rows of the optimizers instead of names, and counters in a file of their own.
    rows = {"blocks.0.bias": "0.0", "blocks.0.weight": "1.0"}
    old = {}
    for key, tensor in load_file(path).items():
        kind, _, others = key.partition(".")
        entry, _, name = others.partition(".")
        old[f"optimizer.{rows[name]}.{entry}" if kind == "optimizer" else key] = tensor
    save_file(old, path)
    values = {"step": int(counters["step"]), "spent_s": float(counters["spent_s"])}
    path.with_name("state.json").write_text(json.dumps(values))
    assert train(tmp_path / "old", 20, again).step == 20
    assert again.losses[:8] == whole.losses[12:20]


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_state(tmp_path: Path) -> None:
    train(tmp_path, 5)
    before = (tmp_path / "state.safetensors").read_bytes()

    class Bad(Line):
        def loss(self, step: int, progress: float) -> Tensor:
            return super().loss(step, progress) * (math.nan if step == 7 else 1.0)

    with pytest.raises(NonFiniteLoss, match="no longer a number, at step 7") as raised:
        train(tmp_path, 10, Bad())
    assert "lower lr" in raised.value.hint
    assert (tmp_path / "state.safetensors").read_bytes() == before
    assert all(p.isfinite().all() for p in load_file(tmp_path / "state.safetensors").values())
