"""Two processes that share a run end with what one process gives."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from fakes.tiny_model import write_tiny_model
from fakes.tiny_transformer import tiny_transformer
from layert2v.stack import loads
from layert2v_engine.cli.main import main
from layert2v_engine.errors import BadConfig
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.parallel import (
    Parallelism,
    TokenShare,
    check_parallelism,
    value_of_first,
)
from layert2v_engine.model.speed import SpeedOptions
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.denoise import InitLatents, denoise
from layert2v_engine.sampling.guidance import Conditioning, Guidance
from layert2v_engine.sampling.kv_cache import make_predictor
from layert2v_engine.sampling.solvers import make_sampler
from layert2v_engine.training.data_parallel import run_in_processes

LAYOUT = StreamLayout.for_foregrounds(1)
SHAPE = (1, len(LAYOUT), 4, 3, 8, 8)


def network() -> LayeredWanTransformer3DModel:
    model = tiny_transformer()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def sample(kind: Parallelism | None, frozen: tuple[int, ...]) -> Tensor:
    """Return latents of a guided run, part of whose steps are not guided."""
    model = network()
    if kind in (Parallelism.ulysses, Parallelism.ring):
        model.share_tokens(kind)
    rng = torch.Generator().manual_seed(1)
    noise, clean = (torch.randn(SHAPE, generator=rng) for _ in range(2))
    texts = (torch.randn(1, 3, length, 8, generator=rng) for length in (5, 4))
    return denoise(
        make_predictor(model, LAYOUT, frozen, attention="one_way"),
        noise,
        make_sampler("euler", 3, shift=2.0),
        *(Conditioning(states, None) for states in texts),
        Guidance(scale=2.5, interval=(0.3, 1.0), is_shared=kind is Parallelism.guidance),
        init=InitLatents(latents=clean, frozen=frozen),
    )


def share_runs(folder: Path) -> int:
    """Compare every way of sharing with a process alone, and generate with one of them."""
    for frozen in ((), (1, 3)):
        alone = sample(None, frozen)
        for kind in Parallelism:
            torch.testing.assert_close(sample(kind, frozen), alone, atol=1e-5, rtol=0)
    assert value_of_first({"rank": dist.get_rank()}) == {"rank": 0}
    with pytest.raises(BadConfig, match="cannot share 3 heads"):
        check_parallelism(Parallelism.ulysses, 3)
    with pytest.raises(BadConfig, match="cannot share 7 tokens a stream"):
        TokenShare(Parallelism.ring).split(torch.zeros(1, 2, 7, 4))
    os.environ |= {"WORLD_SIZE": "2", "LOCAL_RANK": str(dist.get_rank())}
    command = ["generate", "a fox in a forest", "--models", str(folder), "--device", "cpu"]
    return main([*command, "--out", str(folder / "out"), "--parallel", "ring"])


def test_two_processes_share_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WORLD_SIZE", "LOCAL_RANK"):  # what the run sets is taken back
        monkeypatch.setenv(name, "1")
    write_tiny_model(tmp_path)
    assert run_in_processes(partial(share_runs, tmp_path), 2) == 0
    assert loads((tmp_path / "out" / "stack.json").read_text()).frames == 5


def test_a_process_alone_shares_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["generate", "a fox", "--out", str(tmp_path / "out"), "--parallel", "ulysses"]
    assert main(command) != 0
    assert "shares a run among processes, and there is one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(BadConfig, match="there is one"):
        check_parallelism(Parallelism.ring, 2)
    assert value_of_first(3) == 3


@pytest.mark.parametrize(
    "options",
    [
        partial(SpeedOptions, compile=True),
        partial(SpeedOptions, skip=0.1),
        partial(SpeedOptions, predict=2),
    ],
)
def test_what_was_never_tried_together_is_refused(options: Callable[..., SpeedOptions]) -> None:
    with pytest.raises(BadConfig, match="neither compiled nor skips"):
        options(parallel=Parallelism.ring)
