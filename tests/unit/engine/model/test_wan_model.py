"""A model made of a stock Wan folder: equal to Wan, and a start for layers."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from torch import Tensor

from fakes.tiny_wan import SHIFT, stock_pipeline, write_stock_folder
from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v_engine.cli.main import main
from layert2v_engine.engine import Engine
from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.layout import Stream, StreamLayout, StreamRole
from layert2v_engine.model.autoencoder import decode_video
from layert2v_engine.model.checkpoint import read_index
from layert2v_engine.model.wan_model import WanModelOptions, convert_model
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.prompting.planner import PromptPlan
from layert2v_engine.sampling.denoise import stream_noise
from layert2v_engine.sampling_request import SamplingRequest
from layert2v_engine.stack.inspect import inspect

ONE_STREAM = StreamLayout((Stream(role=StreamRole.composite),))
OPTIONS = WanModelOptions(name="wan", title="Wan")
PROMPT, NEGATIVE = "a fox &amp; a  bear running through the snow", "bad"


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stock_folder(tmp_path_factory.mktemp("stock") / "wan")


@pytest.fixture(scope="module")
def models(stock: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, more in (("wan", []), ("bare", ["--no-shadows"])):
        command = ["convert", "--from", str(stock), "--foregrounds", "2", *more]
        assert main([*command, "--out", str(folder / name)]) == 0
    return folder


@pytest.fixture(scope="module")
def pipeline(models: Path) -> LayeredPipeline:
    return LayeredPipeline.from_pretrained(models / "wan")


def request(guidance: float, steps: int) -> SamplingRequest:
    plan = PromptPlan(
        global_prompt=PROMPT,
        foregrounds=(),
        background="",
        negative=NEGATIVE,
        interpretation="",
        warnings=(),
    )
    size = {"frames": 9, "height": 48, "width": 64}
    return SamplingRequest(
        layout=ONE_STREAM, plan=plan, seed=1, steps=steps, guidance=guidance, **size
    )


@pytest.mark.parametrize("guidance", [1.0, 5.0])
@pytest.mark.parametrize("steps", [1, 6])
def test_one_stream_equals_the_pipeline_as_it_is_shipped(
    stock: Path,
    pipeline: LayeredPipeline,
    monkeypatch: pytest.MonkeyPatch,
    guidance: float,
    steps: int,
) -> None:
    """Text cleaned and padded, noise levels and times, guidance, and the decoded video."""
    monkeypatch.setattr("layert2v_engine.pipeline._autocast_dtype", lambda _device: None)
    theirs = WanPipeline.from_pretrained(stock)
    theirs.set_progress_bar_config(disable=True)
    noise = stream_noise(["composite"], (16, 3, 6, 8), 1)
    options = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "height": 48, "width": 64}
    options |= {"num_frames": 9, "num_inference_steps": steps, "guidance_scale": guidance}
    latents = theirs(**options, latents=noise[:, 0].clone(), output_type="latent").frames
    ours = pipeline.sample_request(request(guidance, steps))[:, 0]
    torch.testing.assert_close(ours, latents, atol=1e-4, rtol=0)
    video = theirs(**options, latents=noise[:, 0].clone(), output_type="pt").frames
    decoded = decode(pipeline, latents)
    torch.testing.assert_close(decoded, video[0], atol=1e-4, rtol=0)


def test_wan_22_of_one_transformer_is_converted_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("layert2v_engine.pipeline._autocast_dtype", lambda _device: None)
    stock = write_stock_folder(tmp_path / "stock", "2.2")
    config = convert_model(stock, tmp_path / "model", OPTIONS)
    assert config.info.size_step == 32
    theirs = WanPipeline.from_pretrained(stock)
    theirs.set_progress_bar_config(disable=True)
    noise = stream_noise(["composite"], (12, 3, 4, 4), 1)
    video = theirs(
        prompt=PROMPT,
        negative_prompt=NEGATIVE,
        height=64,
        width=64,
        num_frames=9,
        num_inference_steps=4,
        guidance_scale=5.0,
        latents=noise[:, 0].clone(),
        output_type="pt",
    ).frames
    ours = LayeredPipeline.from_pretrained(tmp_path / "model")
    latents = ours.sample_request(replace(request(5.0, 4), height=64))[:, 0]
    torch.testing.assert_close(decode(ours, latents), video[0], atol=1e-4, rtol=0)


@torch.no_grad()
def decode(pipeline: LayeredPipeline, latents: Tensor) -> Tensor:
    """Return frames [T, 3, H, W] in 0..1."""
    return decode_video(pipeline.components.vae, latents)[0].transpose(0, 1) * 0.5 + 0.5


def test_it_declares_what_it_is(models: Path) -> None:
    config = read_index(models / "wan")
    assert (config.text_padding, config.noise_levels, config.shift) == (
        "attended",
        "diffusers",
        SHIFT,
    )
    assert (config.untrained, config.info.max_foregrounds) == (True, 2)
    assert config.info.makes_shadows
    assert not read_index(models / "bare").info.makes_shadows
    assert config.info.size_step == 16


@pytest.mark.parametrize(("model", "layers"), [("wan", 5), ("bare", 3)])
def test_it_generates_layers_and_says_that_it_is_untrained(
    models: Path, tmp_path: Path, model: str, layers: int
) -> None:
    spec = GenerateSpec(
        prompt=PROMPT,
        foreground_prompts=("a fox", "a bear"),
        background_prompt="the snow",
        model=model,
        width=64,
        height=64,
        frames=5,
        seed=1,
        steps=2,
    )
    stack = Engine(models).generate(spec, tmp_path, report=lambda _: None, cancelled=lambda: False)
    assert len(stack.layers) == layers
    assert f"{model} is untrained" in stack.warnings[0]
    assert not inspect(tmp_path, stack).problems


@pytest.mark.parametrize(
    ("prompts", "global_prompt"),
    [
        ({}, "a bear running through the snow"),
        ({"bg": "a beach"}, "a bear running through a beach"),
    ],
)
def test_a_layer_that_is_generated_again_follows_the_artists_sentence(
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prompts: dict[str, str],
    global_prompt: str,
) -> None:
    """And the background hears of no subject."""
    seen: list[PromptPlan] = []
    sample = LayeredPipeline.sample_request

    def record(pipeline: LayeredPipeline, request: SamplingRequest, *options: Any) -> Tensor:
        seen.append(request.plan)
        return sample(pipeline, request, *options)

    monkeypatch.setattr(LayeredPipeline, "sample_request", record)
    spec = GenerateSpec(
        prompt="a bear running through the snow", model="bare", width=64, height=64, frames=1
    )
    quiet: dict[str, Any] = {"report": lambda _: None, "cancelled": lambda: False}
    engine = Engine(models)
    engine.generate(replace(spec, steps=1, seed=1), tmp_path, **quiet)
    assert seen[0].global_prompt == spec.prompt
    assert (seen[0].foregrounds, seen[0].background) == (("a bear running",), "the snow")
    again = RerenderSpec(action="regenerate", layers=("bg",), prompts=prompts, steps=1)
    engine.rerender(again, tmp_path, inputs={}, **quiet)
    figure = RerenderSpec(action="regenerate", layers=("fg_01",), steps=1)
    engine.rerender(figure, tmp_path, inputs={}, **quiet)
    assert [plan.global_prompt for plan in seen[1:]] == [global_prompt] * 2
    assert seen[2].background == prompts.get("bg", "the snow")


def test_a_stock_folder_is_distinguished_from_a_damaged_one(stock: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"knows no layers.*layert2v-engine convert"):
        LayeredPipeline.from_pretrained(stock)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ({"transformer_2": ["diffusers", "WanTransformer3DModel"]}, "has two transformers"),
        ({"_class_name": "WanImageToVideoPipeline"}, "is a WanImageToVideoPipeline"),
    ],
)
def test_other_pipelines_are_refused_and_nothing_is_left(
    stock: Path, tmp_path: Path, index: dict, message: str
) -> None:
    source = Path(shutil.copytree(stock, tmp_path / "other"))
    path = source / "model_index.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | index))
    with pytest.raises(BadCheckpoint, match=message):
        convert_model(source, tmp_path / "out", OPTIONS)
    assert {each.name for each in tmp_path.iterdir()} == {"other"}


@pytest.mark.parametrize("part", ["vae", "tokenizer", "transformer"])
def test_a_missing_part_is_named_and_nothing_is_left(
    stock: Path, tmp_path: Path, part: str
) -> None:
    source = Path(shutil.copytree(stock, tmp_path / "torn"))
    shutil.rmtree(source / part)
    with pytest.raises(ModelNotFound, match=f"torn/{part}"):
        convert_model(source, tmp_path / "out", OPTIONS)
    assert {each.name for each in tmp_path.iterdir()} == {"torn"}


@pytest.mark.parametrize(
    ("part", "message"),
    [("vae", "16 channels.* makes 12"), ("text_encoder", "text of width 32.* makes 48")],
)
def test_parts_of_two_versions_are_refused_and_nothing_is_left(
    stock: Path, tmp_path: Path, part: str, message: str
) -> None:
    source = Path(shutil.copytree(stock, tmp_path / "mixed"))
    if part == "vae":
        shutil.rmtree(source / part)
        stock_pipeline("2.2").vae.save_pretrained(source / part)
    else:
        path = source / part / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"d_model": 48}))
    with pytest.raises(BadCheckpoint, match=f"mixes versions.*{message}"):
        convert_model(source, tmp_path / "out", OPTIONS)
    assert {each.name for each in tmp_path.iterdir()} == {"mixed"}


def test_truncated_weights_are_named_and_nothing_is_left(stock: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(stock, tmp_path / "torn"))
    path = source / "transformer" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadCheckpoint, match="safetensors cannot be used"):
        convert_model(source, tmp_path / "out", OPTIONS)
    assert {each.name for each in tmp_path.iterdir()} == {"torn"}
