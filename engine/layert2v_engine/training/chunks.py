"""Random crops of frame groups, with their latents: what the autoencoder's decoders learn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, cast

import torch
from torch import Tensor

from layert2v_engine.devices import TrainingRng, seed_for
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.training import data_parallel
from layert2v_engine.training.latents import normalized_deviations
from layert2v_engine.training.temporal_loss import temporal_consistency_loss
from layert2v_engine.world.dataset import STREAM_PLANES, ClipSet

FLOW_CROPS = 8  # crops of a batch whose motion is estimated, on the CPU
FIT_SHARES = (0.25, 0.2, 0.25, 0.2, 0.1)  # all five streams share one encoder
_FIT_BATCH, _DEVIATION_CHUNKS = 50, 64


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkConfig:
    """What a batch of frame groups looks like."""

    batch: int = 12
    crop: int = 64  # pixels
    groups: int = 1  # one after another in a crop; flicker is worst where they meet
    # The transformer's latents are never exact: most noise, in normalized deviations of a channel.
    latent_noise: float = 0.2
    # Share of crops whose latents a transformer has denoised, where there are such.
    denoised_share: float = 0.0
    # Weight of ``temporal_consistency_loss``.
    temporal_consistency_weight: float = field(default=0.0, metadata={"stored": "steadiness"})
    # Weight of a patch discriminator's gradient on the color decoder, about 0.02; 0: none.
    adversarial_weight: float = 0.0
    adversarial_start: float = 0.0  # share of the training without it
    seed: int = 0


class Crops(NamedTuple):
    """A batch of crops and their latents.

    pixels: [B, 3, g t, crop, crop], of g groups, on the grid of the latents. latents:
    [B, C, g + 2 n, h, w], those of n neighbours in time on both sides included. is_denoised: [B],
    where a transformer made them; those of mattes are projected already.
    """

    pixels: Tensor
    latents: Tensor
    is_denoised: Tensor


class ChunkSampler:
    """Random crops of frame groups of chosen streams in -1..1, where the autoencoder is.

    denoised: latents [N, 5, C, F, h, w] of the first clips as a transformer made them.
    """

    def __init__(
        self,
        clips: ClipSet,
        autoencoder: PatchAutoencoder,
        config: ChunkConfig,
        denoised: Tensor | None = None,
    ) -> None:
        self.clips, self.autoencoder, self.config = clips, autoencoder, config
        self.denoised = denoised if config.denoised_share else None
        self.device = autoencoder.device
        self.rng = TrainingRng(config.seed, self.device)
        self._deviations: dict[tuple[int, ...], Tensor] = {}

    def start_step(self, step: int) -> None:
        """Let crops and noise depend on the step alone, not on those before it."""
        self.rng = TrainingRng(seed_for(self.config.seed, step), self.device)

    def groups(self, count: int, streams: tuple[int, ...], shares: tuple[float, ...]) -> Tensor:
        """Return whole frame groups [count, 3, t, H, W]; one in three is that of a first frame.

        ``shares`` says how often each of ``streams`` occurs.
        """
        corners = torch.zeros(count, 2, dtype=torch.long)
        size = self.clips.pixels.shape[-2:]
        return self._crop(self._sample_chunks(count, streams, shares), corners, (size[0], size[1]))

    def crops(self, streams: tuple[int, ...], shares: tuple[float, ...]) -> Crops:
        """Return a batch of crops of groups, and their latents with training noise.

        Of several processes each gets its own rows of the batch.
        """
        chosen = self._sample_chunks(self.config.batch, streams, shares, self.config.groups)
        step, crop = self.autoencoder.spatial_factor, self.config.crop
        corners = torch.tensor(
            [
                [step * self.rng.index((side - crop) // step + 1) for side in self.clips.size]
                for _ in range(self.config.batch)
            ]
        )
        context, groups = self.autoencoder.context_frames, self.config.groups
        offsets = torch.tensor([[0, 0, offset] for offset in range(-context, groups + context)])
        windows = chosen[:, None] + offsets  # [B, g + 2 n, 3]
        windows[..., 2] = windows[..., 2].clamp(0, self._groups_per_clip - 1)
        count, own = len(offsets), data_parallel.own_rows()
        windows, corners = windows[own], corners[own]
        chunks = self._crop(
            windows.flatten(0, 1), corners.repeat_interleave(count, 0), (crop, crop)
        ).unflatten(0, (-1, count))
        deviations = self._deviations.get(streams)
        if deviations is None:
            deviations = self._deviations[streams] = self._measure_deviations(streams, shares)
        is_denoised = self._choose_denoised(len(chosen))[own]
        with torch.no_grad():
            latents = self._encode(chunks.flatten(0, 1)).unflatten(0, (-1, count)).transpose(1, 2)
            if self.denoised is not None:
                for row in is_denoised.nonzero()[:, 0].tolist():
                    known = self._crop_latents(self.denoised, windows[row], corners[row])
                    latents[row] = known.to(latents)
            level = self.config.latent_noise * self.rng.uniform((len(chosen), 1, 1, 1, 1))
            noise = self.rng.noise((len(chosen), *latents.shape[1:]))
            noise = (level * noise)[own] * deviations[:, None, None, None]
        pixels = chunks[:, context : context + groups].transpose(1, 2).flatten(2, 3)
        return Crops(pixels, latents + noise, is_denoised.to(self.device))

    def temporal_loss(self, error: Tensor, target: Tensor) -> Tensor:
        """Return the weighted ``temporal_consistency_loss`` between two frames of a crop.

        ``error`` and ``target`` are [B, c, T, H, W]; the first frame is a random one. It is 0
        where the weight is.
        """
        if not self.config.temporal_consistency_weight:
            return error.new_zeros(())
        frame = self.rng.index(error.shape[2] - 1)
        pairs = (x[:FLOW_CROPS, :, frame : frame + 2] for x in (error, target))
        return self.config.temporal_consistency_weight * temporal_consistency_loss(*pairs)

    def own_share(self, target: Tensor) -> float:
        """Return the part of the batch that the crops ``target`` of this process are, in 0..1."""
        return len(target) / self.config.batch

    def _choose_denoised(self, count: int) -> Tensor:
        """Return which rows [count] of a batch get the latents that a transformer made."""
        if self.denoised is None:
            return torch.zeros(count, dtype=torch.bool)
        return self.rng.uniform((count,)).cpu() < self.config.denoised_share

    def _crop_latents(self, latents: Tensor, window: Tensor, corner: Tensor) -> Tensor:
        """Return a crop [C, g + 2 n, h, w] of a window [g + 2 n, 3] of clip, stream and group."""
        clip, stream, groups = int(window[0, 0]), int(window[0, 1]), window[:, 2]
        row, column = (corner // self.autoencoder.spatial_factor).tolist()
        side = self.config.crop // self.autoencoder.spatial_factor
        whole = latents[clip, stream][:, groups]
        return whole[:, :, row : row + side, column : column + side]

    def _encode(self, chunks: Tensor) -> Tensor:
        return cast(Tensor, self.autoencoder.encoder(self.autoencoder.patches(chunks)))

    @torch.no_grad()
    def _measure_deviations(self, streams: tuple[int, ...], shares: tuple[float, ...]) -> Tensor:
        """Return by channel [C] what one is in normalized latents.

        The transformer errs alike in all channels of those.
        """
        of_step, self.rng = self.rng, TrainingRng(self.config.seed, self.device)
        own = self._encode(self.groups(_DEVIATION_CHUNKS, streams, shares)).std(dim=(0, 2, 3))
        self.rng = of_step
        return own / normalized_deviations(own)

    @property
    def _groups_per_clip(self) -> int:
        return 1 + (self.clips.pixels.shape[2] - 1) // self.autoencoder.temporal_factor

    def _sample_chunks(
        self, count: int, streams: tuple[int, ...], shares: tuple[float, ...], groups: int = 1
    ) -> Tensor:
        """Return clip, stream and first frame group [count, 3] of chunks of ``groups`` groups."""
        rows = self.rng.indices(len(self.clips.scenes), count)
        picks = torch.multinomial(
            torch.tensor(shares), count, replacement=True, generator=self.rng.choices
        )
        starts = [self.rng.index(self._groups_per_clip - groups + 1) for _ in range(count)]
        return torch.stack([rows, torch.tensor(streams)[picks], torch.tensor(starts)], dim=1)

    def _crop(self, chosen: Tensor, corners: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the chunks ``chosen`` [B, 3] from their upper left ``corners`` [B, 2]."""
        rows, streams, groups = chosen.unbind(1)
        t = self.autoencoder.temporal_factor
        channels = STREAM_PLANES[streams]  # [B, 3]
        frames = (t * (groups[:, None] - 1) + torch.arange(1, t + 1)).clamp_min(0)  # [B, t]
        ys, xs = (corners[:, i, None] + torch.arange(side) for i, side in enumerate(size))
        indices = (
            rows[:, None, None, None, None],
            channels[:, :, None, None, None],
            frames[:, None, :, None, None],
            ys[:, None, None, :, None],
            xs[:, None, None, None, :],
        )
        device = self.clips.pixels.device
        pixels = self.clips.pixels[tuple(index.to(device) for index in indices)]
        return pixels.to(self.device).float() / 127.5 - 1


def fit_encoder(autoencoder: PatchAutoencoder, clips: ClipSet, *, chunks: int = 1500) -> Tensor:
    """Fit the linear encoder on chunks of all streams; return its component deviations [C]."""
    sampler = ChunkSampler(clips, autoencoder, ChunkConfig())
    patches = [
        autoencoder.patches(sampler.groups(_FIT_BATCH, tuple(range(5)), FIT_SHARES))
        .permute(0, 2, 3, 1)
        .flatten(0, 2)
        for _ in range(chunks // _FIT_BATCH)
    ]
    return autoencoder.fit_encoder(torch.cat(patches))
