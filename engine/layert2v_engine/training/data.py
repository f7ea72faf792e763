"""Training material in memory: rendered clips as bytes, their latents, and the token states of
every caption.

Clips come from the procedural world, rendered by all cores once; latents are encoded once and kept,
because the encoder is frozen from then on. Everything on disk is safetensors. Knows nothing of
optimisers or losses.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from layert2v_engine.devices import CPU, fits_in_memory
from layert2v_engine.errors import EngineError
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.layout import FOREGROUND_ROLES, OPACITY_ROLES, StreamLayout, StreamRole
from layert2v_engine.model.autoencoder import VideoAutoencoder
from layert2v_engine.model.text import TextEncoder
from layert2v_engine.world.clips import Clip, Label, World
from layert2v_engine.world.text.scenes import Scene, scene_from_json, scene_to_json

Report = Callable[[str, int, int], None]

# Of a clip with one foreground: three planes per stream, matte and shadow repeated.
STREAM_PLANES = torch.tensor([[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 9, 9], [10, 10, 10]])
FLAT_CHANNELS, LAYER_CHANNELS = 6, 5  # composite and background; foreground, matte and shadow
MATTE_CHANNEL = 9  # of the lowest foreground
HELD_OUT_SEED = 10_000_000  # seeds from here on never occur in training
JUDGE_SEED = 20_000_000  # seeds from here on are seen by judges only


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipSet:
    """`pixels` uint8 [N, 6 + 5 K, T, H, W]: composite and background (3 channels each), then for
    each of K foregrounds, bottom to top, foreground (3 channels), matte, shadow.
    """

    pixels: Tensor
    scenes: tuple[Scene, ...]

    def save(self, path: Path) -> None:
        """Write as one safetensors file, complete or not at all."""
        tensors = {"pixels": self.pixels, "scenes": _scenes_to_tensor(self.scenes)}
        with atomic_write(path) as temporary:
            save_file(tensors, temporary)

    @classmethod
    def load(cls, path: Path) -> ClipSet:
        """Read what `save` wrote."""
        tensors = load_file(path)
        return cls(pixels=tensors["pixels"], scenes=_scenes_from_tensor(tensors["scenes"]))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[-2], self.pixels.shape[-1]

    @property
    def labels(self) -> tuple[Label, ...]:
        """What the lowest foreground of each clip shows."""
        return tuple(scene.label() for scene in self.scenes)

    @property
    def foregrounds(self) -> int:
        """How many foregrounds each clip has."""
        return (self.pixels.shape[1] - FLAT_CHANNELS) // LAYER_CHANNELS

    def to(self, device: torch.device) -> ClipSet:
        """With the pixels on `device` if they fit there, else as it is."""
        return (
            replace(self, pixels=self.pixels.to(device))
            if fits_in_memory(self.pixels, device)
            else self
        )

    def streams(self, rows: Tensor, device: torch.device = CPU) -> Tensor:
        """Videos [B, 2 + 3 K, 3, T, H, W] in -1..1 on `device`; matte and shadow repeated over
        three channels.
        """
        pixels = self.pixels[rows.to(self.pixels.device)].to(device).float() / 127.5 - 1
        return torch.stack(
            [
                pixels[:, part].expand(-1, 3, -1, -1, -1)
                for part in stream_channels(self.foregrounds)
            ],
            dim=1,
        )

    def opacities(self, rows: Tensor, device: torch.device = CPU) -> Tensor:
        """Mattes and shadows [B, 2 K, T, H, W] in 0..1: matte_01, shadow_01, matte_02, ..."""
        kept = [part.start for part in stream_channels(self.foregrounds) if _single(part)]
        return self.pixels[rows.to(self.pixels.device)][:, kept].to(device).float() / 255


class LatentBatch(NamedTuple):
    """Whitened latents [B, S, C, F, h, w] and coverage of mattes and shadows [B, 2 K, F, h, w] in
    0..1, in the order of `ClipSet.opacities`.
    """

    latents: Tensor
    coverage: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentSet:
    """Latents of N clips as the transformer sees them, float16."""

    latents: Tensor
    coverage: Tensor  # [N, 2 K, F, h, w]
    scenes: tuple[Scene, ...]

    def save(self, path: Path) -> None:
        """Write as one safetensors file, complete or not at all."""
        tensors = {
            "latents": self.latents,
            "coverage": self.coverage,
            "scenes": _scenes_to_tensor(self.scenes),
        }
        with atomic_write(path) as temporary:
            save_file(tensors, temporary)

    @classmethod
    def load(cls, path: Path) -> LatentSet:
        """Read what `save` wrote."""
        tensors = load_file(path)
        return cls(
            latents=tensors["latents"],
            coverage=tensors["coverage"],
            scenes=_scenes_from_tensor(tensors["scenes"]),
        )

    def to(self, device: torch.device) -> LatentSet:
        """With latents and coverage on `device` if they fit there, else as it is."""
        if not fits_in_memory(self.latents, device):
            return self
        return replace(self, latents=self.latents.to(device), coverage=self.coverage.to(device))

    def batch(
        self, rows: Tensor, frame: int | None = None, device: torch.device = CPU
    ) -> LatentBatch:
        """Rows as float32 on `device`; with `frame`, that single latent frame (a still)."""
        rows = rows.to(self.latents.device)
        frames = slice(None) if frame is None else slice(frame, frame + 1)
        latents = self.latents[:, :, :, frames][rows].to(device).float()
        coverage = self.coverage[:, :, frames][rows].to(device).float()
        return LatentBatch(latents, coverage)


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamWhitening:
    """Per role and channel, roles as in `StreamRole`: z = (latent - mean) / std; [5, C] each."""

    mean: Tensor
    std: Tensor

    def to(self, device: torch.device) -> StreamWhitening:
        """The same on `device`."""
        return StreamWhitening(mean=self.mean.to(device), std=self.std.to(device))

    def of(self, layout: StreamLayout) -> StreamWhitening:
        """The same by stream: [S, C] each."""
        rows = list(layout.modulation_rows([role.value for role in StreamRole]))
        return StreamWhitening(mean=self.mean[rows], std=self.std[rows])

    def apply(self, latents: Tensor) -> Tensor:
        """Latents [B, S, C, F, h, w] of a clip's streams to whitened ones."""
        own = self.of(layout_of(latents.shape[1]))
        return (latents - own.mean[:, :, None, None, None]) / own.std[:, :, None, None, None]


