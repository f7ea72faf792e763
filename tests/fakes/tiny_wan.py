"""A folder as diffusers' ``WanPipeline`` saves it, with random weights and a real tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

WORDS = ("a", "an", "and", "bad", "bear", "beach", "fox", "forest", "in", "on", "red", "running")
WORDS += ("snow", "&", "the", "through")
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
SHIFT = 3.0


# Wan 2.1, and Wan 2.2 5B: residual shortcuts, pixels in patches of 2 x 2, one time per token.
VAES: dict[str, dict[str, Any]] = {
    "2.1": {"z_dim": 16},
    "2.2": {
        "z_dim": 12,
        "latents_mean": [0.1] * 12,
        "latents_std": [2.0] * 12,
        "is_residual": True,
        "patch_size": 2,
        "in_channels": 12,
        "out_channels": 12,
        "scale_factor_spatial": 16,
        "decoder_base_dim": 4,
    },
}


def stock_pipeline(version: str = "2.1") -> WanPipeline:
    """Return a pipeline of diffusers with networks of a few thousand random weights."""
    torch.manual_seed(0)
    settings = VAES[version]
    transformer = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=settings["z_dim"],
        out_channels=settings["z_dim"],
        text_dim=32,
        freq_dim=32,
        ffn_dim=64,
        num_layers=2,
        rope_max_seq_len=64,
    )
    for parameter in transformer.parameters():  # fresh ones are zero where it matters
        torch.nn.init.normal_(parameter, std=0.1)
    vae = AutoencoderKLWan(base_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1, **settings)
    text_encoder = UMT5EncoderModel(
        UMT5Config(vocab_size=32, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=2)
    )
    return WanPipeline(
        tokenizer=_tokenizer(),
        text_encoder=text_encoder.eval(),
        transformer=transformer.eval(),
        vae=vae.eval(),
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=SHIFT
        ),
        expand_timesteps=version == "2.2",
    )


def write_stock_folder(folder: Path, version: str = "2.1") -> Path:
    """Write the pipeline as diffusers does; return its folder."""
    stock_pipeline(version).save_pretrained(folder)
    return folder


def _tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of whole words that ends every prompt with </s>, as UMT5's does."""
    special = [PAD, END, UNKNOWN]
    vocabulary = {word: index for index, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, eos_token=END, unk_token=UNKNOWN
    )


def write_wan_text_encoder(folder: Path, *, width: int) -> None:
    """Write a text encoder and a tokenizer as Wan's own code keeps them, of two small blocks."""
    torch.manual_seed(1)
    state = {"token_embedding.weight": torch.randn(32, width), "norm.weight": torch.ones(width)}
    for block in range(2):
        name = f"blocks.{block}"
        state |= {f"{name}.attn.{part}.weight": torch.randn(16, width) for part in "qkv"}
        state[f"{name}.attn.o.weight"] = torch.randn(width, 16)
        state |= {f"{name}.norm{k}.weight": torch.ones(width) for k in (1, 2)}
        state |= {f"{name}.ffn.{part}.weight": torch.randn(24, width) for part in ("gate.0", "fc1")}
        state[f"{name}.ffn.fc2.weight"] = torch.randn(width, 24)
        state[f"{name}.pos_embedding.embedding.weight"] = torch.randn(32, 2)
    torch.save(state, folder / "models_t5_umt5-xxl-enc-bf16.pth")
    _tokenizer().save_pretrained(folder / "google" / "umt5-xxl")
