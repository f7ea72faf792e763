"""Wan's autoencoder against recorded outputs of the authors' code, through our interface."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from layert2v_engine.model.autoencoder import WanAutoencoder, decode_video
from layert2v_engine.model.wan_import import convert_autoencoder, merge_matte_lora

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def dump(parity_dir: Path) -> dict[str, Tensor]:
    return load_file(parity_dir / "vae.safetensors")


@pytest.fixture(scope="module")
def meta(parity_dir: Path) -> dict:
    with safe_open(parity_dir / "vae.safetensors", "pt") as file:
        return json.loads(file.metadata()["meta"])


def part(dump: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in dump.items() if k.startswith(prefix)}


@torch.no_grad()
def test_parity_of_encoding_and_decoding(dump: dict[str, Tensor], meta: dict) -> None:
    autoencoder = WanAutoencoder(convert_autoencoder(part(dump, "w."), meta["config"]))
    latents = autoencoder.encode_video(dump["in.video"])
    torch.testing.assert_close(latents, dump["out.z"], atol=1e-4, rtol=0)
    video = decode_video(autoencoder, dump["out.z"])
    torch.testing.assert_close(video, dump["out.recon"].clamp(-1, 1), atol=1e-4, rtol=0)


@torch.no_grad()
def test_parity_of_the_decoder_for_mattes(dump: dict[str, Tensor], meta: dict) -> None:
    scale = meta["lora_alpha"] / meta["lora_rank"]
    weights = merge_matte_lora(part(dump, "w."), part(dump, "lora."), scale)
    autoencoder = WanAutoencoder(convert_autoencoder(weights, meta["config"]))
    video = decode_video(autoencoder, dump["out.z"])
    torch.testing.assert_close(video, dump["out.recon_lora"].clamp(-1, 1), atol=1e-4, rtol=0)
