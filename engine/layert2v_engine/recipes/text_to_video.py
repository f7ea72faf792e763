"""Flat video from a sentence by Wan 2.1 or 2.2, as diffusers publishes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import WanPipeline
from torch import Tensor

from layert2v_engine.model.checkpoint import raise_bad_checkpoint
from layert2v_engine.model.components import working_dtype
from layert2v_engine.model.weights_check import check_weights

LARGE_BYTES = 12 << 30  # of a transformer's files; half of a device of 24 GB


class TextToVideo:
    """One pipeline of Wan without its text encoder; states of prompts come from elsewhere."""

    def __init__(
        self, pipeline: WanPipeline, device: torch.device, *, is_large: bool = False
    ) -> None:
        """Take a pipeline on the CPU; of a large one, blocks come to the device one by one."""
        self._pipeline: Any = pipeline
        self._pipeline.set_progress_bar_config(disable=True)
        if device.type == "cuda":
            _offload(self._pipeline, device, is_large=is_large)
        self._device = device

    @torch.no_grad()
    def sample(
        self,
        text: Tensor,
        *,
        size: tuple[int, int],
        frames: int,
        steps: int,
        guidance: float,
        seed: int,
        on_step: Callable[[int], None],
        latents: Tensor | None = None,
        output: str = "pt",
    ) -> Tensor:
        """Return ``[T, 3, H, W]`` in 0..1, or latents ``[1, C, T', h, w]`` for output "latent".

        text: states ``[2, 512, D]`` of prompt and negative prompt. size: (width, height).
        """

        def on_step_end(_pipeline: Any, step: int, _time: Any, _values: Any) -> dict[str, Any]:
            on_step(step + 1)
            return {}

        made = self._pipeline(
            prompt_embeds=text[:1].to(self._device),
            negative_prompt_embeds=text[1:].to(self._device),
            width=size[0],
            height=size[1],
            num_frames=frames,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(seed),
            latents=latents,
            output_type=output,
            callback_on_step_end=on_step_end,
        ).frames
        result: Tensor = made if output == "latent" else made[0]
        return result.float().cpu()


def _offload(pipeline: Any, device: torch.device, *, is_large: bool) -> None:
    """Let networks take turns on a device, or the blocks of a large transformer."""
    if not is_large:
        pipeline.enable_model_cpu_offload(device=device)
        return
    for network in (pipeline.transformer, pipeline.transformer_2):
        if network is not None:
            network.enable_group_offload(
                device, offload_type="block_level", num_blocks_per_group=1, use_stream=True
            )
    pipeline.vae.to(device)


def load_text_to_video(folder: Path, device: torch.device) -> TextToVideo:
    """Load a pipeline folder of diffusers. Raises BadCheckpoint."""
    for part in ("transformer", "transformer_2", "vae"):
        if (folder / part).is_dir():
            check_weights(folder / part)
    dtype = working_dtype(folder / "transformer", device)
    with raise_bad_checkpoint(str(folder)):
        pipeline = WanPipeline.from_pretrained(
            folder,
            text_encoder=None,
            tokenizer=None,
            dtype={"vae": torch.float32, "default": dtype},
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    large = sum(path.stat().st_size for path in (folder / "transformer").glob("*.safetensors"))
    return TextToVideo(pipeline, device, is_large=large > LARGE_BYTES)
