"""Data sets as latents and text states on disk: shards of clips, each written whole or not at all.

Which clips make a shard depends on the data set alone, so that several machines can share the work
and a stopped command goes on with the next shard.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from layert2v_engine.errors import BadConfig, EngineError
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.layout import OPACITY_ROLES
from layert2v_engine.model.autoencoder import VideoAutoencoder
from layert2v_engine.training.caption_embeddings import CaptionEncoder
from layert2v_engine.training.encoded.buckets import Bucket, choose_bucket
from layert2v_engine.training.latents import StreamNormalization, layout_of, pool_to_latents
from layert2v_engine.training.layered_data import ClipFormat, to_pixels
from layert2v_engine.vidlayer.readers import read_sample
from layert2v_engine.vidlayer.readers.sample import SampleFiles
from layert2v_engine.world.dataset import ClipSet

INDEX, VERSION = "latents.json", 1
EMPTY = ""  # the caption that dropped prompts become

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoders:
    """What makes latents and text states of clips, and the digest of all of it."""

    autoencoder: VideoAutoencoder
    projection: nn.Module
    normalization: StreamNormalization
    captions: CaptionEncoder
    digest: str


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodingPlan:
    """What is encoded and how it is divided.

    part: (k, n) takes every n-th shard from the k-th on, k from 0.
    leave_out: go on without clips that cannot be read, and list them in ``left_out.jsonl``.
    """

    samples: tuple[SampleFiles, ...]
    buckets: tuple[Bucket, ...]
    shard_clips: int = 32
    part: tuple[int, int] = (0, 1)
    leave_out: bool = False


def encode_data(plan: EncodingPlan, encoders: Encoders, out: Path) -> int:
    """Write the shards of a plan into ``out`` that are not there yet; return how many it wrote.

    Raises BadConfig where the folder holds something else, and EngineError, with the clip's name,
    for one that cannot be read.
    """
    _claim(plan, encoders, out)
    mine = range(plan.part[0], -(-len(plan.samples) // plan.shard_clips), plan.part[1])
    written = 0
    for number in mine:
        path = out / f"shard_{number:05d}.safetensors"
        if path.exists():
            continue
        start = number * plan.shard_clips
        samples = plan.samples[start : start + plan.shard_clips]
        _write_shard(path, list(_encode(samples, plan, encoders, out)), encoders.captions)
        written += 1
        done = sum(1 for _ in out.glob("shard_*.safetensors"))
        _log.info("shard=%d done=%d/%d", number, done, -(-len(plan.samples) // plan.shard_clips))
    return written


@dataclass(frozen=True, kw_only=True, slots=True)
class _EncodedClip:
    name: str
    bucket: Bucket
    captions: tuple[str, ...]
    latents: Tensor  # [S, C, F, h, w] float16
    coverage: Tensor  # [2 K, F, h, w] float16


def _encode(
    samples: Sequence[SampleFiles], plan: EncodingPlan, encoders: Encoders, out: Path
) -> Iterator[_EncodedClip]:
    for files in samples:
        try:
            sample = read_sample(files)
        except EngineError as error:
            if not plan.leave_out:
                raise
            _log.warning("clip=%s left out: %s", files.name, error)
            _note(out, files.name, str(error))
            continue
        frames, _, height, width = sample.full.shape
        bucket = choose_bucket(plan.buckets, width, height, frames)
        if bucket is None:
            shortest = min(each.frames for each in plan.buckets)
            _note(out, files.name, f"It has {frames} frames; the shortest size takes {shortest}.")
            continue
        wanted = ClipFormat(len(files.foregrounds), bucket.frames, bucket.height, bucket.width)
        clip = ClipSet(pixels=to_pixels(sample, wanted)[None], scenes=())
        latents, coverage = _encode_clip(clip, encoders)
        yield _EncodedClip(
            name=files.name,
            bucket=bucket,
            captions=files.captions,
            latents=latents,
            coverage=coverage,
        )


@torch.no_grad()
def _encode_clip(clip: ClipSet, encoders: Encoders) -> tuple[Tensor, Tensor]:
    row, device = torch.arange(1), encoders.normalization.mean.device
    videos, latents = clip.streams(row), []
    for number, stream in enumerate(layout_of(videos.shape[1]).streams):  # all are too much at once
        encoded = encoders.autoencoder.encode_video(videos[:, number].to(device)).float()
        if stream.role in OPACITY_ROLES:
            encoded = encoders.projection(encoded)
        latents.append(encoded)
    coverage = pool_to_latents(clip.opacities(row), encoders.autoencoder)
    normalized = encoders.normalization.apply(torch.stack(latents, 1))
    return normalized[0].half().cpu(), coverage[0].half()


def _write_shard(path: Path, clips: Sequence[_EncodedClip], encoder: CaptionEncoder) -> None:
    captions = list(dict.fromkeys([EMPTY, *(text for clip in clips for text in clip.captions)]))
    tensors: dict[str, Tensor] = {}
    for number, clip in enumerate(clips):
        tensors[f"latents.{number}"] = clip.latents.contiguous()
        tensors[f"coverage.{number}"] = clip.coverage.contiguous()
    for number, text in enumerate(captions):
        states, mask = encoder.encode([text], padded=False)
        tensors[f"text.{number}"] = states[0, mask[0]].half().cpu().contiguous()
    record = {
        "captions": captions,
        "clips": [
            {"name": clip.name, "bucket": str(clip.bucket), "captions": list(clip.captions)}
            for clip in clips
        ],
    }
    with atomic_write(path) as temporary:
        save_file(tensors, temporary, {"shard": json.dumps(record)})


def _claim(plan: EncodingPlan, encoders: Encoders, out: Path) -> None:
    """Write what the folder holds, or compare it with what another call wrote."""
    record: Mapping[str, Any] = {
        "version": VERSION,
        "digest": encoders.digest,
        "sizes": [str(bucket) for bucket in plan.buckets],
        "clips": len(plan.samples),
        "shard_clips": plan.shard_clips,
        "text_tokens": encoders.captions.max_tokens,
    }
    path = out / INDEX
    if path.exists():
        known = json.loads(path.read_text())
        differing = [key for key, value in record.items() if known.get(key) != value]
        if differing:
            key = differing[0]
            raise BadConfig(
                f"{out} was begun with another {key}: {known.get(key)!r}, not {record[key]!r}.",
                "Name a new folder, or repeat the command it was begun with.",
            )
        return
    if out.exists() and any(out.iterdir()):
        raise BadConfig(f"{out} is not empty and holds no latents.", "Name a new folder.")
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2))


def _note(out: Path, name: str, why: str) -> None:
    with (out / "left_out.jsonl").open("a") as file:
        file.write(json.dumps({"clip": name, "why": why}) + "\n")
