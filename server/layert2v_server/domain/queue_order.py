"""The order in which queued jobs start, and when: fair to users, by priority, from measured speeds.

Pure: no store, no clock. Users take turns. The turn of a job counts the jobs of its owner that run
or go before it, so that one job of a user waits for one job of each other user, never for a
thousand of one. Of jobs in the same turn, the user who has waited longest since a start is first.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Priority(IntEnum):
    """What comes first among the jobs of one user; ``URGENT`` comes before everybody's."""

    LOW = -1
    NORMAL = 0
    HIGH = 1
    URGENT = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedJob:
    """What the order depends on; ``duration_s`` is what is expected of its run, if anything."""

    id: str
    owner: str
    priority: int
    sequence: int
    duration_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a job is in the queue: the jobs ahead, and seconds until it starts, if known."""

    position: int
    start_s: float | None


def order_queue(
    queued: Sequence[QueuedJob], running: Mapping[str, int], last_start: Mapping[str, float]
) -> list[QueuedJob]:
    """Return the jobs in the order in which they start.

    ``running`` counts the running jobs by owner, ``last_start`` says when an owner's last job
    started, in seconds since 1970.
    """
    turns: defaultdict[str, int] = defaultdict(int, running)
    ranked: list[tuple[int, int, float, int, QueuedJob]] = []
    for job in sorted(queued, key=lambda job: (-job.priority, job.sequence)):
        is_urgent = job.priority >= Priority.URGENT
        turn = turns[job.owner]
        turns[job.owner] += 1
        since = last_start.get(job.owner, 0.0)
        # Urgent jobs are done in the order in which they came, whoever's they are.
        rank = (0, 0, 0.0, job.sequence) if is_urgent else (1, turn, since, job.sequence)
        ranked.append((*rank, job))
    return [job for *_, job in sorted(ranked, key=lambda entry: entry[:4])]


def find_places(
    ordered: Sequence[QueuedJob], remaining_s: Sequence[float | None]
) -> dict[str, Place]:
    """Return the place of each job by id.

    ``remaining_s`` are the seconds that each running job still takes. From the first job on whose
    duration is unknown, nobody knows when the next one starts.
    """
    known = [seconds for seconds in remaining_s if seconds is not None]
    free_at = known if len(known) == len(remaining_s) and known else []
    heapq.heapify(free_at)
    places: dict[str, Place] = {}
    for position, job in enumerate(ordered):
        start_s = free_at[0] if free_at else None
        places[job.id] = Place(position=position, start_s=start_s)
        if start_s is not None:
            if job.duration_s is None:
                free_at = []
            else:
                heapq.heapreplace(free_at, start_s + job.duration_s)
    return places
