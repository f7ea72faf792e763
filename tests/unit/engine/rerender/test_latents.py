"""Latents of layers that are there: encoded pixels come back, masks become shares of cells."""

from __future__ import annotations

import struct
from copy import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes.sample_stacks import disc
from layert2v_engine.image.compositing import ShadowDomain, shadow_to_linear
from layert2v_engine.layout import Stream, StreamLayout, StreamRole
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.rerender.latents import (
    StreamEncoder,
    latent_mask,
    load_latents,
    save_latents,
)


def test_latent_masks_are_shares_of_cells() -> None:
    mask = torch.zeros(5, 16, 16)
    mask[0, :8, :8], mask[1:3, 8:] = 1, 1
    result = latent_mask(mask, (2, 2, 2))
    assert result.tolist() == [[[1, 0], [0, 0]], [[0, 0], [0.5, 0.5]]]
    assert latent_mask(mask[:1], (1, 2, 2)).shape == (1, 2, 2)


@pytest.mark.parametrize(
    "header", [" " * (1 << 20), "".join(f'"{k}":{{"data_offsets":[0,0]}},' for k in range(20))]
)
def test_latents_with_an_absurd_header_are_not_opened(
    tmp_path: Path, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "latents.safetensors"
    save_latents(path, {"matte": torch.ones(1, 1, 2, 2)}, "digest")
    assert load_latents(path, "digest").keys() == {"matte"}
    assert load_latents(path, "another") == {}
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
    monkeypatch.delattr("layert2v_engine.rerender.latents.safe_open")
    assert load_latents(path, "digest") == {}


@pytest.mark.parametrize("cut", [0, 5, 9, 60, 120])
def test_latents_that_are_cut_off_are_none(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "latents.safetensors"
    save_latents(path, {"matte": torch.ones(1, 1, 2, 2)}, "digest")
    path.write_bytes(path.read_bytes()[:cut])
    assert load_latents(path, "digest") == {}


@pytest.fixture(scope="module")
def mini() -> LayeredPipeline:
    return LayeredPipeline.from_pretrained("mini")


@pytest.mark.parametrize("role", ["background", "foreground", "matte", "shadow"])
def test_what_is_encoded_is_decoded_again(mini: LayeredPipeline, role: str) -> None:
    """With the shipped model: smooth pictures come back nearly as they were."""
    layout = StreamLayout.for_foregrounds(1)
    number = None if role == "background" else 1
    stream = Stream(role=StreamRole(role), foreground=number)
    height, width = mini.info.default_height, mini.info.default_width
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    alpha = torch.ones(height, width) if role == "background" else disc(height, width)
    pixels = torch.stack((x * 0.5, y * 0.4, 0.3 * torch.ones_like(x), torch.ones_like(x)), -1)
    pixels = (pixels * alpha[..., None]).half()
    latents = StreamEncoder(mini, layout, "lin_rec709_scene").encode(stream, [pixels] * 5)
    batch = torch.zeros(1, 5, *latents.shape)
    batch[0, layout.index(stream.name)] = latents
    first = next(mini.decode_streams(batch, layout, [stream.name]))[stream.name][0, :, 0]
    wanted = StreamEncoder(mini, layout, "lin_rec709_scene").model_input(
        stream.role, pixels.float()
    )
    assert float((first - wanted).square().mean().sqrt()) < 0.03


@pytest.mark.parametrize("domain", ["linear", "display"])
def test_a_delivered_shadow_is_seen_as_the_model_made_it(
    mini: LayeredPipeline, domain: ShadowDomain
) -> None:
    pipeline = copy(mini)
    pipeline.config = replace(mini.config, shadow_domain=domain)
    made = torch.linspace(0, 1, 12).reshape(3, 4)
    delivered = torch.zeros(3, 4, 4)
    delivered[..., 3] = shadow_to_linear(made) if domain == "display" else made
    encoder = StreamEncoder(pipeline, StreamLayout.for_foregrounds(1), "lin_rec709_scene")
    seen = encoder.model_input(StreamRole.shadow, delivered)
    torch.testing.assert_close(seen, made[None], atol=1e-5, rtol=0)


def test_a_model_sees_display_color_over_its_matte_color(mini: LayeredPipeline) -> None:
    pixels = torch.tensor([0.1, 0.1, 0.1, 0.5]).expand(2, 2, 4)  # premultiplied: 0.2 in light
    encoder = StreamEncoder(mini, StreamLayout.for_foregrounds(1), "lin_rec709_scene")
    display = 1.055 * 0.2 ** (1 / 2.4) - 0.055
    plain = encoder.model_input(StreamRole.background, pixels)
    over_gray = encoder.model_input(StreamRole.foreground, pixels)
    assert plain.unique().tolist() == pytest.approx([display], abs=1e-4)
    assert over_gray[0].unique().tolist() == pytest.approx(
        [0.5 * display + 0.5 * mini.config.matte_color], abs=1e-4
    )
