"""A decoder adapted to mattes."""

from __future__ import annotations

import pytest
import torch

from layert2v_engine.model.autoencoder import PatchDecoder
from layert2v_engine.model.lora import add_lora, lora_state, merge_lora
from layert2v_engine.model.matte_adapter import MatteProjection

LATENTS = torch.randn(2, 6, 4, 6, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def decoder() -> PatchDecoder:
    torch.manual_seed(0)
    decoder = PatchDecoder(6, 8, 4, (16, 8, 8), 1).eval()
    torch.nn.init.normal_(decoder.head.weight, std=0.1)
    return decoder.requires_grad_(False)


def test_a_new_projection_and_new_lora_change_nothing(decoder: PatchDecoder) -> None:
    latents = LATENTS[:, :, None]
    assert torch.equal(MatteProjection(6, width=16)(latents), latents)
    adapted = add_lora(decoder, rank=2, alpha=2.0)
    assert torch.equal(adapted(LATENTS), decoder(LATENTS))


def test_merged_lora_equals_the_adapted_decoder(decoder: PatchDecoder) -> None:
    adapted = add_lora(decoder, rank=2, alpha=4.0)
    for name, parameter in adapted.named_parameters():
        if name.endswith("up.weight"):
            torch.nn.init.normal_(parameter, std=0.1)
    merged = merge_lora(decoder, lora_state(adapted))
    torch.testing.assert_close(merged(LATENTS), adapted(LATENTS), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(merged(LATENTS), decoder(LATENTS), atol=1e-3)
