"""What saves memory changes no pixel, or as little as it says, and lies where it should."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes.tiny_wan import write_stock_folder
from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.devices import CPU
from layert2v_engine.engine import Engine
from layert2v_engine.errors import OutOfMemory
from layert2v_engine.model.memory import (
    DeviceText,
    MemoryOptions,
    Offload,
    exact_options,
    on_device,
)
from layert2v_engine.model.wan_model import WanModelOptions, convert_model
from layert2v_engine.pipeline import LayeredPipeline

SPEC = GenerateSpec(
    prompt="a fox running in the snow",
    foreground_prompts=("a fox running",),
    background_prompt="the snow",
    model="wan",
    width=64,
    height=64,
    frames=9,
    steps=2,
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory")
    stock = write_stock_folder(folder / "stock")
    options = WanModelOptions(name="wan", title="Wan")
    convert_model(stock, folder / "models" / "wan", options)
    return folder / "models"


def load(models: Path, options: MemoryOptions) -> LayeredPipeline:
    return LayeredPipeline.from_pretrained(models / "wan", memory=options)


def sample(pipeline: LayeredPipeline) -> torch.Tensor:
    spec = resolve(SPEC, pipeline.info, 1)
    return pipeline.sample(spec, pipeline.plan(spec))


@pytest.fixture(scope="module")
def plain(models: Path) -> torch.Tensor:
    return sample(load(models, MemoryOptions()))


@pytest.mark.parametrize("offload", [Offload.model, Offload.group])
def test_offloading_changes_no_bit(models: Path, plain: torch.Tensor, offload: Offload) -> None:
    pipeline = load(models, MemoryOptions(offload=offload))
    assert isinstance(pipeline.components.text_encoder, DeviceText)
    assert torch.equal(sample(pipeline), plain)


def test_float8_halves_the_blocks_and_stays_near(models: Path, plain: torch.Tensor) -> None:
    pipeline = load(models, MemoryOptions(float8=True))
    weights = pipeline.components.transformer.blocks[0].ffn.net[2].weight
    assert weights.dtype is torch.float8_e4m3fn
    error = (sample(pipeline) - plain).square().mean((0, 2, 3, 4, 5)).sqrt()  # of each stream
    assert error.min() > 0
    assert error.max() < 0.03 * plain.square().mean().sqrt()


def test_streams_decoded_one_by_one_are_the_same(models: Path, plain: torch.Tensor) -> None:
    together = list(load(models, MemoryOptions()).decode(plain, 1))
    calls: list[None] = []
    pipeline = load(models, MemoryOptions(one_stream_decode=True))
    apart = list(pipeline.decode(plain, 1, on_group=lambda: calls.append(None)))
    assert len(calls) == 5 * len(together) == 15
    for one, other in zip(apart, together, strict=True):
        assert torch.equal(one.composite, other.composite)
        assert torch.equal(one.foregrounds[0].alpha, other.foregrounds[0].alpha)


def test_a_network_returns_to_the_cpu_when_a_run_fails() -> None:
    class Network:
        def __init__(self) -> None:
            self.places: list[torch.device] = []

        def to(self, device: torch.device) -> None:
            self.places.append(device)

    network, meta = Network(), torch.device("meta")
    with pytest.raises(KeyError), on_device(network, meta):
        raise KeyError
    assert network.places == [meta, CPU]


def test_what_is_tried_becomes_smaller() -> None:
    assert [str(each) for each in exact_options(torch.device("cuda"))] == [
        "nothing",
        "--one-stream-decode",
        "--one-stream-decode --offload model",
        "--one-stream-decode --offload group",
    ]
    assert not any(each.offload != "none" for each in exact_options(CPU))


def test_the_engine_switches_on_what_a_device_needs(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generate(engine: Engine, name: str) -> MemoryOptions:
        engine.generate(SPEC, tmp_path / name, report=lambda _: None, cancelled=lambda: False)
        pipeline = engine._pool.find(SPEC.model)
        assert pipeline is not None
        return pipeline.memory

    engine = Engine(models)
    assert generate(engine, "roomy") == MemoryOptions()
    monkeypatch.setattr("layert2v_engine.model_pool.device_memory", lambda _device: 1000)
    assert generate(engine, "tight") == MemoryOptions(one_stream_decode=True)
    monkeypatch.undo()
    assert generate(engine, "again") == MemoryOptions(one_stream_decode=True)  # kept
    assert generate(Engine(models, memory=MemoryOptions(float8=True)), "asked").float8


def test_models_stay_in_memory_while_they_fit(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = tmp_path / "models"
    for name in ("wan", "other"):
        shutil.copytree(models / "wan", two / name)
        index = two / name / "model_index.json"
        index.write_text(index.read_text().replace('"wan"', f'"{name}"'))
    engine = Engine(two)

    def run(name: str, folder: str) -> list[str]:
        spec = replace(SPEC, model=name)
        engine.generate(spec, tmp_path / folder, report=lambda _: None, cancelled=lambda: False)
        return [each for each in ("wan", "other") if engine._pool.find(each)]

    assert run("wan", "1") == ["wan"]
    first = engine._pool.find("wan")
    assert run("other", "2") == ["wan", "other"]
    assert run("wan", "3") == ["wan", "other"]
    assert engine._pool.find("wan") is first
    monkeypatch.setattr("layert2v_engine.model_pool.free_memory", lambda _device: 0)
    assert run("other", "4") == ["other"]
    assert run("wan", "5") == ["wan"]


def test_out_of_memory_tells_the_need(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(LayeredPipeline, "sample", fail)
    with pytest.raises(OutOfMemory, match=r"cpu has \d+\.\d GiB,.* It takes about \d+\.\d GiB"):
        Engine(models).generate(
            SPEC, tmp_path / "out", report=lambda _: None, cancelled=lambda: False
        )
    assert not (tmp_path / "out" / "stack.json").exists()
