"""Measured speeds: the seconds that a unit of work takes on a worker, as a moving mean."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from layert2v_server.store.tables import speeds

NEWEST_SHARE = 0.3  # of the mean; a slow start, or another job beside it, fades in a few jobs


def record_speed(connection: Connection, kind: str, worker: str, seconds: float) -> None:
    """Add one measurement, in seconds a unit."""
    row = (speeds.c.kind == kind) & (speeds.c.worker == worker)
    query = select(speeds.c.seconds).where(row).with_for_update()
    before = connection.execute(query).scalar()
    if before is None:
        values = {"kind": kind, "worker": worker, "seconds": seconds}
        connection.execute(insert(speeds).values(values))
        return
    mean = (1 - NEWEST_SHARE) * float(before) + NEWEST_SHARE * seconds
    connection.execute(update(speeds).where(row).values(seconds=mean))


def read_speeds(connection: Connection) -> dict[str, dict[str, float]]:
    """Return seconds a unit by kind and worker."""
    found: dict[str, dict[str, float]] = {}
    for row in connection.execute(select(speeds)):
        if isinstance(row.seconds, float | int):
            found.setdefault(str(row.kind), {})[str(row.worker)] = float(row.seconds)
    return found
