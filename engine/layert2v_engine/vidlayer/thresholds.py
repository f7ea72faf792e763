"""Numbers that decide, from a TOML file in which each has its source."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layert2v_engine.errors import BadConfig

DEFAULTS = Path(__file__).with_name("thresholds.toml")


class Thresholds:
    """Limits by stage and score."""

    def __init__(self, tables: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
        self._tables = tables

    @classmethod
    def load(cls, path: Path | None = None) -> Thresholds:
        """Read the defaults, and over them the numbers of ``path``. Raises ``BadConfig``."""
        tables = tomllib.loads(DEFAULTS.read_text(encoding="utf-8"))
        if path is None:
            return cls(tables)
        try:
            own = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadConfig(f"{path} cannot be read: {error}.", "Correct the file.") from error
        for stage, limits in own.items():
            for score, limit in limits.items():
                if score not in tables.get(stage, {}):
                    raise BadConfig(
                        f"{path}: there is no score {stage}.{score}.",
                        f"Scores are listed in {DEFAULTS.name} of the package.",
                    )
                tables[stage][score] |= limit
        return cls(tables)

    def value(self, stage: str, score: str) -> float:
        """Return a plain number."""
        return float(self._tables[stage][score]["value"])

    def reasons(self, stage: str, scores: Mapping[str, float | None]) -> list[str]:
        """Return why a clip with these scores is rejected; a score that is None decides nothing."""
        found = []
        for score, limit in self._tables[stage].items():
            value = scores.get(score)
            if value is None or "reason" not in limit:
                continue
            low, high = limit.get("min", -math.inf), limit.get("max", math.inf)
            if not low <= value <= high:
                found.append(f"{limit['reason']}: {score} is {value:.4g}")
        return found
