"""Clips of the world in memory as bytes, rendered by all cores, and the file they are kept in.

Knows pixels and scenes; nothing of latents, networks or training.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from layert2v_engine.devices import CPU, fits_in_memory
from layert2v_engine.errors import EngineError
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.tensor_file import load_tensors
from layert2v_engine.world.clips import Clip, Label, World
from layert2v_engine.world.text.scenes import Scene, scene_from_json, scene_to_json

Report = Callable[[str, int, int], None]  # what is done, how many, of how many

# Of a clip with one foreground: three planes per stream, matte and shadow repeated.
STREAM_PLANES = torch.tensor([[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 9, 9], [10, 10, 10]])
FLAT_CHANNELS, LAYER_CHANNELS = 6, 5  # composite and background; foreground, matte and shadow
MATTE_CHANNEL = 9  # of the lowest foreground
HELD_OUT_SEED = 10_000_000  # seeds from here on never occur in training
CLASSIFIER_SEED = 20_000_000  # seeds from here on are seen by classifiers only
TEST_SEED = 30_000_000  # seeds from here on are trained on by nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipSet:
    """N clips with K foregrounds each: ``pixels`` are uint8 [N, 6 + 5 K, T, H, W].

    Channels are composite and background (3 each), then for each foreground, bottom to top, its
    color (3), matte and shadow.
    """

    pixels: Tensor
    scenes: tuple[Scene, ...]

    def save(self, path: Path) -> None:
        """Write as one safetensors file, complete or not at all."""
        tensors = {"pixels": self.pixels, "scenes": scenes_to_tensor(self.scenes)}
        with atomic_write(path) as temporary:
            save_file(tensors, temporary)

    @classmethod
    def load(cls, path: Path) -> ClipSet:
        """Read what ``save`` wrote."""
        tensors = load_tensors(path)
        return cls(pixels=tensors["pixels"], scenes=scenes_from_tensor(tensors["scenes"]))

    @property
    def size(self) -> tuple[int, int]:
        """The height and width in pixels."""
        return self.pixels.shape[-2], self.pixels.shape[-1]

    @property
    def labels(self) -> tuple[Label, ...]:
        """What the lowest foreground of each clip shows."""
        return tuple(scene.label() for scene in self.scenes)

    @property
    def foregrounds(self) -> int:
        """The number of foregrounds of each clip."""
        return (self.pixels.shape[1] - FLAT_CHANNELS) // LAYER_CHANNELS

    def to(self, device: torch.device) -> ClipSet:
        """Return the set with its pixels on ``device`` if they fit there, else as it is."""
        return (
            replace(self, pixels=self.pixels.to(device))
            if fits_in_memory(self.pixels, device)
            else self
        )

    def streams(self, rows: Tensor, device: torch.device = CPU) -> Tensor:
        """Return videos [B, 2 + 3 K, 3, T, H, W] in -1..1 of ``rows`` [B] on ``device``.

        Matte and shadow are repeated over three channels.
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
        """Return opacities [B, 2 K, T, H, W] in 0..1: matte_01, shadow_01, matte_02, ..."""
        planes = [part.start for part in stream_channels(self.foregrounds) if _is_plane(part)]
        return self.pixels[rows.to(self.pixels.device)][:, planes].to(device).float() / 255


def stream_channels(foregrounds: int) -> list[slice]:
    """Return the channels of each stream of a clip, in the order of a ``StreamLayout``."""
    parts = [slice(0, 3), slice(3, 6)]
    for k in range(foregrounds):
        first = FLAT_CHANNELS + k * LAYER_CHANNELS
        parts += [slice(first, first + 3), slice(first + 3, first + 4), slice(first + 4, first + 5)]
    return parts


def _is_plane(part: slice) -> bool:
    return bool(part.stop - part.start == 1)


class Renderer:
    """Renders clips of a world on ``processes`` cores (0: all it may use).

    Its workers start once, when it is entered. Raises EngineError where the world cannot be opened.
    """

    def __init__(self, world: Path, processes: int) -> None:
        self._world = world
        self._processes = core_count(processes)
        self._pool: Pool | None = None

    def __enter__(self) -> Self:
        world = _open_world(
            self._world
        )  # a pool whose workers cannot would start new ones for ever
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
        unseen: bool = False,
    ) -> ClipSet:
        """Return ``count`` clips with consecutive seeds, in order.

        They show scenes that are trained on, or those held out, with plates and subjects of
        training or, if ``unseen``, with others. ``report`` is called with stage, done and total.
        """
        seeds = range(first_seed, first_seed + count)
        jobs = [(seed, frames, held_out, foregrounds, unseen) for seed in seeds]
        rendered = self._pool.imap(_render_one, jobs, 16) if self._pool else map(_render_one, jobs)
        pixels, scenes = torch.empty(0, dtype=torch.uint8), []
        for row, (bytes_, scene) in enumerate(rendered):
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
    """Return clips of a renderer that is used once; those of held-out seeds are ``unseen``."""
    unseen = first_seed >= HELD_OUT_SEED
    with Renderer(world, processes) as renderer:
        return renderer.clips(
            count, first_seed=first_seed, frames=frames, report=report, unseen=unseen
        )


def core_count(processes: int) -> int:
    """Return ``processes``, or for 0 the number of cores that this process may use."""
    return processes or len(os.sched_getaffinity(0))


def clip_bytes(clip: Clip) -> NDArray[np.uint8]:
    """Return one clip as uint8 [6 + 5 K, T, H, W]."""
    layers = [part for x in clip.foregrounds for part in (x.color, x.matte, x.shadow)]
    stacked = torch.cat([clip.composite, clip.background, *layers], dim=1).transpose(0, 1)
    pixels: NDArray[np.uint8] = (stacked * 255).round().clamp(0, 255).byte().numpy()
    return pixels


def scenes_to_tensor(scenes: Sequence[Scene]) -> Tensor:
    """Return scenes as bytes of JSON lines, which fit into the same file as tensors."""
    text = "\n".join(map(scene_to_json, scenes))
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def scenes_from_tensor(text: Tensor) -> tuple[Scene, ...]:
    """Return the scenes of ``scenes_to_tensor``."""
    return tuple(map(scene_from_json, bytes(text.tolist()).decode().splitlines()))


def _open_world(folder: Path) -> World:
    try:
        return World(folder)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise EngineError(
            f"The world in {folder} cannot be used: {error}.",
            "Delete that folder, and it is drawn again.",
            reason="BAD_WORLD",
        ) from error


_worker_worlds: list[World] = []  # the world of this process, set before it renders


def _start_worker(world: Path) -> None:
    torch.set_num_threads(1)
    _worker_worlds[:] = [World(world)]


def _render_one(job: tuple[int, int, bool, int, bool]) -> tuple[NDArray[np.uint8], Scene]:
    seed, frames, held_out, foregrounds, unseen = job
    world = _worker_worlds[0]
    clip = world.clip(
        seed, frames=frames, held_out=held_out, foregrounds=foregrounds, unseen=unseen
    )
    return clip_bytes(clip), clip.scene
