"""The two phases of stage 1: a decoder for frozen linear latents, then its adaptation to mattes and
shadows.

Sources: arXiv 2508.04228 (frozen encoder, trained projection, LoRA on the decoder) and its code for
the matte loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from layert2v_engine.devices import TrainingRng, mixed_precision
from layert2v_engine.metrics.contact_sheet import save_grid
from layert2v_engine.metrics.flow import optical_flow
from layert2v_engine.metrics.matting import matte_errors
from layert2v_engine.model.autoencoder import PatchAutoencoder, decode_video
from layert2v_engine.model.matte_adapter import MatteProjection, add_lora
from layert2v_engine.training.data import STREAM_PLANES, ClipSet, whitened_deviations

COLOUR_STREAMS, COLOUR_SHARES = (0, 1, 2), (0.45, 0.2, 0.35)
OPACITY_STREAMS = (3, 4)
SHOWN = 8  # clips on a sheet
FOLLOWED = 8  # crops of a batch whose motion is estimated, on the CPU
FIT_SHARES = (0.25, 0.2, 0.25, 0.2, 0.1)  # all five streams share one encoder


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkConfig:
    """What a batch of frame groups looks like."""

    batch: int = 12
    crop: int = 64  # pixels
    groups: int = 1  # one after another in a crop; flicker is worst where they meet
    # The transformer's latents are never exact: most noise, in whitened deviations of a channel.
    latent_noise: float = 0.2
    steadiness: float = 0.0  # weight of `change_along_motion`
    seed: int = 0


class ChunkSampler:
    """Random crops of frame groups of chosen streams in -1..1, where the autoencoder is."""

    def __init__(self, clips: ClipSet, autoencoder: PatchAutoencoder, config: ChunkConfig) -> None:
        self.clips, self.autoencoder, self.config = clips, autoencoder, config
        self.device = autoencoder.device
        self.rng = TrainingRng(config.seed, self.device)
        self._deviations: dict[tuple[int, ...], Tensor] = {}

    def groups(self, count: int, streams: tuple[int, ...], shares: tuple[float, ...]) -> Tensor:
        """Whole frame groups [count, 3, t, H, W]; one in three is the group of a first frame."""
        corners = torch.zeros(count, 2, dtype=torch.long)
        size = self.clips.pixels.shape[-2:]
        return self._cut(self._draw(count, streams, shares), corners, (size[0], size[1]))

    def crops(self, streams: tuple[int, ...], shares: tuple[float, ...]) -> tuple[Tensor, Tensor]:
        """A batch of crops [B, 3, g t, crop, crop] of g groups on the grid of the latents, and the
        frozen latents [B, C, g + 2 n, h, w] of these and their neighbours in time, with training
        noise.
        """
        drawn = self._draw(self.config.batch, streams, shares, self.config.groups)
        step, crop = self.autoencoder.spatial_factor, self.config.crop
        corners = torch.tensor(
            [
                [step * self.rng.index((side - crop) // step + 1) for side in self.clips.size]
                for _ in range(self.config.batch)
            ]
        )
        reach, groups = self.autoencoder.context_frames, self.config.groups
        moves = torch.tensor([[0, 0, move] for move in range(-reach, groups + reach)])
        around = drawn[:, None] + moves  # [B, g + 2 n, 3]
        around[..., 2] = around[..., 2].clamp(0, self._groups - 1)
        count = len(moves)
        chunks = self._cut(
            around.flatten(0, 1), corners.repeat_interleave(count, 0), (crop, crop)
        ).unflatten(0, (-1, count))
        deviations = self._deviations.get(streams)
        if deviations is None:
            deviations = self._deviations[streams] = self._measured(streams, shares)
        with torch.no_grad():
            latents = self._encoded(chunks.flatten(0, 1)).unflatten(0, (-1, count)).transpose(1, 2)
            level = self.config.latent_noise * self.rng.uniform((len(drawn), 1, 1, 1, 1))
            noise = self.rng.noise(latents.shape) * deviations[:, None, None, None]
        shown = chunks[:, reach : reach + groups].transpose(1, 2).flatten(2, 3)
        return shown, latents + level * noise

    def flicker(self, error: Tensor, target: Tensor) -> Tensor:
        """`change_along_motion` of crops [B, c, T, H, W] from a random frame to the next, by its
        weight; nothing where that is 0.
        """
        if not self.config.steadiness:
            return error.new_zeros(())
        frame = self.rng.index(error.shape[2] - 1)
        pairs = (x[:FOLLOWED, :, frame : frame + 2] for x in (error, target))
        return self.config.steadiness * change_along_motion(*pairs)

    def _encoded(self, chunks: Tensor) -> Tensor:
        return cast(Tensor, self.autoencoder.encoder(self.autoencoder.patches(chunks)))

    @torch.no_grad()
    def _measured(self, streams: tuple[int, ...], shares: tuple[float, ...]) -> Tensor:
        """What one is of whitened latents in each channel [C], where the transformer errs alike in
        all.
        """
        own = self._encoded(self.groups(64, streams, shares)).std(dim=(0, 2, 3))
        return own / whitened_deviations(own)

    @property
    def _groups(self) -> int:
        return 1 + (self.clips.pixels.shape[2] - 1) // self.autoencoder.temporal_factor

    def _draw(
        self, count: int, streams: tuple[int, ...], shares: tuple[float, ...], groups: int = 1
    ) -> Tensor:
        """Clip, stream and first frame group [count, 3] of each chunk of so many groups."""
        rows = self.rng.indices(len(self.clips.scenes), count)
        picks = torch.multinomial(
            torch.tensor(shares), count, replacement=True, generator=self.rng.choices
        )
        places = [self.rng.index(self._groups - groups + 1) for _ in range(count)]
        return torch.stack([rows, torch.tensor(streams)[picks], torch.tensor(places)], dim=1)

    def _cut(self, drawn: Tensor, corners: Tensor, size: tuple[int, int]) -> Tensor:
        """The chunks `drawn` [B, 3] from their upper left `corners` [B, 2], in one gather."""
        rows, streams, groups = drawn.unbind(1)
        t = self.autoencoder.temporal_factor
        channels = STREAM_PLANES[streams]  # [B, 3]
        frames = (t * (groups[:, None] - 1) + torch.arange(1, t + 1)).clamp_min(0)  # [B, t]
        ys, xs = (corners[:, i, None] + torch.arange(side) for i, side in enumerate(size))
        where = (
            rows[:, None, None, None, None],
            channels[:, :, None, None, None],
            frames[:, None, :, None, None],
            ys[:, None, None, :, None],
            xs[:, None, None, None, :],
        )
        home = self.clips.pixels.device
        pixels = self.clips.pixels[tuple(index.to(home) for index in where)]
        return pixels.to(self.device).float() / 127.5 - 1


def fit(autoencoder: PatchAutoencoder, clips: ClipSet, *, chunks: int = 1500) -> Tensor:
    """Fit the linear encoder on chunks of all streams; returns its component deviations [C]."""
    sampler = ChunkSampler(clips, autoencoder, ChunkConfig())
    columns = [
        autoencoder.patches(sampler.groups(50, tuple(range(5)), FIT_SHARES))
        .permute(0, 2, 3, 1)
        .flatten(0, 2)
        for _ in range(chunks // 50)
    ]
    return autoencoder.fit_encoder(torch.cat(columns))


class DecoderPhase:
    """Teach the decoder's residual network to undo linear blur and blocks, on colour streams."""

    name = "autoencoder"

    def __init__(
        self, autoencoder: PatchAutoencoder, clips: ClipSet, held_out: ClipSet, config: ChunkConfig
    ) -> None:
        self.autoencoder, self.held_out = autoencoder, held_out
        autoencoder.encoder.requires_grad_(False)
        self.model: nn.Module = autoencoder
        self.sampler = ChunkSampler(clips, autoencoder, config)
        self.shown = torch.arange(min(SHOWN, len(held_out.scenes)))

    def loss(self, step: int, share: float) -> Tensor:
        """Charbonnier on pixels, plus their gradients, so edges count, plus `steadiness`."""
        del step, share
        target, latents = self.sampler.crops(COLOUR_STREAMS, COLOUR_SHARES)
        with mixed_precision(target.device):
            drawn = decoded(self.autoencoder.decoder, latents, self.autoencoder.context_frames)
        error = drawn - target
        edges = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
        loss = (error.square() + 1e-4).sqrt().mean() + 0.5 * edges
        return loss + self.sampler.flicker(error, target)

    def reseed(self, step: int) -> None:
        """Other crops and noise than those before `step`."""
        self.sampler.rng = TrainingRng(self.sampler.config.seed + step, self.sampler.device)

    def validate(self) -> dict[str, float]:
        """PSNR in dB of a round trip per colour stream, and of the linear part alone."""
        videos = self.held_out.streams(
            torch.arange(len(self.held_out.scenes)), self.autoencoder.device
        )
        figures: dict[str, float] = {}
        for stream, name in zip(
            COLOUR_STREAMS, ("composite", "background", "foreground"), strict=True
        ):
            latents = self.autoencoder.encode_video(videos[:, stream])
            figures[f"psnr_{name}"] = psnr(
                decode_video(self.autoencoder, latents), videos[:, stream]
            )
        return figures

    def sample(self, path: Path) -> None:
        """Originals above their round trips."""
        video = self.held_out.streams(self.shown, self.autoencoder.device)[:, 0]
        drawn = decode_video(self.autoencoder, self.autoencoder.encode_video(video))
        save_grid([video[:, :, 4] * 0.5 + 0.5, drawn[:, :, 4] * 0.5 + 0.5], path)


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
    ) -> None:
        """projection: one that latents in use went through, which stays as it is."""
        self.autoencoder = autoencoder.requires_grad_(False)
        self.held_out = held_out
        device = autoencoder.device
        kept = None if projection is None else projection.requires_grad_(False)
        self.projection = (kept or MatteProjection(autoencoder.latent_channels)).to(device)
        self.decoder = add_lora(autoencoder.decoder, rank=rank, alpha=alpha).to(device)
        self.model: nn.Module = nn.ModuleDict(
            {"projection": self.projection, "decoder": self.decoder}
        )
        self.sampler = ChunkSampler(clips, autoencoder, config)
        self.shown = torch.arange(min(SHOWN, len(held_out.scenes)))

    def loss(self, step: int, share: float) -> Tensor:
        """Smooth L1 plus an L1 that weighs edges of the true matte threefold (weights of the
        authors' stage 1).
        """
        del step, share
        target, latents = self.sampler.crops(OPACITY_STREAMS, (0.7, 0.3))
        with mixed_precision(target.device):
            drawn = decoded(self.decoder, self.projection(latents), self.autoencoder.context_frames)
        drawn, target = drawn.mean(1), target.mean(1)
        edge = nn.functional.pad(target.diff(dim=-1).abs(), (0, 1))
        edge = edge + nn.functional.pad(target.diff(dim=-2).abs(), (0, 0, 0, 1))
        weight = 1 + 2 * edge / edge.amax().clamp_min(1e-3)
        error = drawn - target
        loss = nn.functional.smooth_l1_loss(drawn, target) + (weight * error.abs()).mean()
        return loss + self.sampler.flicker(error[:, None], target[:, None])

    def decode(self, latents: Tensor, decoder: nn.Module) -> Tensor:
        """Opacities [B, T, H, W] in 0..1 from latents [B, C, F, h, w]: the channel mean."""
        seen = self.autoencoder.with_temporal_context(latents)
        groups = [decoder(seen[:, :, i]).mean(1) * 0.5 + 0.5 for i in range(seen.shape[2])]
        groups[0] = groups[0].mean(1, keepdim=True)
        return torch.cat(groups, dim=1).clamp(0, 1)

    def reseed(self, step: int) -> None:
        """Other crops and noise than those before `step`."""
        self.sampler.rng = TrainingRng(self.sampler.config.seed + step, self.sampler.device)

    def validate(self) -> dict[str, float]:
        """Matting errors of the adapted decoder and, for comparison, of the plain one."""
        videos = self.held_out.streams(
            torch.arange(len(self.held_out.scenes)), self.autoencoder.device
        )
        figures: dict[str, float] = {}
        for stream, name in zip(OPACITY_STREAMS, ("matte", "shadow"), strict=True):
            latents = self.autoencoder.encode_video(videos[:, stream])
            truth = videos[:, stream, 0] * 0.5 + 0.5
            adapted = matte_errors(self.decode(self.projection(latents), self.decoder), truth)
            plain = matte_errors(self.decode(latents, self.autoencoder.decoder), truth)
            figures |= {f"{name}_{k}": v for k, v in adapted.items()}
            figures |= {f"{name}_plain_{k}": v for k, v in plain.items()}
        return figures

    def sample(self, path: Path) -> None:
        """True mattes, the plain decoder's, the adapted decoder's; frame 4."""
        video = self.held_out.streams(self.shown, self.autoencoder.device)[:, 3]
        latents = self.autoencoder.encode_video(video)
        plain = self.decode(latents, self.autoencoder.decoder)[:, 4:5]
        adapted = self.decode(self.projection(latents), self.decoder)[:, 4:5]
        rows = [video[:, :1, 4] * 0.5 + 0.5, plain, adapted]
        save_grid([row.expand(-1, 3, -1, -1) for row in rows], path)


