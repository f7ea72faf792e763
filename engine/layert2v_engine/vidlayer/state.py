"""What is known of each clip, on disk: one JSON file per clip and stage, whole or not there.

A stage asks ``is_done`` and writes with ``finish``, so a run that was killed goes on where it was.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from layert2v_engine.image.atomic import atomic_write

WORK = "work"
QUARANTINE = "quarantine"


class ClipState:
    """The folder of one clip while a data set is built."""

    def __init__(self, root: Path, clip: str) -> None:
        self.clip = clip
        self.folder = root / WORK / clip

    def is_done(self, stage: str) -> bool:
        """Tell whether a stage has finished this clip, with whatever result."""
        return self._path(stage).exists()

    def read(self, stage: str) -> dict[str, Any]:
        """Return the result of a finished stage, {} of another."""
        path = self._path(stage)
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def finish(self, stage: str, result: dict[str, Any]) -> None:
        """Keep the result of a stage; from now on it is done."""
        with atomic_write(self._path(stage)) as temporary:
            temporary.write_text(json.dumps(result, indent=1, sort_keys=True), encoding="utf-8")

    def forget(self, stage: str) -> None:
        """Make a stage judge again."""
        self._path(stage).unlink(missing_ok=True)

    @property
    def is_out(self) -> bool:
        """Whether it was rejected by a stage or could not be worked on."""
        if self.is_done(QUARANTINE):
            return True
        return any(self.read(stage).get("reasons") for stage in ("clip", "inspect"))

    def _path(self, stage: str) -> Path:
        return self.folder / f"{stage}.json"


def clip_states(root: Path) -> list[ClipState]:
    """Return all clips of a data set, in the order of their names."""
    folder = root / WORK
    names = sorted(each.name for each in folder.iterdir()) if folder.exists() else []
    states = [ClipState(root, name) for name in names]
    return [each for each in states if each.is_done("clip") or each.is_done(QUARANTINE)]
