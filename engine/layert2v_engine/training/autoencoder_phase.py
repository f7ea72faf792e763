"""The two phases of stage 1: a decoder for frozen linear latents, then its matte adaptation.

Sources: arXiv 2508.04228 (frozen encoder, trained projection, LoRA on the decoder) and its code for
the matte loss.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from layert2v_engine.devices import mixed_precision
from layert2v_engine.metrics.contact_sheet import save_grid
from layert2v_engine.metrics.layers import psnr
from layert2v_engine.metrics.matting import matte_errors
from layert2v_engine.model.autoencoder import PatchAutoencoder, decode_video
from layert2v_engine.model.lora import add_lora
from layert2v_engine.model.matte_adapter import MatteProjection
from layert2v_engine.training.chunks import ChunkConfig, ChunkSampler
from layert2v_engine.training.discriminator import (
    FRAMES,
    PatchDiscriminator,
    adversarial_loss,
    adversarial_weight,
)
from layert2v_engine.world.dataset import ClipSet

COLOR_STREAMS, COLOR_SHARES = (0, 1, 2), (0.45, 0.2, 0.35)
OPACITY_STREAMS, OPACITY_SHARES = (3, 4), (0.7, 0.3)
SHEET_CLIPS, SHEET_FRAME = 8, 4


class DecoderPhase:
    """Teach the decoder's residual network to undo linear blur and blocks, on color streams."""

    name = "autoencoder"

    def __init__(
        self,
        autoencoder: PatchAutoencoder,
        clips: ClipSet,
        held_out: ClipSet,
        config: ChunkConfig,
        denoised: Tensor | None = None,
    ) -> None:
        """Prepare the networks; ``denoised`` is what ``ChunkSampler`` takes."""
        self.autoencoder, self.held_out = autoencoder, held_out
        autoencoder.encoder.requires_grad_(False)
        self.config = config
        parts: dict[str, nn.Module] = {"decoder": autoencoder.decoder}
        if config.adversarial_weight:
            parts["discriminator"] = PatchDiscriminator().to(autoencoder.device)
        self.model: nn.Module = nn.ModuleDict(parts)
        self.sampler = ChunkSampler(clips, autoencoder, config, denoised)
        self.sheet_rows = torch.arange(min(SHEET_CLIPS, len(held_out.scenes)))

    def loss(self, step: int, progress: float) -> Tensor:
        """Return Charbonnier on pixels, their gradients, temporal and adversarial loss.

        Of several processes each returns the part of its own crops.
        """
        self.sampler.start_step(step)
        target, latents, _ = self.sampler.crops(COLOR_STREAMS, COLOR_SHARES)
        context = self.autoencoder.context_frames
        with mixed_precision(target.device):
            decoded = decode_groups(self.autoencoder.decoder, latents, context)
        error = decoded - target
        edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        loss = (error.square() + 1e-4).sqrt().mean() + 0.5 * edges
        loss = loss + self.sampler.temporal_loss(error, target)
        weight = adversarial_weight(
            self.config.adversarial_weight, self.config.adversarial_start, progress
        )
        if weight:
            loss = loss + self._adversarial_loss(decoded, target, latents, weight)
        return self.sampler.own_share(target) * loss

    def _adversarial_loss(
        self, decoded: Tensor, target: Tensor, latents: Tensor, weight: float
    ) -> Tensor:
        """Return the discriminator's loss on two frames in a row of every crop."""
        first = self.sampler.rng.index(target.shape[2] - FRAMES + 1)
        frames = slice(first, first + FRAMES)
        condition = linear_frames(self.autoencoder, latents)
        with mixed_precision(target.device):
            return adversarial_loss(
                cast(PatchDiscriminator, self.model.get_submodule("discriminator")),
                decoded[:, :, frames],
                target[:, :, frames],
                condition[:, :, frames],
                weight,
            ).float()

    def validate(self) -> dict[str, float]:
        """Return the PSNR in dB of a round trip per color stream."""
        videos = self.held_out.streams(
            torch.arange(len(self.held_out.scenes)), self.autoencoder.device
        )
        metrics: dict[str, float] = {}
        for stream, name in zip(
            COLOR_STREAMS, ("composite", "background", "foreground"), strict=True
        ):
            latents = self.autoencoder.encode_video(videos[:, stream])
            decoded = decode_video(self.autoencoder, latents)
            metrics[f"psnr_{name}"] = psnr(decoded, videos[:, stream], value_range=2.0)
        return metrics

    def sample(self, path: Path) -> None:
        """Write originals above their round trips to ``path``."""
        video = self.held_out.streams(self.sheet_rows, self.autoencoder.device)[:, 0]
        decoded = decode_video(self.autoencoder, self.autoencoder.encode_video(video))
        save_grid([x[:, :, SHEET_FRAME] * 0.5 + 0.5 for x in (video, decoded)], path)


