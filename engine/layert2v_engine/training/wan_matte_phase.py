"""Stage 1 on Wan's autoencoder: a projection and a LoRA of its decoder for mattes.

Source: arXiv 2508.04228, whose loss this is. The color decoder stays as it is.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from layert2v_engine.devices import TrainingRng, mixed_precision, seed_for
from layert2v_engine.metrics.contact_sheet import save_grid
from layert2v_engine.metrics.matting import matte_errors
from layert2v_engine.model.autoencoder import WanAutoencoder
from layert2v_engine.model.lora import add_wan_lora
from layert2v_engine.model.matte_adapter import WanMatteProjection
from layert2v_engine.training import data_parallel
from layert2v_engine.training.autoencoder_phase import (
    OPACITY_SHARES,
    OPACITY_STREAMS,
    SHEET_CLIPS,
    matte_loss,
)
from layert2v_engine.training.chunks import ChunkConfig
from layert2v_engine.world.dataset import ClipSet


class WanMattePhase:
    """Train both on random crops of mattes and cast shadows, a causal clip each."""

    name = "matte"

    def __init__(
        self,
        autoencoder: WanAutoencoder,
        clips: ClipSet,
        held_out: ClipSet,
        config: ChunkConfig,
        *,
        rank: int,
        alpha: float,
        projection: WanMatteProjection | None = None,
    ) -> None:
        """Prepare the networks; a ``projection`` that latents in use went through stays as is."""
        self.autoencoder, self.clips, self.held_out = autoencoder, clips, held_out
        self.config, self.device = config, autoencoder.vae.device
        frozen = None if projection is None else projection.requires_grad_(False)
        self.projection = (frozen or WanMatteProjection(autoencoder.latent_channels)).to(
            self.device
        )
        self.decoder = add_wan_lora(autoencoder.vae, rank=rank, alpha=alpha).to(self.device)
        self.model: nn.Module = nn.ModuleDict(
            {"projection": self.projection, "decoder": self.decoder}
        )
        self.adapted = WanAutoencoder(self.decoder)
        self.rng = TrainingRng(config.seed, self.device)

    def loss(self, step: int, progress: float) -> Tensor:
        """Return smooth L1 plus an L1 that weighs edges of the target matte threefold.

        Of several processes each returns the part of its own crops.
        """
        del progress
        self.rng = TrainingRng(seed_for(self.config.seed, step), self.device)
        own, count = data_parallel.own_rows(), self.config.batch
        target = self._sample_crops()[own]
        with torch.no_grad():
            latents = self.autoencoder.encode_video(target)
            level = self.config.latent_noise * self.rng.uniform((count, 1, 1, 1, 1))
            noise = level * self.rng.noise((count, *latents.shape[1:]))
            latents = latents + noise[own]
        with mixed_precision(self.device):
            groups = list(self.adapted.decode_unclamped(self.projection(latents)))
        loss = matte_loss(torch.cat(groups, dim=2).float().mean(1), target.mean(1))
        return len(target) / count * loss

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return matting errors of the adapted decoder and, for comparison, of the plain one."""
        metrics: dict[str, float] = {}
        for stream, name in zip(OPACITY_STREAMS, ("matte", "shadow"), strict=True):
            video = self._held_out(stream)
            latents, target = self.autoencoder.encode_video(video), video[:, 0] * 0.5 + 0.5
            adapted = matte_errors(decode(self.adapted, self.projection(latents)), target)
            plain = matte_errors(decode(self.autoencoder, latents), target)
            metrics |= {f"{name}_{k}": v for k, v in adapted.items()}
            metrics |= {f"{name}_plain_{k}": v for k, v in plain.items()}
        return metrics

    @torch.no_grad()
    def sample(self, path: Path) -> None:
        """Write target mattes, the plain decoder's and the adapted decoder's to ``path``."""
        video = self._held_out(OPACITY_STREAMS[0])
        latents, last = self.autoencoder.encode_video(video), slice(-1, None)
        plain = decode(self.autoencoder, latents)[:, last]
        adapted = decode(self.adapted, self.projection(latents))[:, last]
        rows = [video[:, :1, -1] * 0.5 + 0.5, plain, adapted]
        save_grid([row.expand(-1, 3, -1, -1) for row in rows], path)

    def _held_out(self, stream: int) -> Tensor:
        """Return the videos [B, 3, T, H, W] in -1..1 of a stream of clips kept for validation."""
        rows = torch.arange(min(SHEET_CLIPS, len(self.held_out.scenes)))
        return self.held_out.streams(rows, self.device)[:, stream]

    def _sample_crops(self) -> Tensor:
        """Return crops [B, 3, 1 + g t, crop, crop] in -1..1 of opacities, from a clip's start."""
        config, step = self.config, self.autoencoder.spatial_factor
        rows = self.rng.indices(len(self.clips.scenes), config.batch)
        picks = [OPACITY_STREAMS[self.rng.choice(torch.tensor(OPACITY_SHARES))] for _ in rows]
        frames = 1 + config.groups * self.autoencoder.temporal_factor
        crops = []
        for row, stream in zip(rows, picks, strict=True):
            video = self.clips.streams(row[None], self.device)[0, stream, :, :frames]
            top, left = (
                step * self.rng.index((side - config.crop) // step + 1) for side in self.clips.size
            )
            crops.append(video[..., top : top + config.crop, left : left + config.crop])
        return torch.stack(crops)


def decode(autoencoder: WanAutoencoder, latents: Tensor) -> Tensor:
    """Return opacities [B, T, H, W] in 0..1 of latents [B, C, F, h, w]: the channel mean."""
    groups = torch.cat(list(autoencoder.decode_unclamped(latents)), dim=2)
    return (groups.float().mean(1) * 0.5 + 0.5).clamp(0, 1)
