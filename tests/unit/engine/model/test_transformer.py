"""The layered transformer against stock Wan and against dense-mask references."""

from __future__ import annotations

import pytest
import torch
from diffusers import FirstBlockCacheConfig, WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from peft import LoraConfig
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel

TINY = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 32,
    "freq_dim": 32,
    "ffn_dim": 64,
    "num_layers": 3,
    "rope_max_seq_len": 64,
}
LAYOUT = StreamLayout.for_foregrounds(1, shadows=False)  # 4 streams, 3 prompts
EVERYTHING = ((0, 1, 2),) * 4
TOKENS = 3 * 4 * 4  # per stream, of latents with 3 frames of 8 x 8


@pytest.fixture
def pair() -> tuple[WanTransformer3DModel, LayeredWanTransformer3DModel]:
    torch.manual_seed(0)
    stock = WanTransformer3DModel(**TINY).eval()
    layered = LayeredWanTransformer3DModel(**TINY).eval()
    missing = layered.load_state_dict(stock.state_dict(), strict=False)
    assert missing.missing_keys == ["layer_modulation"]
    assert not missing.unexpected_keys
    return stock, layered


@pytest.fixture
def scene() -> tuple[Tensor, Tensor]:
    """Latents [2, 4, 16, 3, 8, 8] and text [2, 3, 24, 32]."""
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(2, 4, 16, 3, 8, 8, generator=generator)
    return latents, torch.randn(2, 3, 24, 32, generator=generator)


def on_one_clip(
    stock: WanTransformer3DModel, latents: Tensor, time: Tensor, text: Tensor
) -> Tensor:
    """Stock Wan on the streams laid one after another, attending to all prompts."""
    clip = latents.transpose(1, 2).flatten(2, 3)
    out: Tensor = stock(clip, time, text.flatten(1, 2), return_dict=False)[0]
    return out.unflatten(2, latents.shape[1:4:2]).transpose(1, 2)


@torch.no_grad()
def test_latents_that_are_no_whole_patches_are_refused(pair) -> None:
    with pytest.raises(ValueError, match="3 x 9 x 8 are no whole patches of 1 x 2 x 2"):
        run_one_stream(pair[1], torch.randn(1, 1, 16, 3, 9, 8))


@torch.no_grad()
def test_streams_whose_positions_would_overlap_are_refused(pair, scene) -> None:
    _, layered = pair
    latents, text = scene
    streams = {"roles": range(4), "attended_prompts": EVERYTHING}
    with pytest.raises(ValueError, match=r"3 latent frames does not fit .* 2 positions apart"):
        layered(latents, torch.zeros(2), text, **streams, frames_per_stream=2)
    alone = {"roles": [0], "attended_prompts": EVERYTHING[:1]}
    layered(latents[:, :1], torch.zeros(2), text, **alone, frames_per_stream=2)


def run_one_stream(layered: LayeredWanTransformer3DModel, latents: Tensor) -> Tensor:
    text = torch.randn(1, 1, 4, 32)
    out: Tensor = layered(latents, torch.zeros(1), text, roles=[0], attended_prompts=((0,),)).sample
    return out


@torch.no_grad()
def test_one_stream_without_modulation_is_stock_wan(pair, scene) -> None:
    (stock, layered), (latents, text) = pair, scene
    time = torch.tensor([700.0, 300.0])
    ours = layered(latents[:, :1], time, text[:, :1], roles=[0], attended_prompts=[(0,)]).sample
    torch.testing.assert_close(
        ours, on_one_clip(stock, latents[:, :1], time, text[:, :1]), atol=1e-6, rtol=0
    )


@torch.no_grad()
def test_four_streams_are_stock_wan_on_a_clip_four_times_as_long(pair, scene) -> None:
    (stock, layered), (latents, text) = pair, scene
    time = torch.tensor([700.0, 300.0])
    ours = layered(latents, time, text, roles=range(4), attended_prompts=EVERYTHING).sample
    torch.testing.assert_close(ours, on_one_clip(stock, latents, time, text), atol=1e-6, rtol=0)


@torch.no_grad()
def test_time_per_stream_is_stock_time_per_token(pair, scene) -> None:
    (stock, layered), (latents, text) = pair, scene
    time = torch.tensor([[900.0, 0.0, 500.0, 500.0], [0.0, 300.0, 0.0, 999.0]])
    ours = layered(latents, time, text, roles=range(4), attended_prompts=EVERYTHING).sample
    per_token = on_one_clip(stock, latents, time.repeat_interleave(TOKENS, 1), text)
    torch.testing.assert_close(ours, per_token, atol=1e-6, rtol=0)


