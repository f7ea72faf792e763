"""`scripts/setup` installs dev.txt alone, as what the demo runs on and more."""

from __future__ import annotations

import re
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[3] / "requirements"


def pins(lock: str) -> set[str]:
    return set(re.findall(r"^[\w.-]+==\S+", (REQUIREMENTS / lock).read_text(), re.MULTILINE))


def test_what_the_demo_runs_on_is_part_of_the_whole() -> None:
    assert len(pins("demo.txt")) > 30
    assert pins("demo.txt") <= pins("dev.txt")
