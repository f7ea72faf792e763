from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from layert2v_engine.training.trainer import Trainer, TrainerConfig


class Line:
    """Learn y = 3x with a block matrix (Muon) and a bias (AdamW)."""

    name = "line"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(4, 4)])})

    def loss(self, step: int, share: float) -> Tensor:
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
        return (self.model["blocks"][0](x) - 3 * x).square().mean()

    def reseed(self, step: int) -> None:
        self.reseeded_at = step

    def validate(self) -> dict[str, float]:
        return {"error": float(self.loss(10_000, 1.0).detach())}

    def sample(self, path: Path) -> None:
        path.write_bytes(b"")


def train(folder: Path, steps: int) -> Trainer:
    config = TrainerConfig(steps=steps, lr=0.05, muon_lr=0.05, warmup_steps=5, ema=0.9)
    trainer = Trainer(Line(), config, folder)
    trainer.resume()
    trainer.run()
    return trainer


def test_a_run_learns_logs_and_leaves_its_state(tmp_path: Path) -> None:
    trainer = train(tmp_path, 200)
    trainer.apply_ema()
    assert trainer.phase.validate()["error"] < 1.0
    assert {"state.json", "state.safetensors", "validation.jsonl"} <= {
        p.name for p in tmp_path.iterdir()
    }


@pytest.mark.parametrize("seconds", [0.0, 1e9])
def test_a_phase_of_steps_takes_them_whatever_the_time(tmp_path: Path, seconds: float) -> None:
    line, shares = Line(), []
    config = TrainerConfig(budget_s=seconds, steps=4)
    trainer = Trainer(line, config, tmp_path)
    learn = line.loss
    line.loss = lambda step, share: (shares.append(share), learn(step, share))[1]
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
    assert again.phase.reseeded_at == first.step
    for name, parameter in first.parameters.items():
        assert torch.equal(again.parameters[name], parameter)
        assert torch.equal(again.ema[name], first.ema[name])
    assert [len(o.state_dict()["state"]) for o in again.optimizers] == [1, 1]