class DenseText:
    """Text attention the plain way: one mask of queries x keys over all prompts at once."""

    _attention_backend = _parallel_config = None

    def __init__(self, attended_prompts: tuple[tuple[int, ...], ...]) -> None:
        self.attended_prompts = attended_prompts

    def __call__(self, attn, hidden_states, text, *_, kv_cache=None) -> Tensor:
        prompts = text.mask.shape[1]
        attended = torch.zeros(len(self.attended_prompts), prompts, dtype=torch.bool)
        for stream, visible in enumerate(self.attended_prompts):
            attended[stream, list(visible)] = True
        tokens = hidden_states.shape[1] // len(self.attended_prompts)
        allowed = attended[None, :, :, None] & text.mask[:, None]  # [B, S, P, L]
        allowed = allowed.flatten(2).repeat_interleave(tokens, 1)[:, None]
        return WanAttnProcessor()(attn, hidden_states, text.states.flatten(1, 2), allowed, None)


@torch.no_grad()
@pytest.mark.parametrize("prompts", [LAYOUT.attended_prompts, ((0, 2), (0, 1), (0, 2), (1,))])
def test_routed_text_is_attention_under_a_dense_mask(pair, scene, prompts) -> None:
    (_, layered), (latents, text) = pair, scene
    layered.layer_modulation.normal_(std=0.2)
    lengths = torch.tensor([[20, 7, 11], [5, 24, 9]])
    mask = torch.arange(24) < lengths[..., None]
    arguments = {"roles": range(4), "attended_prompts": prompts, "prompt_mask": mask}
    time = torch.tensor([700.0, 300.0])
    routed = layered(latents, time, text, **arguments).sample
    for block in layered.blocks:
        block.attn2.set_processor(DenseText(prompts))
    dense = layered(latents, time, text, **arguments).sample
    torch.testing.assert_close(routed, dense, atol=2e-6, rtol=0)


@torch.no_grad()
def test_padding_of_a_prompt_is_not_attended_to(pair, scene) -> None:
    (_, layered), (latents, text) = pair, scene
    mask = torch.arange(24).expand(2, 3, 24) < 10
    arguments = {
        "roles": range(4),
        "attended_prompts": LAYOUT.attended_prompts,
        "prompt_mask": mask,
    }
    time = torch.tensor([700.0, 300.0])
    before = layered(latents, time, text, **arguments).sample
    after = layered(latents, time, text.masked_fill(~mask[..., None], 9.0), **arguments).sample
    torch.testing.assert_close(before, after, atol=0, rtol=0)


def forward(
    model: LayeredWanTransformer3DModel, scene: tuple[Tensor, Tensor], **more: object
) -> Tensor:
    latents, text = scene
    time = torch.tensor([[900.0, 0.0, 500.0, 500.0], [0.0, 300.0, 0.0, 999.0]])
    mask = torch.arange(24).expand(2, 3, 24) < 10
    arguments = {
        "roles": range(4),
        "attended_prompts": LAYOUT.attended_prompts,
        "prompt_mask": mask,
    } | more
    return model(latents, time, text, **arguments).sample


def gradients(
    model: LayeredWanTransformer3DModel, scene: tuple[Tensor, Tensor]
) -> dict[str, Tensor]:
    model.zero_grad()
    forward(model, scene).square().mean().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_training_attention_equals_inference_attention(pair, scene) -> None:
    layered = pair[1]
    trained = forward(layered, scene)
    with torch.no_grad():
        torch.testing.assert_close(trained.detach(), forward(layered, scene), atol=2e-6, rtol=0)