def stream_channels(foregrounds: int) -> list[slice]:
    """Where each stream of a clip is among its channels, in the order of a `StreamLayout`."""
    parts = [slice(0, 3), slice(3, 6)]
    for k in range(foregrounds):
        first = FLAT_CHANNELS + k * LAYER_CHANNELS
        parts += [slice(first, first + 3), slice(first + 3, first + 4), slice(first + 4, first + 5)]
    return parts


def layout_of(streams: int) -> StreamLayout:
    """The layout of a clip with so many streams."""
    return StreamLayout.for_foregrounds((streams - 2) // len(FOREGROUND_ROLES))


def _single(part: slice) -> bool:
    return bool(part.stop - part.start == 1)


class CaptionStates:
    """Token states of captions, each encoded once when it first comes up; kept as float16 where the
    encoder leaves them.
    """

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._rows: dict[str, int] = {}
        self._states, self._mask = torch.empty(0), torch.empty(0)  # [N, L, D], [N, L]

    def batch(self, prompts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """States [B, P, L, D] and mask [B, P, L] for B rows of P prompts."""
        texts = [text for row in prompts for text in row]
        self._learn([text for text in dict.fromkeys(texts) if text not in self._rows])
        rows = torch.tensor([self._rows[text] for text in texts]).to(self._states.device)
        shape = (len(prompts), len(prompts[0]))
        states, mask = self._states[rows].float(), self._mask[rows]
        return states.unflatten(0, shape), mask.unflatten(0, shape)

    def _learn(self, new: Sequence[str]) -> None:
        if not new:
            return
        states, mask = self._encoder.encode(new)
        known = len(self._rows)
        self._rows |= {text: known + i for i, text in enumerate(new)}
        self._states = torch.cat([self._states, states.half()]) if known else states.half()
        self._mask = torch.cat([self._mask, mask]) if known else mask


def cores(processes: int) -> int:
    """As many, or for 0 all that this process may use."""
    return processes or len(os.sched_getaffinity(0))


class Renderer:
    """Draws clips of a world on `processes` cores (0: all it may use); its workers start once, when
    it is entered.
    """

    def __init__(self, world: Path, processes: int) -> None:
        self._world = world
        self._processes = cores(processes)
        self._pool: Pool | None = None

    def __enter__(self) -> Self:
        world = _opened(self._world)  # a pool whose workers cannot would start new ones for ever
        if self._processes > 1:
            self._pool = multiprocessing.get_context("spawn").Pool(
                self._processes, initializer=_start_worker, initargs=(self._world,)
            )
        else:
            _worker_worlds[:] = [world]
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.terminate()

    def clips(
        self,
        count: int,
        *,
        first_seed: int,
        frames: int,
        report: Report,
        held_out: bool = False,
        foregrounds: int = 1,
    ) -> ClipSet:
        """`count` clips with consecutive seeds, in order: of the scenes that are trained on, or of
        those held out.
        """
        seeds = range(first_seed, first_seed + count)
        jobs = [(seed, frames, held_out, foregrounds) for seed in seeds]
        drawn = self._pool.imap(_render_one, jobs, 16) if self._pool else map(_render_one, jobs)
        pixels, scenes = torch.empty(0, dtype=torch.uint8), []
        for row, (bytes_, scene) in enumerate(drawn):
            if row == 0:
                pixels = torch.empty(count, *bytes_.shape, dtype=torch.uint8)
            pixels[row] = torch.from_numpy(bytes_)
            scenes.append(scene)
            if row % 100 == 99 or row == count - 1:
                report("clips", row + 1, count)
        return ClipSet(pixels=pixels, scenes=tuple(scenes))


def render_clips(
    world: Path, count: int, *, first_seed: int, frames: int, processes: int, report: Report
) -> ClipSet:
    """Clips from a renderer for this once."""
    with Renderer(world, processes) as renderer:
        return renderer.clips(count, first_seed=first_seed, frames=frames, report=report)


@torch.no_grad()
def encode_streams(autoencoder: VideoAutoencoder, projection: nn.Module, videos: Tensor) -> Tensor:
    """Videos [B, S, 3, T, H, W] to unwhitened latents [B, S, C, F, h, w]; mattes and shadows
    through the projection.
    """
    batch, streams = videos.shape[:2]
    latents = autoencoder.encode_video(videos.flatten(0, 1))
    opaque = [s.role in OPACITY_ROLES for s in layout_of(streams).streams]
    opacity = torch.tensor(opaque, device=videos.device).repeat(batch)
    if any(opaque):
        latents[opacity] = projection(latents[opacity])
    return latents.unflatten(0, (batch, streams))


def fit_whitening(latents: Tensor, component_std: Tensor) -> StreamWhitening:
    """Statistics of latents [N, S, C, F, h, w]; the floor was measured to learn well on this
    autoencoder.
    """
    mean = latents.mean(dim=(0, 3, 4, 5))
    std = latents.std(dim=(0, 3, 4, 5))
    scale = whitened_deviations(component_std)
    return StreamWhitening(mean=mean, std=(std.square() + 0.01).sqrt() / scale)


def whitened_deviations(component_std: Tensor) -> Tensor:
    """What is left of the deviations of components [C] in whitened latents: coarse ones keep more,
    so they leave the noise first. The exponent was measured to learn well (0.6 to 2.3).
    """
    scale = component_std**0.4
    return scale / scale.square().mean().sqrt()


@torch.no_grad()
def encode_clips(
    clips: ClipSet,
    autoencoder: VideoAutoencoder,
    projection: nn.Module,
    whitening: StreamWhitening,
    report: Report,
) -> LatentSet:
    """Latents and coverage of all clips in CPU memory, encoded where the statistics are."""
    latents, coverage = [], []
    device = whitening.mean.device
    count = len(clips.scenes)
    for start in range(0, count, 16):
        rows = torch.arange(start, min(start + 16, count))
        videos = clips.streams(rows, device)
        encoded = whitening.apply(encode_streams(autoencoder, projection, videos))
        latents.append(encoded.half().cpu())
        coverage.append(_pooled(clips.opacities(rows), autoencoder).half())
        report("latents", int(rows[-1]) + 1, count)
    return LatentSet(latents=torch.cat(latents), coverage=torch.cat(coverage), scenes=clips.scenes)


def _pooled(opacities: Tensor, autoencoder: VideoAutoencoder) -> Tensor:
    """Opacities [B, c, T, H, W] averaged to the grid of their latents [B, c, F, h, w]."""
    t, side = autoencoder.temporal_factor, autoencoder.spatial_factor
    frames, height, width = opacities.shape[2:]
    later = opacities[:, :, 1:].unflatten(2, ((frames - 1) // t, t)).mean(3)
    groups = torch.cat([opacities[:, :, :1], later], 2)
    cells = groups.unflatten(4, (width // side, side)).unflatten(3, (height // side, side))
    return cells.mean((4, 6))


def _opened(folder: Path) -> World:
    try:
        return World(folder)
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise EngineError(
            f"The world in {folder} cannot be used: {problem}.",
            "Delete that folder, and it is drawn again.",
            reason="BAD_WORLD",
        ) from problem


_worker_worlds: list[World] = []  # the world of this process, set before it renders


def _start_worker(world: Path) -> None:
    torch.set_num_threads(1)
    _worker_worlds[:] = [World(world)]


def _render_one(job: tuple[int, int, bool, int]) -> tuple[Any, Scene]:
    seed, frames, held_out, foregrounds = job
    world = _worker_worlds[0]
    clip = world.clip(seed, frames=frames, held_out=held_out, foregrounds=foregrounds)
    return clip_bytes(clip), clip.scene


def clip_bytes(clip: Clip) -> Any:
    """One clip as uint8 [6 + 5 K, T, H, W]."""
    layers = [part for x in clip.foregrounds for part in (x.color, x.matte, x.shadow)]
    stacked = torch.cat([clip.composite, clip.background, *layers], dim=1).transpose(0, 1)
    return (stacked * 255).round().clamp(0, 255).byte().numpy()


def _scenes_to_tensor(scenes: Sequence[Scene]) -> Tensor:
    """Lines of JSON as bytes, which fit into the same file."""
    text = "\n".join(map(scene_to_json, scenes))
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def _scenes_from_tensor(text: Tensor) -> tuple[Scene, ...]:
    return tuple(map(scene_from_json, bytes(text.tolist()).decode().splitlines()))
