"""Arrays on disk while a decomposition runs: any length of footage, a bounded amount of memory.

What a killed run had finished is found again by the next one that asks for the same.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from layert2v_engine.image.atomic import atomic_write, write_error

_INDEX = "finished.json"


class FrameFile:
    """Frames of one shape in a file, read and written by index; 0 where nothing was written.

    Not mapped into memory: mapped pages count as the process's own until they are needed, so that
    it seems to grow with the shot, and a full disk would end it instead of raising an error.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], kind: DTypeLike) -> None:
        self.shape, self.dtype = shape, np.dtype(kind)
        self._path = path
        self._count = int(np.prod(shape[1:]))
        size = shape[0] * self._count * self.dtype.itemsize
        try:
            if not path.exists() or path.stat().st_size != size:
                with path.open("wb") as file:
                    file.truncate(size)
        except OSError as error:
            raise write_error(path, error) from error

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | slice) -> NDArray[Any]:
        """Return a frame, or several that follow one another. Raises ``StackError``."""
        if isinstance(key, slice):
            start, stop, _ = key.indices(len(self))
            return self._read(start, max(stop - start, 0))
        return self._read(self._index(key), 1)[0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (self[index] for index in range(len(self)))

    def rows(self, index: int, first: int, last: int) -> NDArray[Any]:
        """Return rows ``first`` up to ``last`` of a frame. Raises ``StackError``."""
        row = self._count // self.shape[1]
        values = self._read_values(index * self._count + first * row, (last - first) * row)
        return values.reshape(last - first, *self.shape[2:])

    def __setitem__(self, key: int, frame: ArrayLike) -> None:
        """Write a frame. Raises ``DiskFull`` or ``StackError``."""
        values = np.broadcast_to(np.asarray(frame, self.dtype), self.shape[1:])
        try:
            with self._path.open("r+b") as file:
                file.seek(self._index(key) * self._count * self.dtype.itemsize)
                file.write(np.ascontiguousarray(values).data)
        except OSError as error:
            raise write_error(self._path, error) from error

    def _read(self, start: int, count: int) -> NDArray[Any]:
        values = self._read_values(start * self._count, count * self._count)
        return values.reshape(count, *self.shape[1:])

    def _read_values(self, start: int, count: int) -> NDArray[Any]:
        try:
            offset = start * self.dtype.itemsize
            return np.fromfile(self._path, self.dtype, count, offset=offset)
        except OSError as error:
            raise write_error(self._path, error) from error

    def _index(self, key: int) -> int:
        index = int(key) + len(self) if key < 0 else int(key)
        if not 0 <= index < len(self):
            raise IndexError(f"there is no frame {key} among {len(self)}")
        return index


class Scratch:
    """Frames by name in ``folder``, which is created; ``key`` tells requests apart.

    Raises ``DiskFull`` or ``StackError``.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self._key = folder, key
        self._files: dict[str, FrameFile] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._finished = self._read_index()
            if not self._finished:
                for old in folder.glob("*.bin"):
                    old.unlink()
        except OSError as error:
            raise write_error(folder, error) from error

    def frames(self, name: str, shape: tuple[int, ...], kind: DTypeLike) -> FrameFile:
        """Return the frames of this name, created unless they are there."""
        if name not in self._files:
            self._files[name] = FrameFile(self.folder / f"{name}.bin", shape, kind)
        return self._files[name]

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


def request_key(spec: object, inputs: Mapping[str, Path]) -> str:
    """Return what two runs must share for one to go on with what the other left.

    ``spec`` is the request as plain values for JSON, ``inputs`` the files and folders it takes.
    """
    files = [
        (key, path.name, path.stat().st_size, path.stat().st_mtime_ns)
        for key, root in sorted(inputs.items())
        for path in (sorted(root.iterdir()) if root.is_dir() else [root])
        if path.is_file()
    ]
    text = json.dumps([spec, files], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
