"""The interface of the farm managers: files in a folder, and the line that hands them over."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from layert2v_engine.farm.requirements import Requirements
from layert2v_engine.farm.shots import ShotList

SHOTS_FILE = "shots.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """What a manager gets: texts of files by name, and the next step for a person."""

    files: dict[str, str]
    next_step: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job to be written into the absolute ``folder``; ``program`` runs a task."""

    shots: ShotList
    requirements: Requirements
    folder: Path
    program: str
    user: str
    show: str = "layert2v"

    @property
    def shots_file(self) -> str:
        """The list that every task reads."""
        return str(self.folder / SHOTS_FILE)


def farm_program() -> str:
    """Return the command of this installation, which workers find under the same path."""
    beside = Path(sys.executable).with_name("layert2v-farm")
    return str(beside) if beside.exists() else shutil.which("layert2v-farm") or "layert2v-farm"
