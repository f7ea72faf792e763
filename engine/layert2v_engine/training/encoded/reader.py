"""Encoded data sets as clips to learn from, read from disk when they are needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from layert2v_engine.devices import CPU
from layert2v_engine.errors import BadConfig
from layert2v_engine.layout import Figure, StreamLayout
from layert2v_engine.model.checkpoint import raise_bad_checkpoint
from layert2v_engine.model.text import TextStates
from layert2v_engine.tensor_file import open_tensors
from layert2v_engine.training.caption_embeddings import CaptionEncoder
from layert2v_engine.training.encoded.writer import INDEX, VERSION
from layert2v_engine.training.latents import LatentBatch

_OPEN_FILES = 64


def is_encoded(path: Path) -> bool:
    """Return whether a folder holds encoded clips."""
    return (path / INDEX).is_file()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where a clip lies, and what is said of it."""

    shard: Path
    number: int
    captions: tuple[str, ...]


class EncodedData:
    """A folder that ``encode_data`` wrote."""

    def __init__(self, folder: Path, digest: str) -> None:
        """Read what is in the shards. digest: of what clips of this run are encoded with.

        Raises BadConfig for a folder of another run or version, or of no clips, and BadCheckpoint
        for a damaged shard.
        """
        record = json.loads((folder / INDEX).read_text())
        if record.get("version") != VERSION or record.get("digest") != digest:
            raise BadConfig(
                f"{folder} was encoded for another run.",
                "Encode the data set again with encode-data and this run.",
            )
        self.text: dict[str, tuple[Path, int]] = {}
        self._places: dict[tuple[int, str], list[_Place]] = {}
        for shard in sorted(folder.glob("shard_*.safetensors")):
            self._read_shard(shard)
        if not self._places:
            raise BadConfig(f"{folder} holds no clips.", "Encode the data set first.")

    def buckets(self, layout: StreamLayout) -> tuple[EncodedClips, ...]:
        """Return the clips with the foregrounds of a layout, by size and length."""
        count = layout.foregrounds
        found = {key: places for key, places in self._places.items() if key[0] == count}
        return tuple(EncodedClips(found[key], layout) for key in sorted(found))

    def _read_shard(self, shard: Path) -> None:
        with open_tensors(shard) as file:
            metadata = file.metadata() or {}
        with raise_bad_checkpoint(str(shard)):
            record = json.loads(metadata["shard"])
        for number, text in enumerate(record["captions"]):
            self.text.setdefault(text, (shard, number))
        for number, clip in enumerate(record["clips"]):
            captions = tuple(clip["captions"])
            place = _Place(shard=shard, number=number, captions=captions)
            self._places.setdefault((len(captions) - 2, clip["bucket"]), []).append(place)


class EncodedClips:
    """Clips of one layout, size and length; a ``joint_phase.Clips``."""

    def __init__(self, places: Sequence[_Place], layout: StreamLayout) -> None:
        self._places = places
        whole = StreamLayout.for_foregrounds(layout.foregrounds)
        self._streams = [whole.index(name) for name in layout.names]
        shape = _open(places[0].shard).get_slice(f"latents.{places[0].number}").get_shape()
        self.grid: tuple[int, int, int] = (shape[2], shape[3], shape[4])

    def __len__(self) -> int:
        return len(self._places)

    def batch(
        self, rows: Tensor, frame: int | None = None, device: torch.device = CPU
    ) -> LatentBatch:
        """Return rows [B] as float32 on ``device``; with ``frame``, that latent frame (a still)."""
        frames = slice(None) if frame is None else slice(frame, frame + 1)
        latents, coverage = [], []
        for row in rows.tolist():
            place = self._places[row]
            file = _open(place.shard)
            whole = file.get_slice(f"latents.{place.number}")[:, :, frames]
            latents.append(whole[self._streams])
            coverage.append(file.get_slice(f"coverage.{place.number}")[:, frames])
        return LatentBatch(
            torch.stack(latents).to(device).float(), torch.stack(coverage).to(device).float()
        )

    def figures_of(self, row: int) -> tuple[Figure, ...]:
        """Return no subjects: nothing is known of where they usually are."""
        del row
        return ()

    def captions_of(self, row: int, rng: Random | None = None) -> tuple[str, ...]:
        """Return captions of the whole, of each foreground, and of the background of a clip."""
        del rng  # there is one of each
        return self._places[row].captions


class EncodedCaptions:
    """Text states from encoded data sets; a ``CaptionEncoder``.

    The text encoder is loaded only for a caption that none of them has.
    """

    def __init__(
        self, data: Sequence[EncodedData], load: Callable[[], CaptionEncoder], max_tokens: int
    ) -> None:
        self.max_tokens = max_tokens
        self._data, self._load = data, load
        self._encoder: CaptionEncoder | None = None

    def encode(self, prompts: Sequence[str], *, padded: bool = True) -> TextStates:
        """Return states [N, L, D], 0 at padding, and mask [N, L] of N captions, in order."""
        found = [self._find(text) for text in prompts]
        longest = max(len(states) for states in found)
        length = self.max_tokens if padded else longest
        states = torch.zeros(len(found), length, found[0].shape[1], device=found[0].device)
        mask = torch.zeros(len(found), length, dtype=torch.bool, device=found[0].device)
        for row, each in enumerate(found):
            states[row, : len(each)], mask[row, : len(each)] = each.float(), True
        return TextStates(states, mask)

    def _find(self, text: str) -> Tensor:
        for data in self._data:
            if text in data.text:
                shard, number = data.text[text]
                states: Tensor = _open(shard).get_tensor(f"text.{number}")
                return states
        if self._encoder is None:
            self._encoder = self._load()
        encoded, mask = self._encoder.encode([text], padded=False)
        return encoded[0, mask[0]].cpu()


@lru_cache(maxsize=_OPEN_FILES)
def _open(path: Path) -> Any:
    """Return a shard that was measured, of which only what is asked for is read."""
    return safe_open(path, framework="pt")
