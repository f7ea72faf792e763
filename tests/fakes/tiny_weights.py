"""A folder of weights with the real networks of every recipe, tiny and random.

What they make is noise; what is proved with them is everything around them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel, WanVACETransformer3DModel
from safetensors.torch import save_file

from fakes.tiny_wan import stock_pipeline, write_stock_folder
from layert2v_engine.recipes.catalog import find_recipe
from layert2v_engine.recipes.networks import linear_layers, wan_name
from layert2v_engine.recipes.plate.prompts import fixed_prompts
from layert2v_engine.recipes.text import TOKENS, stored_text
from layert2v_engine.weights.folder import WeightsFolder

TEXT_DIM = 32
_SIDE = 64  # of the pictures that the tiny SAM 2 sees
_WAN: dict[str, Any] = {
    "patch_size": (1, 2, 2),
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "out_channels": 16,
    "text_dim": TEXT_DIM,
    "freq_dim": 32,
    "ffn_dim": 32,
    "num_layers": 2,
    "rope_max_seq_len": 64,
}


def write_tiny_weights(root: Path) -> Path:
    """Write all networks of ``decompose+`` and its kin; return the folder."""
    torch.manual_seed(0)
    write_vae(root)
    write_svor(root)
    for name in ("gen-omnimatte-wan", "rose"):
        write_fun_remover(root, name)
    write_sam(root)
    for name in ("decompose+", "decompose+omnimatte", "decompose+rose"):
        write_text(root, fixed_prompts(find_recipe(name)))
    return root


def write_vae(root: Path) -> None:
    vae = AutoencoderKLWan(
        base_dim=4,  # as in tiny_wan, so that the same updates fit
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )
    vae.save_pretrained(root / "wan2.1-vae")


def tiny_vace() -> WanVACETransformer3DModel:
    return WanVACETransformer3DModel(
        **_WAN, in_channels=16, vace_layers=[0, 1], vace_in_channels=96
    )


def write_svor(root: Path) -> None:
    transformer = tiny_vace()
    transformer.save_pretrained(root / "wan2.1-vace-1.3b" / "transformer")
    (root / "svor").mkdir(parents=True)
    for stage in (1, 2):
        update = kohya_update(transformer, rank=2, seed=stage)
        save_file(update, root / "svor" / f"remove_model_stage{stage}.safetensors")


def kohya_update(network: torch.nn.Module, rank: int, seed: int) -> dict[str, torch.Tensor]:
    """Return an update of every linear layer, under the names that VideoX-Fun writes."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, layer in linear_layers(network).items():
        key = "lora_unet__" + name.replace(".", "_")
        rows, columns = layer.weight.shape
        state[f"{key}.lora_down.weight"] = torch.randn(rank, columns, generator=generator)
        state[f"{key}.lora_up.weight"] = torch.randn(rows, rank, generator=generator) / 50
        state[f"{key}.alpha"] = torch.tensor(1.0)
    return state


def write_fun_remover(root: Path, name: str) -> None:
    width = _WAN["num_attention_heads"] * _WAN["attention_head_dim"]
    network = WanTransformer3DModel(**_WAN, in_channels=36, image_dim=48, added_kv_proj_dim=width)
    state = {wan_name(key): value.contiguous() for key, value in network.state_dict().items()}
    (root / name).mkdir(parents=True)
    save_file(state, root / name / "transformer.safetensors")
    (root / name / "config.json").write_text(f'{{"num_heads": {_WAN["num_attention_heads"]}}}')


def write_text(root: Path, prompts: tuple[str, ...]) -> None:
    """Keep states for prompts, as if the encoder had been here once."""
    path = stored_text(prompts, WeightsFolder(root))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({"states": torch.randn(len(prompts), TOKENS, TEXT_DIM)}, path)


def write_sam(root: Path) -> None:
    from transformers import Sam2VideoConfig, Sam2VideoModel

    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 8,
        "num_attention_heads": 1,
        "image_size": [_SIDE, _SIDE],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 2, 4],
        "window_size_per_stage": [8, 4, 14, 7],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [7, 7],
    }
    vision = {
        "model_type": "sam2_vision_model",
        "backbone_config": backbone,
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[_SIDE // k, _SIDE // k] for k in (4, 8, 16)],
        "fpn_hidden_size": 128,
    }
    decoder = {"hidden_size": 128, "mlp_dim": 32, "num_attention_heads": 2}
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 128, "image_size": _SIDE, "mask_input_channels": 4},
        mask_decoder_config={**decoder, "iou_head_hidden_dim": 16},
        image_size=_SIDE,
        memory_attention_hidden_size=128,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[_SIDE // 16, _SIDE // 16],
        memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=32,
        memory_fuser_num_layers=1,
    )
    Sam2VideoModel(config).save_pretrained(root / "sam2.1")


def write_grounding_dino(root: Path, words: str) -> None:
    """Write a tiny Grounding DINO whose tokenizer knows these words."""
    from transformers import (
        BertConfig,
        BertTokenizer,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        SwinConfig,
    )

    folder = root / "grounding-dino"
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *words.split()]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    text = BertConfig(
        vocab_size=1024,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=64,
    )
    backbone = SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )
    config = GroundingDinoConfig(
        backbone_config=backbone,
        text_config=text,
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=4,
        max_text_len=32,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)


def write_alpha(root: Path) -> Path:
    """Write everything that Wan-Alpha takes, over a stock Wan; return the folder."""
    write_stock_folder(root / "wan-t2v")
    write_stock_folder(root / "wan2.1-t2v-14b")
    torch.manual_seed(1)
    pipeline = stock_pipeline()
    dora, steps = {}, {}
    for name, layer in linear_layers(pipeline.transformer).items():
        if not name.startswith("blocks."):
            continue
        rows, columns = layer.weight.shape
        dora[f"{name}.lora_A.weight"] = torch.randn(2, columns) / 10
        dora[f"{name}.lora_B.weight"] = torch.randn(rows, 2) / 10
        dora[f"{name}.lora_magnitude_vector"] = torch.rand(rows)
        steps[f"diffusion_model.{name}.lora_down.weight"] = torch.randn(2, columns) / 10
        steps[f"diffusion_model.{name}.lora_up.weight"] = torch.randn(rows, 2) / 10
        steps[f"diffusion_model.{name}.diff_b"] = torch.randn(rows) / 10
    for name in ("wan-alpha-v2", "lightx2v"):
        (root / name).mkdir()
    save_file(dora, root / "wan-alpha-v2" / "dora.safetensors")
    updates = decoder_updates(pipeline.vae)
    save_file(updates, root / "wan-alpha-v2" / "decoder.safetensors")
    save_file(steps, root / "lightx2v" / "steps.safetensors")
    return root


def decoder_updates(vae: AutoencoderKLWan, rank: int = 2) -> dict[str, torch.Tensor]:
    """Return updates of two convolutions of each decoder, under the names of Wan's own code."""
    convs = {"decoder.conv1": vae.decoder.conv_in, "conv2": vae.post_quant_conv}
    state = {}
    for part in ("vae_fgr", "vae_pha"):
        for name, conv in convs.items():
            rows, columns, *kernel = conv.weight.shape
            key = f"{part}.{name}.conv3D"
            state[f"{key}.lora_A.default.weight"] = torch.randn(rank, columns, *kernel)
            state[f"{key}.lora_B.default.weight"] = torch.randn(rows, rank, 1, 1, 1)
    return state
