"""How busy the machine is while a test measures time."""

from __future__ import annotations

import os
from pathlib import Path


def busy_share() -> float:
    """Return the processes to each core, at least 1: over the last minute, or now if more."""
    running = 0
    stat = Path("/proc/stat")
    if stat.exists():
        words = stat.read_text().split()
        running = int(words[words.index("procs_running") + 1])
    return max(1.0, max(os.getloadavg()[0], running) / (os.cpu_count() or 1))
