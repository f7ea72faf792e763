"""Clips that were measured, kept on disk: an evaluation that was stopped goes on with the next."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from layert2v.atomic_write import atomic_write

_PICTURES = "pictures"


class KeptClips:
    """Metrics and pictures of clips, a file for each in ``folder``.

    ``conditions`` says under what they were measured; those of others are measured anew.
    """

    def __init__(self, folder: Path, conditions: str) -> None:
        self._folder, self._conditions = folder, conditions

    def load(self, clip: str) -> tuple[dict[str, float], Tensor | None] | None:
        """Return what is kept of a clip, None where that is nothing or cannot be read."""
        try:
            with safe_open(self._path(clip), framework="pt") as kept:
                notes = kept.metadata()
                if notes["conditions"] != self._conditions:
                    return None
                names = kept.keys()  # the file itself is no mapping
                pictures = kept.get_tensor(_PICTURES) if _PICTURES in names else None
                return json.loads(notes["metrics"]), pictures
        except (OSError, SafetensorError, KeyError, ValueError):
            return None

    def save(self, clip: str, metrics: dict[str, float], pictures: Tensor | None) -> None:
        """Keep the metrics of a clip and its ``pictures`` [N, 3, H, W], if it has any."""
        self._folder.mkdir(parents=True, exist_ok=True)
        notes = {"conditions": self._conditions, "metrics": json.dumps(metrics)}
        tensors = {} if pictures is None else {_PICTURES: pictures.contiguous()}
        atomic_write(self._path(clip), save(tensors, notes))

    def clear(self) -> None:
        """Forget all clips: what is measured next is measured anew."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _path(self, clip: str) -> Path:
        return self._folder / f"{clip}.safetensors"