def change_along_motion(error: Tensor, target: Tensor) -> Tensor:
    """Mean absolute change of what a decoder errs by, from a frame to the next, along the motion of
    the truth; both [B, c, 2, H, W], the truth in -1..1.

    An error that moves with what it belongs to does not flicker (arXiv 1808.00449).
    """
    grid, seen = _followed(target[:, :, 0], target[:, :, 1])
    after = nn.functional.grid_sample(error[:, :, 1], grid, align_corners=True)
    change = (after - error[:, :, 0]).abs().mean(1)
    return (change * seen).sum() / seen.sum().clamp_min(1.0)


def _followed(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Where the points of a picture [B, c, H, W] in -1..1 are in the next one, [B, H, W, 2] as
    `grid_sample` takes it, and which of them are seen there [B, H, W].
    """
    greys = [((x.mean(1) + 1) * 127.5).round().byte().cpu().numpy() for x in (first, second)]
    flows, seen = zip(*(optical_flow(a, b) for a, b in zip(*greys, strict=True)), strict=True)
    height, width = first.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    there = torch.stack([x, y], -1) + torch.from_numpy(np.stack(flows))
    size = torch.tensor([width - 1, height - 1])
    return (2 * there / size - 1).to(first), torch.from_numpy(np.stack(seen)).to(first)


def decoded(decoder: nn.Module, latents: Tensor, neighbours: int) -> Tensor:
    """Frames [B, 3, g t, H, W] of g groups from their latents and n before and after, [B, C, g +
    2 n, h, w].
    """
    windows = latents.unfold(2, 1 + 2 * neighbours, 1).permute(0, 2, 5, 1, 3, 4)
    frames = decoder(windows.flatten(0, 1).flatten(1, 2))
    return cast(Tensor, frames.unflatten(0, windows.shape[:2]).transpose(1, 2).flatten(2, 3))


def psnr(a: Tensor, b: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of videos in -1..1."""
    return float(10 * torch.log10(4 / (a.float() - b).square().mean().clamp_min(1e-12)))
