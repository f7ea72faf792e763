"""The latents a transformer learns from: clips of the world and of data sets, rendered and encoded.

Knows the files of a run folder, not what is learned from them.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.autoencoder import VideoAutoencoder
from layert2v_engine.model.components import load_autoencoder, load_matte_projection
from layert2v_engine.tensor_file import load_tensors, open_tensors
from layert2v_engine.training.init_from_checkpoint import START, trains_shadows
from layert2v_engine.training.joint_phase import SceneGroup
from layert2v_engine.training.latents import (
    LatentSet,
    StreamNormalization,
    encode_clips,
    encode_streams,
    fit_normalization,
)
from layert2v_engine.training.layered_data import ClipFormat, read_blocks
from layert2v_engine.training.stages import ensure_folder, report, require_stage
from layert2v_engine.world.dataset import HELD_OUT_SEED, ClipSet, Renderer

NORMALIZATION_CLIPS = 400  # latent statistics settle long before
BLOCK_CLIPS = 100  # 2.5 GB as pixels, of three foregrounds at 320 x 192 x 17


def latents_digest(run: Path) -> str:
    """Return a digest of all that decides the latents of a clip in a run.

    Raises MissingStage where a stage before has not been trained.
    """
    model = require_stage(run / "autoencoder" / "model", "autoencoder")
    digest = hashlib.sha256()
    folders = (model, run / "matte" / "projection")
    paths = [path for folder in folders for path in sorted(folder.glob("*.safetensors"))]
    for path in (*paths, require_stage(run / "whitening.safetensors", "joint")):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


class LatentBuilder:
    """Render and encode clips, in blocks so that pixels never pile up."""

    def __init__(
        self, run: Path, device: torch.device, *, processes: int, data_sets: Sequence[Path]
    ) -> None:
        self.run, self.processes, self.data_sets = run, processes, data_sets
        self.autoencoder: VideoAutoencoder = load_autoencoder(run / "autoencoder" / "model", device)
        matte = run / "matte" if (run / START).exists() else require_stage(run / "matte", "matte")
        self.projection = load_matte_projection(matte / "projection", device)
        self.device = device
        self.normalization = self._load_normalization()

    def group(self, foregrounds: int, count: int, frames: int) -> SceneGroup:
        """Return latents of ``count`` clips and of the held-out ones."""
        suffix = "" if foregrounds == 1 else f"_{foregrounds:02d}"
        held_out = self._held_out(foregrounds, frames, suffix)
        latents = self._train_latents(foregrounds, count, frames, suffix)
        # Clips are encoded with their shadows, whatever the transformer learns of them.
        layout = StreamLayout.for_foregrounds(foregrounds, shadows=trains_shadows(self.run))
        train, test = self._add_data_sets(latents, held_out), self._encode(held_out)
        return SceneGroup(
            layout=layout,
            train=train.select_streams(layout).to(self.device),
            held_out=test.select_streams(layout).to(self.device),
        )

    @torch.no_grad()
    def encode_opacity(self, video: Tensor, layout: StreamLayout, stream: str) -> Tensor:
        """Return normalized latents [C, F, h, w] of an opacity [T, 1, H, W] in 0..1 of a stream."""
        planes = video.expand(-1, 3, -1, -1).movedim(1, 0)[None].to(self.device)
        latents = self.projection(self.autoencoder.encode_video(planes * 2 - 1).float())[0]
        own, index = self.normalization.of(layout), layout.index(stream)
        mean, std = (each[index][:, None, None, None] for each in (own.mean, own.std))
        normalized: Tensor = (latents - mean) / std
        return normalized

    def _train_latents(self, foregrounds: int, count: int, frames: int, suffix: str) -> LatentSet:
        """Return latents of clips to learn from; a stop loses one block of them at most."""
        path = self.run / f"latents{suffix}.safetensors"
        if path.exists():
            return LatentSet.load(path)
        folder = ensure_folder(path.with_suffix(""))
        blocks = list(self._blocks(folder, foregrounds, count, frames))
        latents = LatentSet(
            latents=torch.cat([b.latents for b in blocks]),
            coverage=torch.cat([b.coverage for b in blocks]),
            scenes=tuple(scene for b in blocks for scene in b.scenes),
        )
        latents.save(path)
        shutil.rmtree(folder)
        return latents

    def _blocks(
        self, folder: Path, foregrounds: int, count: int, frames: int
    ) -> Iterator[LatentSet]:
        """Yield the clips the autoencoder was trained on, if their foregrounds fit, then more."""
        first = 0
        if foregrounds == 1:
            kept = self.run / "clips.safetensors"
            with open_tensors(kept) as file:
                first = file.get_slice("pixels").get_shape()[0]
            yield self._encode_once(folder / f"0_{first}.safetensors", partial(ClipSet.load, kept))
        starts = range(first, count, BLOCK_CLIPS)
        if not starts:
            return
        with Renderer(self.run / "world", self.processes) as renderer:
            for start in starts:
                size = min(BLOCK_CLIPS, count - start)
                render = partial(
                    renderer.clips,
                    size,
                    first_seed=start,
                    frames=frames,
                    report=report,
                    foregrounds=foregrounds,
                )
                yield self._encode_once(folder / f"{start}_{size}.safetensors", render)

    def _encode_once(self, path: Path, clips: Callable[[], ClipSet]) -> LatentSet:
        """Return the latents in ``path``; encode and write them first where it is missing."""
        if not path.exists():
            self._encode(clips()).save(path)
        return LatentSet.load(path)

    def _add_data_sets(self, latents: LatentSet, like: ClipSet) -> LatentSet:
        """Return the clips of the world, and after them those of data sets that are alike."""
        wanted = ClipFormat(like.foregrounds, like.pixels.shape[2], *like.size)
        for block in read_blocks(self.data_sets, wanted):
            latents = latents.extend(self._encode(block.clips), block.captions)
        if self.data_sets:
            counts = len(latents.captions), len(latents)
            logging.getLogger(__name__).info("data sets give %d of %d clips", *counts)
        return latents

    def _load_normalization(self) -> StreamNormalization:
        """Return the run's latent statistics; fit them once, where no start brought them."""
        path = self.run / "whitening.safetensors"
        if path.exists():
            return StreamNormalization(**load_tensors(path)).to(self.device)
        clips = ClipSet.load(self.run / "clips.safetensors")
        rows = torch.arange(min(NORMALIZATION_CLIPS, len(clips.scenes)))
        # Few at a time: 240 clips of 320 x 192 x 17 are 15 GB as floats.
        parts = (clips.streams(part, self.device) for part in rows.split(16))
        sample = torch.cat(
            [encode_streams(self.autoencoder, self.projection, part) for part in parts]
        )
        components_path = self.run / "autoencoder" / "components.safetensors"
        if components_path.exists():
            components = load_tensors(components_path)["component_std"].to(self.device)
        else:  # an autoencoder that was not fitted here
            components = sample.std(dim=(0, 1, 3, 4, 5))
        normalization = fit_normalization(sample, components)
        save_file({"mean": normalization.mean, "std": normalization.std}, path)
        return normalization

    def _encode(self, clips: ClipSet) -> LatentSet:
        return encode_clips(clips, self.autoencoder, self.projection, self.normalization, report)

    def _held_out(self, foregrounds: int, frames: int, suffix: str) -> ClipSet:
        path = self.run / f"held_out{suffix}.safetensors"
        if not path.exists():
            count = len(ClipSet.load(self.run / "held_out.safetensors").scenes)
            with Renderer(self.run / "world", self.processes) as renderer:
                renderer.clips(
                    count,
                    first_seed=HELD_OUT_SEED,
                    frames=frames,
                    report=report,
                    foregrounds=foregrounds,
                    unseen=True,
                ).save(path)
        return ClipSet.load(path)
