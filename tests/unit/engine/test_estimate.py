"""What a run costs, against what it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fakes.tiny_model import write_tiny_model
from layert2v_engine.cli.main import main
from layert2v_engine.devices import CPU
from layert2v_engine.errors import ModelNotFound
from layert2v_engine.estimate import (
    ModelShape,
    decoder_cache_bytes,
    estimate_run,
    read_shape,
)
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.memory import MemoryOptions, exact_options
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel


def test_tokens_are_those_of_the_published_tables() -> None:
    """Four streams of 832 x 480 x 81 are 131,040 tokens."""
    shape = read_shape("wan-1.3b", CPU, None)
    run = estimate_run(
        ModelShape(
            **{n: getattr(shape, n) for n in ModelShape.__slots__} | {"makes_shadows": False}
        ),
        size=(832, 480),
        frames=81,
        foregrounds=1,
        steps=50,
        guided=True,
    )
    assert (run.streams, run.tokens) == (4, 131_040)
    assert run.memory["transformer"] == pytest.approx(2 * 1.419e9, rel=2e-3)


def test_arithmetic_is_what_the_network_does() -> None:
    settings = {"num_attention_heads": 4, "ffn_dim": 1024, "num_layers": 2, "text_dim": 64}
    shape = ModelShape(
        transformer=settings,
        autoencoder={"scale_factor_spatial": 8, "z_dim": 16},
        weights={},
        dtype=torch.float32,
        text_tokens=64,
    )
    run = estimate_run(shape, size=(128, 96), frames=9, foregrounds=1, steps=1, guided=False)
    layout = StreamLayout.for_foregrounds(1)
    model = LayeredWanTransformer3DModel(**settings).eval()
    plain = sdpa_kernel(SDPBackend.MATH)  # products that the counter sees
    with torch.no_grad(), plain, FlopCounterMode(display=False) as counter:
        model(
            torch.randn(1, 5, 16, 3, 12, 16),
            torch.zeros(1, 5),
            torch.randn(1, 3, 64, 64),
            roles=range(5),
            attended_prompts=layout.attended_prompts,
        )
    assert run.tokens == 5 * 3 * 6 * 8
    assert run.flops == pytest.approx(counter.get_total_flops(), rel=0.1)


def test_the_cache_of_a_decoder_is_what_it_holds() -> None:
    settings = {"base_dim": 8, "z_dim": 16, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 1}
    vae = AutoencoderKLWan(**settings).eval()
    cache: list = [None] * vae._cached_conv_counts["decoder"]
    with torch.no_grad():
        for index in range(4):
            latent = torch.randn(1, 16, 1, 4, 6)
            vae.decoder(latent, feat_cache=cache, feat_idx=[0], first_chunk=index == 0)
    held = sum(each.nbytes for each in cache if isinstance(each, torch.Tensor))
    assert decoder_cache_bytes(dict(vae.config), (48, 32)) == held > 0


def test_a_request_is_planned_without_weights(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["plan", "--model", "wan-1.3b", "--size", "832x480", "--foregrounds", "2"]
    command += ["--device", "cpu"]
    assert main([*command, "--frames", "81", "--memory", "140"]) == 0
    out = capsys.readouterr().out
    assert "8 streams, 262,080 tokens" in out
    command[2] = "wan-14b"
    assert main([*command, "--frames", "81", "--memory", "62"]) == 1
    assert "fits with --one-stream-decode" in capsys.readouterr().out
    assert main([*command, "--frames", "81", "--memory", "62", "--fit"]) == 0
    assert "switched on: --one-stream-decode" in capsys.readouterr().out
    assert main([*command, "--frames", "81", "--memory", "20", "--fit"]) == 1
    assert "frames fit, or fewer foregrounds" in capsys.readouterr().out


def test_long_clips_are_guided_in_turn_and_take_no_more() -> None:
    shape = read_shape("wan-1.3b", torch.device("cuda"), None)
    size = {"size": (832, 480), "frames": 81, "foregrounds": 1, "steps": 1}
    plain, guided = (estimate_run(shape, **size, guided=each) for each in (False, True))
    assert guided.memory["transformer pass"] == plain.memory["transformer pass"]
    assert guided.flops == 2 * plain.flops


def test_no_option_takes_more() -> None:
    shape = read_shape("wan-14b", torch.device("cuda"), None)
    size = {"size": (832, 480), "frames": 81, "foregrounds": 2, "steps": 50, "guided": True}
    runs = [
        estimate_run(shape, **size, options=each) for each in exact_options(torch.device("cuda"))
    ]
    peaks = [run.peak for run in runs]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[-1] < 0.65 * peaks[0]
    float8 = estimate_run(shape, **size, options=MemoryOptions(float8=True))
    assert float8.memory["transformer"] < 0.55 * runs[0].memory["transformer"]


def test_an_impossible_size_names_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["plan", "--model", "wan-1.3b", "--size", "830x480", "--frames", "80"]
    assert main([*command, "--device", "cpu"]) != 0
    assert "--size 832x480 --frames 81" in capsys.readouterr().err


def test_a_model_here_is_planned_by_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = write_tiny_model(tmp_path / "models")
    command = ["plan", "--model", "mini", "--models", str(models), "--size", "48x32"]
    assert main([*command, "--frames", "5", "--device", "cpu"]) == 0
    assert f"{5 * 2 * 2 * 3} tokens" in capsys.readouterr().out


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(ModelNotFound, match="wan-14b"):
        read_shape("nope", CPU, None)
