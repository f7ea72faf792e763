"""Arrays on disk while a decomposition runs: any length of footage, a bounded amount of memory.

What a killed run had finished is found again by the next one that asks for the same.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from layert2v_engine.image.atomic import atomic_write, write_error

_INDEX = "finished.json"


class Scratch:
    """Arrays by name in ``folder``, which is created; ``key`` tells requests apart.

    Raises ``DiskFull`` or ``StackError``.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self._key = folder, key
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._finished = self._read_index()
            if not self._finished:
                for old in folder.glob("*.bin"):
                    old.unlink()
        except OSError as error:
            raise write_error(folder, error) from error

    def array(self, name: str, shape: tuple[int, ...], kind: DTypeLike) -> NDArray[Any]:
        """Return the array of this name, created full of zeros unless it is there."""
        path = self.folder / f"{name}.bin"
        size = int(np.prod(shape)) * np.dtype(kind).itemsize
        try:
            if not path.exists() or path.stat().st_size != size:
                with path.open("wb") as file:
                    file.truncate(size)
            return np.memmap(path, kind, "r+", shape=shape)
        except OSError as error:
            raise write_error(path, error) from error

    def is_finished(self, stage: str) -> bool:
        """Tell whether an earlier run came to the end of ``stage``."""
        return stage in self._finished

    def facts(self, stage: str) -> dict[str, Any]:
        """Return what ``finish`` was given, empty for an unfinished stage."""
        return dict(self._finished.get(stage, {}))

    def finish(self, stage: str, **facts: Any) -> None:
        """Record that ``stage`` is done, with JSON values that later ones need."""
        self._finished[stage] = facts
        with atomic_write(self.folder / _INDEX) as temporary:
            temporary.write_text(json.dumps({"key": self._key, "finished": self._finished}))

    def remove(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read_index(self) -> dict[str, dict[str, Any]]:
        try:
            index = json.loads((self.folder / _INDEX).read_text())
        except (OSError, ValueError):
            return {}
        same = isinstance(index, dict) and index.get("key") == self._key
        return dict(index["finished"]) if same else {}
