"""Priorities of jobs: what goes first in a server's queue. The same names in every host."""

from __future__ import annotations

from collections.abc import Sequence

PRIORITIES = ("low", "normal", "high", "urgent")  # lowest first, as ``JobPriority`` on the wire
DEFAULT_PRIORITY = "normal"


def describe_refusal(priority: str, allowed: Sequence[str]) -> str:
    """Return why a server that gives its user the ``allowed`` priorities refuses one, or ""."""
    if priority in allowed:
        return ""
    return (
        f"This server does not let you give jobs the priority {priority}. "
        f"Choose one of: {', '.join(allowed)}."
    )
