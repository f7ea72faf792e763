"""SVOR on Wan 2.1 VACE 1.3B: a network that removes a subject with its shadow (arXiv 2603.09283).

Settings are those of its authors' program: subject dilated by 6 pixels and painted gray, 20 steps,
guidance 6, one fixed prompt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanVACEPipeline, WanVACETransformer3DModel
from torch import Tensor
from torch.nn import functional as F

from layert2v_engine.model.components import working_dtype
from layert2v_engine.model.diffusers_classes import AutoencoderKLWan
from layert2v_engine.recipes.lora import fold_updates, read_update
from layert2v_engine.recipes.plate.masks import dilate_mask, union_over_latent_frames
from layert2v_engine.recipes.plate.prompts import REMOVAL_PROMPTS
from layert2v_engine.recipes.text import encode_text
from layert2v_engine.recipes.wan import SHIFT, load_network, load_vae
from layert2v_engine.weights.folder import WeightsFolder

STEPS, GUIDANCE, SEED = 20, 6.0, 43
GRAY = 128 / 255  # what the network sees in place of a subject
DILATION = 6  # pixels
_UPDATES = ("remove_model_stage1.safetensors", "remove_model_stage2.safetensors")


class UnionMaskPipeline(WanVACEPipeline):
    """diffusers' pipeline, with masks of which no frame is lost.

    diffusers takes the mask of one frame for each latent frame; a subject that is seen in another
    one of its four then has no mask at all.
    """

    def prepare_masks(
        self, mask: Tensor, reference_images: Any = None, generator: Any = None
    ) -> Tensor:
        """Return the mask of each latent frame ``[1, 64, T', h', w']``: the union of its frames."""
        factor, patch = self.vae_scale_factor_spatial, self.transformer.config.patch_size[1]
        union = union_over_latent_frames(mask[:, 0], self.vae_scale_factor_temporal)
        batch, frames, height, width = union.shape
        rows, columns = (side // (factor * patch) * patch for side in (height, width))
        blocks = union.reshape(batch, frames, rows, factor, columns, factor)
        return blocks.permute(0, 3, 5, 1, 2, 4).flatten(1, 2)


class SvorNetwork:
    """SVOR, ready to remove; see ``RemovalNetwork``."""

    def __init__(
        self,
        transformer: WanVACETransformer3DModel,
        vae: AutoencoderKLWan,
        text: Tensor,
        device: torch.device,
        *,
        steps: int = STEPS,
    ) -> None:
        """Take networks on the CPU, and the states ``[2, 512, D]`` of prompt and negative."""
        self._text, self._device, self._steps = text, device, steps
        scheduler = FlowMatchEulerDiscreteScheduler(shift=SHIFT)
        self._pipeline: Any = UnionMaskPipeline(
            tokenizer=None,
            text_encoder=None,
            transformer=transformer,
            vae=vae,
            scheduler=scheduler,
        )
        self._pipeline.set_progress_bar_config(disable=True)
        if device.type == "cuda":  # transformer and autoencoder take turns on the device
            self._pipeline.enable_model_cpu_offload(device=device)

    def remove(self, video: Tensor, mask: Tensor, on_step: Callable[[float], None]) -> Tensor:
        """Return ``[T, 3, h, w]`` in 0..1; see ``RemovalNetwork``."""
        hole = dilate_mask(mask, DILATION)
        gray = torch.where(hole > 0.5, GRAY, video)
        frames, _, height, width = video.shape

        def on_step_end(_pipeline: Any, step: int, _time: Any, _values: Any) -> dict[str, Any]:
            on_step((step + 1) / self._steps)
            return {}

        made = self._pipeline(
            video=gray[None],
            mask=hole.expand(-1, 3, -1, -1)[None],
            prompt_embeds=self._text[:1].to(self._device),
            negative_prompt_embeds=self._text[1:].to(self._device),
            height=height,
            width=width,
            num_frames=frames,
            num_inference_steps=self._steps,
            guidance_scale=GUIDANCE,
            generator=torch.Generator().manual_seed(SEED),
            output_type="pt",
            callback_on_step_end=on_step_end,
        )
        cleaned: Tensor = made.frames[0]
        return F.relu(cleaned.cpu())


def load_svor(weights: WeightsFolder, device: torch.device) -> SvorNetwork:
    """Load SVOR with its two updates folded in. Raises WeightsMissing, BadCheckpoint."""
    text = encode_text(REMOVAL_PROMPTS["svor"], weights, device)
    folder = weights.require("wan2.1-vace-1.3b")
    dtype = working_dtype(folder, device)
    transformer = load_network(WanVACETransformer3DModel, folder, dtype)
    for name in _UPDATES:
        fold_updates(transformer, read_update(weights.require("svor") / name), f"SVOR's {name}")
    return SvorNetwork(transformer, load_vae(weights), text, device)
