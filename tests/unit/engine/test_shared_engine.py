"""A request that two processes share gives what one gives; others, and a cancel, leave nothing."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from fakes.tiny_model import write_tiny_model
from layert2v.spec import GenerateSpec
from layert2v_engine import engine, pipeline, shared_engine
from layert2v_engine.engine import Engine
from layert2v_engine.errors import Cancelled, InvalidSpec
from layert2v_engine.shared_engine import SharedEngine

SPEC = GenerateSpec(prompt="a fox in a forest", seed=7, steps=2)


def assist_in_float32(*arguments: Any) -> None:
    """Take part as another process does, and compute as the test does."""
    pipeline._autocast_dtype = lambda _: None
    shared_engine.assist(*arguments)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models"))


@pytest.fixture
def shared(models: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SharedEngine]:
    threads = torch.get_num_threads()
    # bfloat16, which processors that have it take, rounds a share otherwise than the whole.
    monkeypatch.setattr(pipeline, "_autocast_dtype", lambda _: None)
    monkeypatch.setattr(shared_engine, "assist", assist_in_float32)
    maker = SharedEngine(models, "cpu", devices=("cpu",), parallel="ring")
    yield maker
    maker.close()
    torch.set_num_threads(threads)


@pytest.fixture
def latents(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Return the latents of all stacks to come; files have them in half precision."""
    found: list[Tensor] = []
    monkeypatch.setattr(engine, "save_latents", lambda *arguments: found.append(arguments[2]))
    return found


def generate(maker: Engine | SharedEngine, folder: Path, spec: GenerateSpec = SPEC) -> None:
    maker.generate(spec, folder, report=lambda _: None, cancelled=lambda: False)


def test_two_processes_make_what_one_makes_and_a_cancel_ends_the_other(
    shared: SharedEngine, models: Path, latents: list[Tensor], tmp_path: Path
) -> None:
    with pytest.raises(InvalidSpec):
        generate(shared, tmp_path / "wrong", GenerateSpec(prompt="a fox", width=33))
    assert multiprocessing.active_children() == []  # it was refused before any is started
    generate(Engine(models), tmp_path / "alone")
    for name in ("first", "again"):  # the other process is started once
        generate(shared, tmp_path / name)
        torch.testing.assert_close(latents[-1], latents[0], atol=1e-5, rtol=0)
    assert len(multiprocessing.active_children()) == 1
    reports: list[str] = []
    with pytest.raises(Cancelled):  # while the other process computes, and would wait
        shared.generate(
            SPEC,
            tmp_path / "cancelled",
            report=lambda progress: reports.append(progress.stage),
            cancelled=lambda: "denoise" in reports,
        )
    assert multiprocessing.active_children() == []
