"""Low-rank updates of a transformer's linear layers."""

from __future__ import annotations

import pytest
import torch

from layert2v_engine.model.lora import add_transformer_lora, merge_weights, plain_names
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel

SETTINGS = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "ffn_dim": 32,
    "num_layers": 2,
    "freq_dim": 32,
    "text_dim": 8,
    "in_channels": 4,
    "out_channels": 4,
    "rope_max_seq_len": 32,
}


def network() -> LayeredWanTransformer3DModel:
    torch.manual_seed(0)
    model = LayeredWanTransformer3DModel(**SETTINGS).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


@torch.no_grad()
def output(model: LayeredWanTransformer3DModel) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    latents, text = (
        torch.randn(1, 2, 4, 1, 4, 4, generator=rng),
        torch.randn(1, 1, 3, 8, generator=rng),
    )
    return model(
        latents, torch.tensor([500.0]), text, roles=[0, 1], attended_prompts=((0,), (0,))
    ).sample


def test_new_updates_change_nothing_and_are_all_that_is_trained() -> None:
    model = network()
    before = output(model)
    add_transformer_lora(model, ["attn1.to_q", "ffn.net.2"], rank=2, alpha=4.0)
    assert torch.equal(output(model), before)
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 2 * 2
    assert all(name.endswith((".down.weight", ".up.weight")) for name in trained)


def test_merged_updates_are_those_beside_the_weights() -> None:
    model = network()
    add_transformer_lora(
        model, ["attn1.to_q", "attn2.to_out.0", "ffn.net.0.proj"], rank=2, alpha=4.0
    )
    for name, parameter in model.named_parameters():
        if name.endswith(".up.weight"):
            torch.nn.init.normal_(parameter, std=0.3)
    adapted, state = output(model), model.state_dict()
    merged = network()
    merged.load_state_dict(merge_weights(plain_names(state), state_of_updates(state), 2.0))
    torch.testing.assert_close(output(merged), adapted, atol=1e-5, rtol=0)
    assert not torch.allclose(output(network()), adapted, atol=1e-3)


def state_of_updates(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {n: t for n, t in state.items() if n.endswith((".down.weight", ".up.weight"))}


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match=r"attn3\.to_q"):
        add_transformer_lora(network(), ["attn3.to_q"], rank=2, alpha=2.0)
