"""The models in memory: that used longest ago leaves first, where the next run needs its place."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

HEADROOM = 1.25  # of what a run is estimated to take, since others use the memory, too


class LoadedModels(Generic[T]):
    """Models by name. ``free_bytes`` tells what their device has left, after those that went."""

    def __init__(self, free_bytes: Callable[[], int]) -> None:
        self._free_bytes = free_bytes
        self._models: dict[str, T] = {}  # that used last is last

    def find(self, name: str) -> T | None:
        """Return the model of this name, if it is in memory."""
        return self._models.get(name)

    def add(self, name: str, model: T) -> None:
        """Add a model, or note that it is used again."""
        self._models.pop(name, None)
        self._models[name] = model

    def keep(self, count: int) -> None:
        """Let all but so many go, those used last."""
        self._remove(list(self._models)[: max(0, len(self._models) - count)])

    def remove(self, name: str) -> None:
        """Let one model go, if it is in memory."""
        self._remove([name])

    def make_room(self, need_bytes: int, *, spare: str = "") -> None:
        """Let models go until so many bytes and some headroom are free; ``spare`` stays."""
        for name in [name for name in self._models if name != spare]:
            if self._free_bytes() >= HEADROOM * need_bytes:
                return
            self._remove([name])

    def _remove(self, names: list[str]) -> None:
        if any([self._models.pop(name, None) is not None for name in names]):
            gc.collect()  # a model may hold itself in a cycle
