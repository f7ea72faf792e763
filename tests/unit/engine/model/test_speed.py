"""Faster attention that is checked, and blocks that are skipped when asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fakes.tiny_model import write_tiny_model
from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.errors import BadConfig, BadDevice
from layert2v_engine.model import speed
from layert2v_engine.model.speed import SpeedOptions, attention_error
from layert2v_engine.pipeline import LayeredPipeline

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models")) / "mini"


def latents(folder: Path, options: SpeedOptions | None = None, times: int = 1) -> Tensor:
    pipeline = LayeredPipeline.from_pretrained(folder, speed=options)
    spec = resolve(GenerateSpec("a fox in a forest", steps=6), pipeline.info, 1)
    plan = pipeline.plan(spec)
    return [pipeline.sample(spec, plan) for _ in range(times)][-1]


@pytest.mark.parametrize("backend", ["native", "_native_math"])
def test_a_backend_of_the_cpu_passes_its_check(backend: str, folder: Path) -> None:
    assert attention_error(backend, CPU, torch.float32) < 1e-5
    assert attention_error(backend, CPU, torch.bfloat16) < speed.MAX_ATTENTION_ERROR
    plain, other = latents(folder), latents(folder, SpeedOptions(attention=backend))
    torch.testing.assert_close(other, plain, atol=0.1, rtol=0.1)


def test_a_backend_that_computes_something_else_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = speed.dispatch_attention_fn
    monkeypatch.setattr(speed, "dispatch_attention_fn", lambda *a, **k: 1.05 * right(*a, **k))
    with pytest.raises(BadDevice, match=r"native is off by 5\.0% on cpu; 1% is allowed"):
        latents(folder, SpeedOptions(attention="native"))


def test_a_backend_that_is_not_here_is_refused(folder: Path) -> None:
    with pytest.raises(BadDevice, match="does not run on cpu"):
        attention_error("_native_cudnn", CPU, torch.float32)
    with pytest.raises(BadConfig, match="no attention backend 'fast'"):
        SpeedOptions(attention="fast")
    with pytest.raises(BadConfig, match="cannot be"):
        SpeedOptions(skip=1.5)


def test_skipping_nothing_is_exact_and_skipping_all_is_not(folder: Path) -> None:
    plain = latents(folder)
    assert torch.equal(latents(folder, SpeedOptions(skip=1e-9)), plain)
    skipped = latents(folder, SpeedOptions(skip=0.99))
    assert not torch.equal(skipped, plain)
    assert skipped.isfinite().all()


def test_passes_that_take_turns_skip_apart(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("layert2v_engine.sampling.guidance.BATCHED_NUMBERS", 0)
    plain = latents(folder)
    assert torch.equal(latents(folder, SpeedOptions(skip=1e-9)), plain)
    assert not torch.equal(latents(folder, SpeedOptions(skip=0.99)), plain)


def test_predicted_steps_follow_a_line(folder: Path) -> None:
    """The third of six steps is the first to be predicted; until then nothing differs."""
    plain, steps = {}, {}
    for found, options in ((plain, None), (steps, SpeedOptions(predict=2))):
        pipeline = LayeredPipeline.from_pretrained(folder, speed=options)
        spec = resolve(GenerateSpec("a fox in a forest", steps=6), pipeline.info, 1)
        pipeline.sample(
            spec, pipeline.plan(spec), lambda s, found=found: found.update({s.done: s.estimate})
        )
    same = [torch.equal(plain[step], steps[step]) for step in range(1, 7)]
    assert same == [True, True, True, False, False, False]
    error = (steps[6] - plain[6]).square().mean().sqrt() / plain[6].square().mean().sqrt()
    assert error < 0.3
    assert torch.equal(latents(folder, SpeedOptions(predict=2), times=2), steps[6])


def test_predictions_are_every_second_step_or_rarer() -> None:
    with pytest.raises(BadConfig, match="One step in 1 cannot be computed"):
        SpeedOptions(predict=1)
    with pytest.raises(BadConfig, match="nor blocks be skipped beside it"):
        SpeedOptions(predict=2, skip=0.1)


def test_a_run_knows_nothing_of_the_one_before(folder: Path) -> None:
    options = SpeedOptions(skip=0.99)
    assert torch.equal(latents(folder, options, times=2), latents(folder, options))
