"""Latents of clips: encoded once and kept, because the encoder is frozen from then on.

Everything on disk is safetensors. Knows nothing of optimisers or losses.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from layert2v_engine.devices import CPU, fits_in_memory
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.layout import FOREGROUND_ROLES, OPACITY_ROLES, Figure, StreamLayout, StreamRole
from layert2v_engine.model.autoencoder import VideoAutoencoder
from layert2v_engine.tensor_file import load_tensors
from layert2v_engine.world.dataset import ClipSet, Report, scenes_from_tensor, scenes_to_tensor
from layert2v_engine.world.text.captions import captions_for
from layert2v_engine.world.text.descriptions import varying_details
from layert2v_engine.world.text.scenes import Scene


class LatentBatch(NamedTuple):
    """Normalized latents [B, S, C, F, h, w] and coverage [B, 2 K, F, h, w] in 0..1.

    Coverage is that of mattes and shadows, in the order of ``ClipSet.opacities``.
    """

    latents: Tensor
    coverage: Tensor


_ENCODED_AT_ONCE = 2  # clips; 16 take twice as long a clip, since nothing stays in the cache


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentSet:
    """Latents of N clips as the transformer takes them, float16."""

    latents: Tensor  # [N, S, C, F, h, w]
    coverage: Tensor  # [N, 2 K, F, h, w]
    scenes: tuple[Scene, ...]
    captions: tuple[tuple[str, ...], ...] = ()  # of clips of data sets, which come after scenes
    details: tuple[str, ...] = field(init=False)  # in which scenes differ

    def __post_init__(self) -> None:
        object.__setattr__(self, "details", varying_details(self.scenes))

    def __len__(self) -> int:
        return len(self.latents)

    @property
    def grid(self) -> tuple[int, int, int]:
        """Latent frames, rows and columns of each clip."""
        frames, rows, columns = self.latents.shape[3:]
        return frames, rows, columns

    def captions_of(self, row: int, rng: Random | None = None) -> tuple[str, ...]:
        """Return captions of the whole, of each foreground, and of the background of a clip.

        With ``rng`` those of a scene are random ones, else as a planner words a request for it.
        """
        if row < len(self.scenes):
            return captions_for(self.scenes[row], rng, self.details)
        return self.captions[row - len(self.scenes)]

    def figures_of(self, row: int) -> tuple[Figure, ...]:
        """Return the subjects of a clip as a layout prior knows them; none of data sets."""
        return tuple(a.figure for a in self.scenes[row].actors) if row < len(self.scenes) else ()

    def extend(self, other: LatentSet, captions: tuple[tuple[str, ...], ...]) -> LatentSet:
        """Return this set with the clips of data sets after its own."""
        return replace(
            self,
            latents=torch.cat([self.latents, other.latents]),
            coverage=torch.cat([self.coverage, other.coverage]),
            captions=self.captions + captions,
        )

    def select_streams(self, layout: StreamLayout) -> LatentSet:
        """Return the set with the streams of a layout alone, of those that clips have."""
        whole = layout_of(self.latents.shape[1])
        if whole == layout:
            return self
        return replace(self, latents=self.latents[:, [whole.index(n) for n in layout.names]])

    def save(self, path: Path) -> None:
        """Write as one safetensors file, complete or not at all."""
        tensors = {
            "latents": self.latents,
            "coverage": self.coverage,
            "scenes": scenes_to_tensor(self.scenes),
        }
        with atomic_write(path) as temporary:
            save_file(tensors, temporary)

    @classmethod
    def load(cls, path: Path) -> LatentSet:
        """Read what ``save`` wrote."""
        tensors = load_tensors(path)
        return cls(
            latents=tensors["latents"],
            coverage=tensors["coverage"],
            scenes=scenes_from_tensor(tensors["scenes"]),
        )

    def to(self, device: torch.device) -> LatentSet:
        """Return the set with its tensors on ``device`` if they fit there, else as it is."""
        if not fits_in_memory(self.latents, device):
            return self
        return replace(self, latents=self.latents.to(device), coverage=self.coverage.to(device))

    def batch(
        self, rows: Tensor, frame: int | None = None, device: torch.device = CPU
    ) -> LatentBatch:
        """Return rows [B] as float32 on ``device``; with ``frame``, that latent frame (a still)."""
        rows = rows.to(self.latents.device)
        frames = slice(None) if frame is None else slice(frame, frame + 1)
        latents = self.latents[:, :, :, frames][rows].to(device).float()
        coverage = self.coverage[:, :, frames][rows].to(device).float()
        return LatentBatch(latents, coverage)


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamNormalization:
    """Statistics [5, C] per role of ``StreamRole`` and channel: z = (latent - mean) / std."""

    mean: Tensor
    std: Tensor

    def to(self, device: torch.device) -> StreamNormalization:
        """Return the same on ``device``."""
        return StreamNormalization(mean=self.mean.to(device), std=self.std.to(device))

    def of(self, layout: StreamLayout) -> StreamNormalization:
        """Return the same by stream: [S, C] each."""
        rows = list(layout.modulation_rows([role.value for role in StreamRole]))
        return StreamNormalization(mean=self.mean[rows], std=self.std[rows])

    def apply(self, latents: Tensor) -> Tensor:
        """Return the latents [B, S, C, F, h, w] of clips, normalized."""
        by_stream = self.of(layout_of(latents.shape[1]))
        return (latents - by_stream.mean[:, :, None, None, None]) / by_stream.std[
            :, :, None, None, None
        ]


def layout_of(streams: int) -> StreamLayout:
    """Return the layout of an encoded clip with so many streams, which has its shadows."""
    return StreamLayout.for_foregrounds((streams - 2) // len(FOREGROUND_ROLES))


@torch.no_grad()
def encode_streams(autoencoder: VideoAutoencoder, projection: nn.Module, videos: Tensor) -> Tensor:
    """Return latents [B, S, C, F, h, w], not normalized, of videos [B, S, 3, T, H, W] in -1..1.

    Mattes and shadows go through the projection.
    """
    batch, streams = videos.shape[:2]
    latents = autoencoder.encode_video(videos.flatten(0, 1))
    is_opacity = [s.role in OPACITY_ROLES for s in layout_of(streams).streams]
    opacity = torch.tensor(is_opacity, device=videos.device).repeat(batch)
    if any(is_opacity):
        latents[opacity] = projection(latents[opacity])
    return latents.unflatten(0, (batch, streams))


def fit_normalization(latents: Tensor, component_std: Tensor) -> StreamNormalization:
    """Return the statistics of latents [N, S, C, F, h, w] with five streams.

    The floor was measured to learn well on this autoencoder.
    """
    mean = latents.mean(dim=(0, 3, 4, 5))
    std = latents.std(dim=(0, 3, 4, 5))
    scale = normalized_deviations(component_std)
    return StreamNormalization(mean=mean, std=(std.square() + 0.01).sqrt() / scale)


def normalized_deviations(component_std: Tensor) -> Tensor:
    """Return the deviations [C] that components have in normalized latents.

    Coarse ones keep more, so they leave the noise first. The exponent was measured to learn well
    (0.6 to 2.3).
    """
    scale = component_std**0.4
    return scale / scale.square().mean().sqrt()


@torch.no_grad()
def encode_clips(
    clips: ClipSet,
    autoencoder: VideoAutoencoder,
    projection: nn.Module,
    normalization: StreamNormalization,
    report: Report,
) -> LatentSet:
    """Return latents and coverage of all clips on the CPU, encoded where the statistics are."""
    latents, coverage = [], []
    device = normalization.mean.device
    count = len(clips.pixels)
    for rows in torch.arange(count).split(_ENCODED_AT_ONCE):
        videos = clips.streams(rows, device)
        encoded = normalization.apply(encode_streams(autoencoder, projection, videos))
        latents.append(encoded.half().cpu())
        coverage.append(pool_to_latents(clips.opacities(rows), autoencoder).half())
        report("latents", int(rows[-1]) + 1, count)
    return LatentSet(latents=torch.cat(latents), coverage=torch.cat(coverage), scenes=clips.scenes)


def pool_to_latents(opacities: Tensor, autoencoder: VideoAutoencoder) -> Tensor:
    """Return opacities [B, c, T, H, W] averaged to the grid of their latents [B, c, F, h, w]."""
    t, side = autoencoder.temporal_factor, autoencoder.spatial_factor
    frames, height, width = opacities.shape[2:]
    later = opacities[:, :, 1:].unflatten(2, ((frames - 1) // t, t)).mean(3)
    groups = torch.cat([opacities[:, :, :1], later], 2)
    cells = groups.unflatten(4, (width // side, side)).unflatten(3, (height // side, side))
    return cells.mean((4, 6))
