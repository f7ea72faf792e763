from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fakes.tiny_model import write_tiny_model
from layert2v import stack as manifest
from layert2v.spec import GenerateSpec
from layert2v_engine.engine import Engine, Progress
from layert2v_engine.errors import Cancelled, InvalidSpec, ModelNotFound, StackError
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.stack.inspect import inspect

SPEC = GenerateSpec(prompt="a red fox running through a forest at night", model="mini", seed=3)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models"))


def never() -> bool:
    return False


def ignore(_progress: Progress) -> None:
    pass


def stop_at(stage: str) -> tuple[Callable[[Progress], None], Callable[[], bool]]:
    reached: list[str] = []
    return (lambda p: reached.append(p.stage)), (lambda: stage in reached)


def test_a_prompt_becomes_a_stack_that_a_second_library_confirms(
    models: Path, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    stack = Engine(models).generate(SPEC, tmp_path / "fox", report=seen.append, cancelled=never)
    assert [layer.name for layer in stack.layers] == ["bg", "shadow_01", "fg_01"]
    assert (stack.seed, stack.frames, stack.prompt_interpretation) == (
        3,
        5,
        "fox, running, forest, night",
    )
    assert manifest.read(tmp_path / "fox") == stack
    assert stack.name == "a_red_fox_running_through_a_forest_at_ni"
    assert not inspect(tmp_path / "fox", stack).problems
    fractions = [p.fraction for p in seen]
    assert fractions == sorted(fractions)
    assert {p.stage for p in seen} == {"load", "text", "denoise", "decode", "write"}
    assert any(p.preview for p in seen)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    models: Path, tmp_path: Path
) -> None:
    engine = Engine(models)

    def hashes(name: str, seed: int) -> list[str]:
        spec = GenerateSpec(**{**vars(SPEC), "seed": seed})
        stack = engine.generate(spec, tmp_path / name, report=ignore, cancelled=never)
        return [file.sha256 for file in stack.layer("fg_01").files]

    assert hashes("a", 3) == hashes("b", 3)
    assert hashes("c", 4) != hashes("a2", 3)


@pytest.mark.parametrize("stage", ["text", "denoise", "decode", "write"])
def test_a_cancelled_job_leaves_nothing(models: Path, tmp_path: Path, stage: str) -> None:
    report, cancelled = stop_at(stage)
    with pytest.raises(Cancelled):
        Engine(models).generate(SPEC, tmp_path / "fox", report=report, cancelled=cancelled)
    assert not (tmp_path / "fox").exists()


def test_a_seed_is_chosen_and_recorded_when_none_is_given(models: Path, tmp_path: Path) -> None:
    spec = GenerateSpec(prompt="a fox", model="mini")
    stack = Engine(models).generate(spec, tmp_path / "fox", report=ignore, cancelled=never)
    assert stack.seed >= 0
    assert stack.history[0].spec["seed"] == stack.seed


def test_a_request_outside_the_limits_is_refused_before_anything_is_written(
    models: Path, tmp_path: Path
) -> None:
    spec = GenerateSpec(prompt="a fox", model="mini", width=40)
    with pytest.raises(InvalidSpec, match="multiple of 16"):
        Engine(models).generate(spec, tmp_path / "fox", report=ignore, cancelled=never)
    assert not (tmp_path / "fox").exists()


def test_an_unknown_model_names_the_known_ones(models: Path, tmp_path: Path) -> None:
    spec = GenerateSpec(prompt="a fox", model="sora")
    with pytest.raises(ModelNotFound, match="mini"):
        Engine(models).generate(spec, tmp_path / "fox", report=ignore, cancelled=never)
    with pytest.raises(ModelNotFound, match="no model called 'nobody'"):
        LayeredPipeline.from_pretrained("nobody")


def test_a_folder_that_cannot_be_used_is_refused_before_any_work(
    models: Path, tmp_path: Path
) -> None:
    seen: list[Progress] = []
    engine = Engine(models)
    engine.generate(SPEC, tmp_path / "fox", report=ignore, cancelled=never)
    before = sorted(tmp_path.rglob("*"))
    (tmp_path / "file").touch()
    for folder, sentence in (
        (tmp_path / "fox", "already a layer stack"),
        (tmp_path / "file" / "fox", "Not a directory"),
        (Path("/proc"), "could not be written"),
    ):
        with pytest.raises(StackError, match=sentence):
            engine.generate(SPEC, folder, report=seen.append, cancelled=never)
    assert seen == []
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "file"])


def test_every_stage_is_counted_to_its_end(models: Path, tmp_path: Path) -> None:
    last: dict[str, Progress] = {}
    Engine(models).generate(
        SPEC, tmp_path / "fox", report=lambda p: last.update({p.stage: p}), cancelled=never
    )
    assert [p.stage for p in last.values() if p.done != p.total] == ["write"]  # then the previews


def test_the_first_frame_is_that_of_the_full_decode(models: Path) -> None:
    pipeline = LayeredPipeline.from_pretrained(models / "mini")
    latents = torch.randn(1, 5, 4, 2, 4, 6, generator=torch.Generator().manual_seed(1))
    full = next(pipeline.decode(latents, 1)).composite[0, :, 0]
    assert torch.equal(pipeline.decode_first_frame(latents), full)
