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
            for score, limit in limits.items() if isinstance(limits, dict) else ((stage, limits),):
                if score not in tables.get(stage, {}):
                    raise BadConfig(
                        f"{path}: there is no score {stage}.{score}.",
                        f"Scores are listed in {DEFAULTS.name} of the package.",
                    )
                _check_limit(path, f"{stage}.{score}", limit)
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
                bound = f"at least {low:.4g}" if value < low else f"at most {high:.4g}"
                found.append(f"{limit['reason']}: {score} is {value:.4g}, {bound} is let through")
        return found

    def meanings(self) -> dict[str, str]:
        """Return what each reason says of a clip, in words."""
        limits = [limit for stage in self._tables.values() for limit in stage.values()]
        return {each["reason"]: each["meaning"] for each in limits if "meaning" in each}


def _check_limit(path: Path, name: str, limit: Any) -> None:
    """Raise ``BadConfig`` for what is no table of numbers."""
    is_table = isinstance(limit, dict) and limit.keys() <= {"min", "max", "value"}
    if is_table and all(type(each) in (int, float) for each in limit.values()):
        return
    raise BadConfig(
        f"{path}: {name} has to be a table with the numbers min, max or value.",
        f"Write for example [{name}] and below it max = 0.5.",
    )
