"""An actor without Ray: its methods run in this process, and are called as those of a handle."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any


@dataclass
class LocalActor:
    """A handle of ``instance``."""

    instance: Any

    def __getattr__(self, method: str) -> Any:
        return SimpleNamespace(remote=getattr(self.instance, method))
