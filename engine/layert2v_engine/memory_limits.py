"""What this process may take of the memory of the machine, where somebody has limited that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

CONTROL_GROUPS, MEMBERSHIP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def memory_limit() -> int:
    """Return the bytes that this process may have at most, a huge number where nothing limits it.

    By its own limits (``ulimit``), and by its control groups, as in a container or in a job of a
    cluster: there the memory of the machine says nothing.
    """
    limits = [sys.maxsize, *control_group_limits(CONTROL_GROUPS, MEMBERSHIP)]
    if sys.platform != "win32":
        import resource

        own = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA))
        limits += (limit for limit in own if limit != resource.RLIM_INFINITY)
    return min(limits)


def control_group_limits(root: Path, membership: Path) -> Iterator[int]:
    """Yield the limits in bytes of the control groups around this process, of either version."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux
        return
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        name = "memory.limit_in_bytes" if controllers else "memory.max"
        base = root / controllers
        group = base / place.strip("/")
        for each in (group, *group.parents):
            if not each.is_relative_to(base):
                break
            try:
                yield int((each / name).read_text())
            except (OSError, ValueError):  # none here, or "max"
                continue
