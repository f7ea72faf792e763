"""Wan 2.1 1.3B at its real width with random weights: it fits, and gives what diffusers' gives."""

from __future__ import annotations

import resource
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor

from fakes.tiny_model import INFO
from layert2v.spec import NO_SHADOWS, GenerateSpec, resolve
from layert2v_engine.layout import StreamRole
from layert2v_engine.model.autoencoder import WanAutoencoder
from layert2v_engine.model.checkpoint import CheckpointConfig, LatentNormalization
from layert2v_engine.model.components import Components
from layert2v_engine.model.matte_adapter import WanMatteProjection
from layert2v_engine.model.text import TextStates
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel, StreamRotary
from layert2v_engine.pipeline import LayeredPipeline

WAN_1_3B = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}
ROLES = [role.value for role in StreamRole if role is not StreamRole.shadow]


@torch.no_grad()
def test_a_block_of_real_width_is_that_of_stock_wan() -> None:
    torch.manual_seed(0)
    stock = WanTransformer3DModel(**WAN_1_3B | {"num_layers": 1}).eval()
    layered = LayeredWanTransformer3DModel(**WAN_1_3B | {"num_layers": 1}).eval()
    layered.load_state_dict(stock.state_dict(), strict=False)
    latents, text = torch.randn(1, 16, 2, 8, 12), torch.randn(1, 64, 4096)
    time = torch.tensor([700.0])
    theirs = stock(latents, time, text, return_dict=False)[0]
    ours = layered(latents[:, None], time, text[:, None], roles=[0], attended_prompts=((0,),))
    torch.testing.assert_close(ours.sample[:, 0], theirs, atol=1e-4, rtol=0)


class RandomText:
    """Stands in for UMT5-XXL, whose 11 GB prove nothing here."""

    width = 4096

    def encode(self, prompts: list[str]) -> TextStates:
        states, mask = torch.zeros(len(prompts), 64, 4096), torch.zeros(len(prompts), 64)
        for row, prompt in enumerate(prompts):
            count = 1 + len(prompt.split())
            states[row, :count], mask[row, :count] = torch.randn(count, 4096), 1
        return TextStates(states, mask.bool())

    def sentence_embeddings(self, texts: list[str]) -> Tensor:
        return torch.randn(len(texts), 8)


@pytest.mark.slow
def test_a_whole_request_of_1_3b_in_bfloat16_on_a_cpu() -> None:
    """Layers of one foreground at few tokens; 2.8 GB of weights, and no second copy of them."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("meta"):
            transformer = LayeredWanTransformer3DModel(**WAN_1_3B, roles=ROLES)
        transformer = transformer.to_empty(device="cpu").eval()
        vae = AutoencoderKLWan()
    finally:
        torch.set_default_dtype(torch.float32)
    noise = torch.randn(4_000_037, dtype=torch.bfloat16) * 0.02  # drawn once, and laid end to end
    for parameter in transformer.parameters():
        for piece in parameter.requires_grad_(False).view(-1).split(len(noise)):
            piece.copy_(noise[: len(piece)])
    transformer.rope = StreamRotary((0, 44, 42, 42), 1024)  # its tables are no parameters
    autoencoder = WanAutoencoder(vae.float().eval().requires_grad_(False))
    identity = LatentNormalization(latents_mean=(0.0,) * 16, latents_std=(1.0,) * 16)
    info = replace(INFO, vocabulary={}, abilities=("generate", NO_SHADOWS), default_steps=2)
    config = CheckpointConfig(
        info=replace(info, default_width=64, default_height=64),
        latent_normalization=dict.fromkeys(ROLES, identity),
        text_encoder="umt5",
        shift=5.0,
    )
    parts = Components(
        transformer=transformer,
        vae=autoencoder,
        matte_vae=autoencoder,
        text_encoder=RandomText(),
        matte_projection=WanMatteProjection().eval(),
    )
    pipeline = LayeredPipeline(config, parts, torch.device("cpu"))
    spec = resolve(GenerateSpec(prompt="a fox running in a forest"), pipeline.info, 1)
    plan = pipeline.plan(spec)
    latents = pipeline.sample(spec, plan)
    assert latents.shape == (1, 4, 16, 2, 8, 8)
    assert latents.isfinite().all()
    frames = [group.composite.shape[2] for group in pipeline.decode(latents, 1)]
    assert frames == [1, 4]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    assert peak < 9.0, f"{peak:.1f} GB"
