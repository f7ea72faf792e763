"""Removers on Wan 2.1 Fun InP 1.3B: GenOmnimatte-Wan and ROSE, as diffusers' own transformer.

Its 36 channels are noise (16), mask (4: one for each frame of a latent frame) and the encoded video
(16), which both see whole, the subject included.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor
from torch.nn import functional as F

from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.model.checkpoint import cast_weights
from layert2v_engine.model.components import working_dtype
from layert2v_engine.model.diffusers_classes import AutoencoderKLWan, WanTransformer3DModel
from layert2v_engine.recipes.lora import read_update
from layert2v_engine.recipes.networks import load_wan_weights
from layert2v_engine.recipes.plate.masks import dilate_mask
from layert2v_engine.recipes.plate.prompts import REMOVAL_PROMPTS
from layert2v_engine.recipes.text import encode_text
from layert2v_engine.recipes.wan import SHIFT, load_vae
from layert2v_engine.weights.folder import WeightsFolder

STEPS, SEED = 50, 43
CHANNELS = 36
_HEAD_DIM = 128
_IMAGE_TOKENS = 257  # of CLIP, which these networks were trained without: zeros


# Pixels that a mask is grown by, as each one's authors do it.
REMOVERS: Mapping[str, int] = MappingProxyType({"gen-omnimatte-wan": 11, "rose": 0})


class FunNetwork:
    """One of the removers, ready to remove; see ``RemovalNetwork``."""

    def __init__(
        self,
        transformer: WanTransformer3DModel,
        vae: AutoencoderKLWan,
        text: Tensor,
        device: torch.device,
        *,
        dilation: int = 0,
        steps: int = STEPS,
    ) -> None:
        """Take networks on the CPU, and the states ``[1, 512, D]`` of the prompt."""
        self._transformer, self._vae = transformer, vae
        self._text, self._device = text, device
        self._dilation, self._steps = dilation, steps
        config: Any = vae.config
        self._mean, self._std = (
            torch.tensor(values).view(1, -1, 1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        self._factor = 2 ** sum(config.temperal_downsample)

    @torch.no_grad()
    def remove(self, video: Tensor, mask: Tensor, on_step: Callable[[float], None]) -> Tensor:
        """Return ``[T, 3, h, w]`` in 0..1; see ``RemovalNetwork``."""
        hole = dilate_mask(mask, self._dilation)
        condition = self._encode(video)
        kept = mask_channels(1.0 - hole, condition.shape[2:], self._factor)
        generator = torch.Generator().manual_seed(SEED)
        latents = torch.randn(condition.shape, generator=generator)
        latents = self._denoise(latents, torch.cat((kept, condition), 1), on_step)
        return self._decode(latents)

    def _denoise(
        self, latents: Tensor, condition: Tensor, on_step: Callable[[float], None]
    ) -> Tensor:
        """Return clean latents ``[1, 16, T', h', w']``; guidance 1, one pass a step."""
        network: Any = self._transformer.to(self._device)
        config, dtype = network.config, network.dtype
        scheduler = FlowMatchEulerDiscreteScheduler(shift=SHIFT)
        scheduler.set_timesteps(self._steps, device=self._device)
        text = self._text.to(self._device, dtype)
        image = torch.zeros(1, _IMAGE_TOKENS, config.image_dim, device=self._device, dtype=dtype)
        latents, condition = (each.to(self._device) for each in (latents, condition))
        for step, time in enumerate(scheduler.timesteps):
            velocity = network(
                hidden_states=torch.cat((latents, condition), 1).to(dtype),
                timestep=time.expand(1),
                encoder_hidden_states=text,
                encoder_hidden_states_image=image,
                return_dict=False,
            )[0]
            latents = scheduler.step(velocity.float(), time, latents, return_dict=False)[0]
            on_step((step + 1) / self._steps)
        if self._device.type != "cpu":
            network.to("cpu")
        return latents

    def _encode(self, video: Tensor) -> Tensor:
        vae: Any = self._vae.to(self._device)
        pixels = (2.0 * video - 1.0).movedim(0, 1)[None].to(self._device)
        latents = vae.encode(pixels).latent_dist.mode().float().cpu()
        return (latents - self._mean) / self._std

    def _decode(self, latents: Tensor) -> Tensor:
        vae: Any = self._vae.to(self._device)
        scaled = latents.float().cpu() * self._std + self._mean
        pixels: Tensor = vae.decode(scaled.to(self._device), return_dict=False)[0]
        return (pixels[0].movedim(0, 1).float().cpu() / 2 + 0.5).clamp(0.0, 1.0)


def mask_channels(mask: Tensor, size: tuple[int, ...], group: int) -> Tensor:
    """Return ``[1, group, T', h', w']``: the mask of each frame as a channel of its latent frame.

    ``mask`` is ``[T, 1, H, W]``. The first frame, which is a latent frame by itself, is repeated.
    """
    frames = torch.cat((mask[:1].repeat(group, 1, 1, 1), mask[1:]))[:, 0]
    channels = frames.unflatten(0, (-1, group)).transpose(0, 1)[None]  # [1, group, T', H, W]
    return F.interpolate(channels, size=size, mode="trilinear", align_corners=False)


def load_fun_network(name: str, weights: WeightsFolder, device: torch.device) -> FunNetwork:
    """Load a remover of ``REMOVERS``. Raises WeightsMissing, BadCheckpoint."""
    text = encode_text(REMOVAL_PROMPTS[name], weights, device)
    folder = weights.require(name)
    state: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        state |= read_update(path)
    dtype = working_dtype(folder, device)
    settings = read_settings(folder, state, name)
    transformer = WanTransformer3DModel(**settings)
    cast_weights(transformer, dtype)
    load_wan_weights(transformer, state, name)
    transformer.eval().requires_grad_(False)
    return FunNetwork(transformer, load_vae(weights), text, device, dilation=REMOVERS[name])


def read_settings(folder: Path, state: Mapping[str, Tensor], name: str) -> dict[str, Any]:
    """Return what the transformer is made of, by the shapes of its weights. Raises BadCheckpoint.

    A config.json in Wan's own form says how many heads there are; without one a head has 128
    numbers, as in all of Wan.
    """
    try:
        width, channels = state["patch_embedding.weight"].shape[:2]
        text_dim = state["text_embedding.0.weight"].shape[1]
        settings = {
            "in_channels": channels,
            "out_channels": state["head.head.weight"].shape[0] // 4,  # pixels of a patch
            "text_dim": text_dim,
            "freq_dim": state["time_embedding.0.weight"].shape[1],
            "ffn_dim": state["blocks.0.ffn.0.weight"].shape[0],
            "num_layers": 1 + max(int(key.split(".")[1]) for key in state if key[:7] == "blocks."),
            "image_dim": state["img_emb.proj.0.weight"].shape[0],
            "added_kv_proj_dim": width,
        }
    except KeyError as error:
        raise BadCheckpoint(
            f"The weights in {folder} are not those of {name}: {error.args[0]} is missing.",
            "Name the folder with its transformer, under Wan's own names.",
        ) from error
    if channels != CHANNELS:
        raise BadCheckpoint(
            f"The transformer in {folder} takes {channels} channels, not {CHANNELS}.",
            "Take the one that sees a mask and a video.",
        )
    heads = width // _HEAD_DIM
    config = folder / "config.json"
    if config.is_file():
        heads = int(json.loads(config.read_text(encoding="utf-8")).get("num_heads", heads))
    return {**settings, "num_attention_heads": heads, "attention_head_dim": width // heads}