class MattePhase:
    """Train projection and decoder LoRA on mattes and cast shadows."""

    name = "matte"

    def __init__(
        self,
        autoencoder: PatchAutoencoder,
        clips: ClipSet,
        held_out: ClipSet,
        config: ChunkConfig,
        *,
        rank: int,
        alpha: float,
        projection: MatteProjection | None = None,
        denoised: Tensor | None = None,
    ) -> None:
        """Prepare the networks; a ``projection`` that latents in use went through stays as is.

        ``denoised`` is what ``ChunkSampler`` takes, of that projection.
        """
        self.autoencoder = autoencoder.requires_grad_(False)
        self.held_out = held_out
        device = autoencoder.device
        frozen = None if projection is None else projection.requires_grad_(False)
        self.projection = (frozen or MatteProjection(autoencoder.latent_channels)).to(device)
        self.decoder = add_lora(autoencoder.decoder, rank=rank, alpha=alpha).to(device)
        self.model: nn.Module = nn.ModuleDict(
            {"projection": self.projection, "decoder": self.decoder}
        )
        self.sampler = ChunkSampler(clips, autoencoder, config, denoised)
        self.sheet_rows = torch.arange(min(SHEET_CLIPS, len(held_out.scenes)))

    def loss(self, step: int, progress: float) -> Tensor:
        """Return smooth L1 plus an L1 that weighs edges of the target matte threefold.

        The weights are those of the authors' stage 1. Of several processes each returns the part of
        its own crops.
        """
        del progress
        self.sampler.start_step(step)
        target, latents, is_projected = self.sampler.crops(OPACITY_STREAMS, OPACITY_SHARES)
        context = self.autoencoder.context_frames
        with mixed_precision(target.device):
            keep = is_projected[:, None, None, None, None]
            projected = torch.where(keep, latents, self.projection(latents))
            decoded = decode_groups(self.decoder, projected, context)
        decoded, target = decoded.mean(1), target.mean(1)
        error = decoded - target
        loss = matte_loss(decoded, target)
        loss = loss + self.sampler.temporal_loss(error[:, None], target[:, None])
        return self.sampler.own_share(target) * loss

    def decode(self, latents: Tensor, decoder: nn.Module) -> Tensor:
        """Return opacities [B, T, H, W] in 0..1 from latents [B, C, F, h, w]: the channel mean."""
        windows = self.autoencoder.with_temporal_context(latents)
        groups = [decoder(windows[:, :, i]).mean(1) * 0.5 + 0.5 for i in range(windows.shape[2])]
        groups[0] = groups[0].mean(1, keepdim=True)
        return torch.cat(groups, dim=1).clamp(0, 1)

    def validate(self) -> dict[str, float]:
        """Return matting errors of the adapted decoder and, for comparison, of the plain one."""
        videos = self.held_out.streams(
            torch.arange(len(self.held_out.scenes)), self.autoencoder.device
        )
        metrics: dict[str, float] = {}
        for stream, name in zip(OPACITY_STREAMS, ("matte", "shadow"), strict=True):
            latents = self.autoencoder.encode_video(videos[:, stream])
            target = videos[:, stream, 0] * 0.5 + 0.5
            adapted = matte_errors(self.decode(self.projection(latents), self.decoder), target)
            plain = matte_errors(self.decode(latents, self.autoencoder.decoder), target)
            metrics |= {f"{name}_{k}": v for k, v in adapted.items()}
            metrics |= {f"{name}_plain_{k}": v for k, v in plain.items()}
        return metrics

    def sample(self, path: Path) -> None:
        """Write target mattes, the plain decoder's and the adapted decoder's to ``path``."""
        frame = slice(SHEET_FRAME, SHEET_FRAME + 1)
        video = self.held_out.streams(self.sheet_rows, self.autoencoder.device)[:, 3]
        latents = self.autoencoder.encode_video(video)
        plain = self.decode(latents, self.autoencoder.decoder)[:, frame]
        adapted = self.decode(self.projection(latents), self.decoder)[:, frame]
        rows = [video[:, :1, SHEET_FRAME] * 0.5 + 0.5, plain, adapted]
        save_grid([row.expand(-1, 3, -1, -1) for row in rows], path)


def matte_loss(decoded: Tensor, target: Tensor) -> Tensor:
    """Return the authors' loss of mattes [B, T, H, W]; L1 counts edges of the target threefold."""
    edge = nn.functional.pad(target.diff(dim=-1).abs(), (0, 1))
    edge = edge + nn.functional.pad(target.diff(dim=-2).abs(), (0, 0, 0, 1))
    weight = 1 + 2 * edge / edge.amax().clamp_min(1e-3)
    error = (decoded - target).abs()
    return nn.functional.smooth_l1_loss(decoded, target) + (weight * error).mean()


@torch.no_grad()
def linear_frames(autoencoder: PatchAutoencoder, latents: Tensor) -> Tensor:
    """Return what the linear part alone makes of g groups: frames [B, 3, g t, H, W].

    ``latents`` are those of ``decode_groups``.
    """
    decoder, context = autoencoder.decoder, autoencoder.context_frames
    own = latents[:, :, context : latents.shape[2] - context]
    flat = decoder.linear(own.transpose(1, 2).flatten(0, 1))
    frames = nn.functional.pixel_shuffle(flat, decoder.patch).unflatten(1, (3, decoder.frames))
    return frames.unflatten(0, (len(latents), -1)).transpose(1, 2).flatten(2, 3)


def decode_groups(decoder: nn.Module, latents: Tensor, context_frames: int) -> Tensor:
    """Return frames [B, 3, g t, H, W] of g groups.

    ``latents`` [B, C, g + 2 n, h, w] hold n = ``context_frames`` more before and after.
    """
    windows = latents.unfold(2, 1 + 2 * context_frames, 1).permute(0, 2, 5, 1, 3, 4)
    frames = decoder(windows.flatten(0, 1).flatten(1, 2))
    return cast(Tensor, frames.unflatten(0, windows.shape[:2]).transpose(1, 2).flatten(2, 3))
