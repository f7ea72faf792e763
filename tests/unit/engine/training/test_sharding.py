"""A model shared out over processes trains as a whole one does, and is gone on with."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from layert2v_engine.errors import BadConfig
from layert2v_engine.training import data_parallel, sharding
from layert2v_engine.training.data_parallel import run_in_processes
from layert2v_engine.training.trainer import Trainer
from layert2v_engine.training.trainer_config import TrainerConfig

CONFIG = TrainerConfig(steps=8, lr=0.02, ema=0.5, warmup_steps=0, flat_share=1.0, save_every_s=1e9)


class Net(nn.Module):
    """Two blocks of an uneven width, the first one frozen in half precision."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.blocks = nn.ModuleList(nn.Linear(5, 5) for _ in range(2))
        self.out = nn.Linear(5, 3)
        self.blocks[0].bfloat16().requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = torch.tanh(block(x.to(block.weight.dtype))).float()
        out: Tensor = self.out(x)
        return out


class Sum:
    """Learn sums; a batch is a function of the step, and each process has its own rows."""

    name = "sum"

    def __init__(self, *, sharded: bool) -> None:
        net = Net()
        self.model: nn.Module = net
        if sharded:
            sharding.shard(net, net.blocks, torch.device("cpu"))

    def loss(self, step: int, progress: float) -> Tensor:
        x = torch.randn(6, 5, generator=torch.Generator().manual_seed(step))
        own = data_parallel.own_rows()
        return (self.model(x[own]) - x[own].sum(1, keepdim=True)).square().sum() / 6

    def validate(self) -> dict[str, float]:
        x = torch.randn(4, 5, generator=torch.Generator().manual_seed(99))
        return {"output": float(self.model(x).sum())}

    def sample(self, path: Path) -> None:
        pass


def train(folder: Path, sharded: bool, config: TrainerConfig = CONFIG) -> int:
    phase = Sum(sharded=sharded)
    trainer = Trainer(phase, config, folder)
    trainer.resume()
    trainer.run()
    trainer.apply_ema()
    state = sharding.gather_state(phase.model)
    if data_parallel.rank() == 0:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "out")
    data_parallel.wait_for_all()
    return 0


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    train(folder, sharded=False)
    return folder


def assert_same(one: Path, other: Path) -> None:
    mine, theirs = load_file(one / "out"), load_file(other / "out")
    assert mine.keys() == theirs.keys()
    for name, tensor in mine.items():
        torch.testing.assert_close(tensor, theirs[name], atol=1e-5, rtol=1e-4)
    lines = [(each / "validation.jsonl").read_text().splitlines()[-1] for each in (one, other)]
    outputs = [float(line.rpartition(" ")[2].rstrip("}")) for line in lines]
    assert outputs[0] == pytest.approx(outputs[1], abs=1e-4)


def test_two_processes_with_half_of_the_model_each_learn_what_one_does(
    whole: Path, tmp_path: Path
) -> None:
    assert run_in_processes(partial(train, tmp_path, True), 2) == 0
    assert_same(tmp_path, whole)
    found = sharding.find_shards(tmp_path)
    assert found is not None
    assert found.name == "state_000000008"
    assert len(list(found.glob("*.safetensors"))) == 2
    assert list(tmp_path.glob("state_*")) == [found]
    averages = sharding.read_averages(tmp_path)
    ended = load_file(tmp_path / "out")
    assert averages.keys() == {n for n in ended if not n.startswith("blocks.0")}
    for name, tensor in averages.items():
        assert torch.equal(tensor, ended[name])


def train_to_the_fifth(folder: Path) -> int:
    return train(folder, True, replace(CONFIG, steps=5))


def test_a_state_of_two_processes_is_gone_on_with_by_three(whole: Path, tmp_path: Path) -> None:
    run_in_processes(partial(train_to_the_fifth, tmp_path), 2)
    (tmp_path / "state_000000007.part").mkdir()  # what a kill leaves is not taken for a state
    run_in_processes(partial(train, tmp_path, True), 3)
    assert_same(tmp_path, whole)
    with pytest.raises(BadConfig, match="begun with --sharded"):
        train(tmp_path, sharded=False)
