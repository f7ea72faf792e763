"""Wan's autoencoder against recorded outputs of the authors' code, through our interface."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from layert2v_engine.model.autoencoder import WanAutoencoder
from layert2v_engine.model.components import (
    DECODER_LORA,
    load_matte_projection,
    load_matte_vae,
)
from layert2v_engine.model.wan_import import (
    convert_autoencoder,
    convert_matte_lora,
    convert_matte_projection,
)

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


@pytest.fixture(scope="module")
def autoencoder(dump: dict[str, Tensor], meta: dict) -> WanAutoencoder:
    return WanAutoencoder(convert_autoencoder(part(dump, "w."), meta["config"]))


def decode(autoencoder: WanAutoencoder, latents: Tensor) -> Tensor:
    """Return the video before it is clamped, so that every pixel can tell two decoders apart."""
    return torch.cat(list(autoencoder.decode_unclamped(latents)), dim=2)


@torch.no_grad()
def test_parity_of_encoding_and_decoding(
    dump: dict[str, Tensor], autoencoder: WanAutoencoder
) -> None:
    latents = autoencoder.encode_video(dump["in.video"])
    torch.testing.assert_close(latents, dump["out.z"], atol=1e-4, rtol=0)
    video = decode(autoencoder, dump["out.z"])
    torch.testing.assert_close(video, dump["out.recon"], atol=1e-4, rtol=0)


@torch.no_grad()
def test_parity_of_the_decoder_for_mattes(
    dump: dict[str, Tensor], meta: dict, autoencoder: WanAutoencoder, tmp_path: Path
) -> None:
    lora = convert_matte_lora(part(dump, "lora."), meta["lora_alpha"] / meta["lora_rank"])
    assert len(lora) == 3 * 34
    save_file(lora, tmp_path / DECODER_LORA)
    adapted = load_matte_vae(autoencoder, tmp_path)
    assert isinstance(adapted, WanAutoencoder)
    video = decode(adapted, dump["out.z"])
    torch.testing.assert_close(video, dump["out.recon_lora"], atol=1e-4, rtol=0)
    color = decode(autoencoder, dump["out.z"])
    torch.testing.assert_close(color, dump["out.recon"], atol=1e-4, rtol=0)


@torch.no_grad()
def test_parity_of_the_projection_of_mattes(
    dump: dict[str, Tensor], meta: dict, tmp_path: Path
) -> None:
    projection = convert_matte_projection(part(dump, "proj."), meta)
    projection.save_pretrained(tmp_path)
    loaded = load_matte_projection(tmp_path, torch.device("cpu"))
    torch.testing.assert_close(loaded(dump["out.z"]), dump["out.z_projected"], atol=1e-4, rtol=0)