def test_every_parameter_learns_and_checkpointing_changes_nothing(pair, scene) -> None:
    layered = pair[1].train()
    plain = gradients(layered, scene)
    assert set(plain) == {name for name, _ in layered.named_parameters()}
    layered.enable_gradient_checkpointing()
    for name, gradient in gradients(layered, scene).items():
        torch.testing.assert_close(gradient, plain[name], atol=1e-6, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch.compile looks at it itself
def test_a_block_compiles_whole_and_changes_nothing(pair, scene) -> None:
    layered = pair[1]
    plain = forward(layered, scene).detach()
    layered.blocks[1].compile(fullgraph=True, dynamic=False, backend="aot_eager")
    torch.testing.assert_close(forward(layered, scene).detach(), plain, atol=2e-6, rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        half = forward(layered, scene).detach()
    assert (half - plain).square().mean().sqrt() < 0.03 * plain.square().mean().sqrt()


@torch.no_grad()
def test_a_still_sits_where_its_frame_sits_in_a_clip(pair) -> None:
    rope = pair[1].rope
    clip = torch.stack(rope(range(4), (3, 4, 4), 0, 3)).unflatten(2, (4, 3, 16))
    still = torch.stack(rope(range(4), (1, 4, 4), 2, 3)).unflatten(2, (4, 1, 16))
    torch.testing.assert_close(still, clip[:, :, :, 2:], atol=0, rtol=0)


@torch.no_grad()
def test_positions_of_the_stream_axis_do_not_move_time(scene) -> None:
    model = LayeredWanTransformer3DModel(**TINY, rope_dims=(4, 4, 4, 4)).eval()
    assert forward(model, scene).shape == scene[0].shape
    cos, _ = model.rope(range(4), (3, 4, 4), 0, 3)
    per_stream = cos.unflatten(1, (4, TOKENS))[..., 2:]  # without the stream's own dimensions
    torch.testing.assert_close(per_stream, per_stream[:, :1].expand_as(per_stream), atol=0, rtol=0)


def test_rotary_dimensions_must_add_up() -> None:
    with pytest.raises(ValueError, match="add up to 16"):
        LayeredWanTransformer3DModel(**TINY, rope_dims=(4, 4, 4, 2))


@torch.no_grad()
@pytest.mark.parametrize("grid", [(4, 4), (3, 6)])
def test_learned_positions_fit_any_size(scene, grid) -> None:
    model = LayeredWanTransformer3DModel(**TINY, position_grid=grid).eval()
    without = forward(model, scene)
    model.position_table.normal_()
    assert not torch.allclose(forward(model, scene), without)


@torch.no_grad()
def test_two_foregrounds_share_a_row_until_one_has_its_own(scene) -> None:
    latents, text = torch.randn(1, 6, 16, 3, 8, 8), torch.randn(1, 4, 24, 32)
    layout = StreamLayout.for_foregrounds(2, shadows=False)
    roles = ("composite", "background", "foreground", "matte", "foreground_02")
    model = LayeredWanTransformer3DModel(**TINY, roles=roles).eval()
    rows = layout.modulation_rows(model.config.roles)
    out = model(
        latents, torch.tensor([500.0]), text, roles=rows, attended_prompts=layout.attended_prompts
    )
    assert rows == (0, 1, 2, 3, 4, 3)
    assert out.sample.shape == latents.shape


@torch.no_grad()
def test_a_stream_is_modulated_by_the_row_of_its_role(scene) -> None:
    latents, text = scene
    model = LayeredWanTransformer3DModel(**TINY).eval()
    rows = model.layer_modulation.normal_()

    def run(roles: list[int]) -> Tensor:
        out: Tensor = model(
            latents[:, :2], torch.zeros(2), text[:, :1], roles=roles, attended_prompts=((0,),) * 2
        ).sample
        return out

    before, reverse = run([1, 0]), run([0, 1])
    rows[[0, 1, 2]] = rows[[2, 0, 1]].clone()  # what was in row 1 is in row 2 now, 0 in row 1
    torch.testing.assert_close(run([2, 1]), before)
    assert (before - reverse).abs().mean(dim=(0, 2, 3, 4, 5)).min() > 0.01  # of either stream


@torch.no_grad()
def test_diffusers_caches_find_the_blocks(pair, scene) -> None:
    layered = pair[1]
    plain = forward(layered, scene)
    layered.enable_cache(FirstBlockCacheConfig(threshold=0.0))
    with layered.cache_context("cond"):
        torch.testing.assert_close(forward(layered, scene), plain, atol=0, rtol=0)
    layered.disable_cache()


@torch.no_grad()
def test_fused_projections_change_nothing(pair, scene) -> None:
    layered = pair[1]
    plain = forward(layered, scene)
    for block in layered.blocks:
        block.attn1.fuse_projections()
        block.attn2.fuse_projections()
    torch.testing.assert_close(forward(layered, scene), plain, atol=1e-6, rtol=0)


def test_a_low_rank_adapter_trains_alone_and_is_saved(pair, scene, tmp_path) -> None:
    layered = pair[1]
    plain = forward(layered, scene).detach()
    layered.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    torch.testing.assert_close(forward(layered, scene).detach(), plain, atol=1e-6, rtol=0)
    assert all("lora" in name for name in gradients(layered, scene))
    layered.save_lora_adapter(tmp_path, weight_name="lora.safetensors")
    assert (tmp_path / "lora.safetensors").stat().st_size > 0


@torch.no_grad()
def test_frozen_streams_do_not_see_active_ones(pair, scene) -> None:
    (_, layered), (latents, _) = pair, scene
    frozen = torch.tensor([[False, True, False, True], [False, False, False, True]])
    other = latents.clone()
    other[:, [0, 2]] += 1.0  # active in both samples
    before, after = (forward(layered, (x, scene[1]), frozen=frozen) for x in (latents, other))
    torch.testing.assert_close(before[0, [1, 3]], after[0, [1, 3]], atol=1e-6, rtol=0)
    assert not torch.allclose(before[1, 1], after[1, 1])
    everything = forward(layered, scene, frozen=torch.zeros_like(frozen))
    torch.testing.assert_close(everything, forward(layered, scene), atol=1e-6, rtol=0)


def test_training_attention_equals_inference_attention_one_way(pair, scene) -> None:
    frozen = torch.tensor([[False, True, False, True], [False, False, False, True]])
    trained = forward(pair[1], scene, frozen=frozen)
    with torch.no_grad():
        inferred = forward(pair[1], scene, frozen=frozen)
    torch.testing.assert_close(trained.detach(), inferred, atol=2e-6, rtol=0)


def test_positions_beyond_the_table_are_named(pair) -> None:
    with pytest.raises(ValueError, match="rope_max_seq_len"):
        pair[1].rope(range(11), (9, 4, 4), 0, 9)
