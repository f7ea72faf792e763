"""What a run of a recipe takes of a device, by the arithmetic of ``layert2v-engine plan``.

Computed from shapes, not measured: weights and decoder caches are exact, the rest is an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from layert2v_engine.estimate import UMT5_XXL_BYTES, decoder_cache_bytes, pass_bytes
from layert2v_engine.model.diffusers_classes import AutoencoderKLWan
from layert2v_engine.recipes.catalog import Recipe

_ELEMENT = 2  # bytes of bfloat16
_FRAMES, _PIXELS, _PATCH = 4, 8, 2  # of a latent frame, of a latent pixel, of a token
_TEXT_TOKENS = 512


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerShape:
    """The published shape of a transformer; ``extra_blocks`` are those of VACE, for its control."""

    heads: int
    hidden: int
    layers: int
    extra_blocks: int = 0
    has_image: bool = False
    channels: int = 16

    @property
    def width(self) -> int:
        """Numbers per token."""
        return 128 * self.heads


SHAPES = {
    "wan2.1-vace-1.3b": TransformerShape(heads=12, hidden=8960, layers=30, extra_blocks=15),
    "gen-omnimatte-wan": TransformerShape(
        heads=12, hidden=8960, layers=30, has_image=True, channels=36
    ),
    "rose": TransformerShape(heads=12, hidden=8960, layers=30, has_image=True, channels=36),
    "wan2.1-t2v-1.3b": TransformerShape(heads=12, hidden=8960, layers=30),
    "wan2.1-t2v-14b": TransformerShape(heads=40, hidden=13824, layers=40),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeCost:
    """What one window of a recipe takes: bytes by part, the most at one time, floating operations.

    The transformer and the autoencoder take turns on the device, and so does the text encoder,
    where it is needed at all.
    """

    memory: dict[str, int]
    peak: int
    flops: float


def recipe_cost(recipe: Recipe, *, reads_text: bool) -> RecipeCost:
    """Return the cost of one window of a recipe that has a transformer, on a GPU.

    ``reads_text`` says that its prompt is not kept, so that the text encoder is loaded first.
    """
    shape = SHAPES[recipe.transformer]
    width, height = recipe.size
    grid = (
        1 + (recipe.frames - 1) // _FRAMES,
        height // _PIXELS // _PATCH,
        width // _PIXELS // _PATCH,
    )
    tokens = grid[0] * grid[1] * grid[2]
    pictures = 3 * recipe.frames * width * height * 4
    memory = {
        "transformer": _transformer_bytes(recipe, shape),
        "transformer pass": pass_bytes(tokens, shape.width, shape.hidden, _ELEMENT),
        "control of every block": shape.extra_blocks * tokens * shape.width * _ELEMENT,
        "autoencoder": 4 * _autoencoder_parameters(),
        "decoder caches": _decoder_caches(recipe.size),
        "pictures": 3 * pictures,  # what is seen, what is masked, what comes back
        "text encoder, once": UMT5_XXL_BYTES,
    }
    turns: list[tuple[str, ...]] = [
        ("transformer", "transformer pass", "control of every block"),
        ("autoencoder", "decoder caches", "pictures"),
    ]
    turns += [("text encoder, once",)] if reads_text else []
    return RecipeCost(
        memory=memory,
        peak=max(sum(memory[part] for part in parts) for parts in turns),
        flops=recipe.steps * recipe.passes * _pass_flops(shape, tokens),
    )


def _transformer_bytes(recipe: Recipe, shape: TransformerShape) -> int:
    """Return what of the transformer lies on the device: all, or two blocks and what is in none."""
    total = _ELEMENT * count_parameters(recipe.transformer)
    if not recipe.is_block_offloaded:
        return total
    block = _ELEMENT * (8 * shape.width**2 + 2 * shape.width * shape.hidden)
    return total - (shape.layers - 2) * block


def _pass_flops(shape: TransformerShape, tokens: int) -> float:
    blocks, width = shape.layers + shape.extra_blocks, shape.width
    linear = 2 * tokens * (6 * width**2 + 2 * width * shape.hidden)
    attention = 4 * tokens**2 * width + 4 * tokens * _TEXT_TOKENS * width
    return float(blocks * (linear + attention))


@lru_cache(maxsize=8)
def count_parameters(network: str) -> int:
    """Return how many numbers a transformer of ``SHAPES`` has, built without memory."""
    from diffusers import WanTransformer3DModel, WanVACETransformer3DModel

    shape = SHAPES[network]
    settings: dict[str, Any] = {
        "num_attention_heads": shape.heads,
        "ffn_dim": shape.hidden,
        "num_layers": shape.layers,
        "in_channels": shape.channels,
        "out_channels": 16,
    }
    with torch.device("meta"):
        if shape.extra_blocks:
            layers = list(range(0, shape.layers, shape.layers // shape.extra_blocks))
            model = WanVACETransformer3DModel(**settings, vace_layers=layers, vace_in_channels=96)
        elif shape.has_image:
            model = WanTransformer3DModel(**settings, image_dim=1280, added_kv_proj_dim=shape.width)
        else:
            model = WanTransformer3DModel(**settings)
    return sum(parameter.numel() for parameter in model.parameters())


def _decoder_caches(size: tuple[int, int]) -> int:
    with torch.device("meta"):
        config = dict(AutoencoderKLWan().config)
    return decoder_cache_bytes(config, size)


@lru_cache(maxsize=1)
def _autoencoder_parameters() -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in AutoencoderKLWan().parameters())
