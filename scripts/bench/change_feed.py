"""How soon another server learns of progress, as a ratio to the transaction that stores it.

Two stores on one PostgreSQL, as two servers have them; one listens, the other records progress. The
database syncs to disk, as a studio's does.
"""

from __future__ import annotations

import queue
import sys
import time
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from fakes import postgresql
from layert2v.spec import GenerateSpec
from layert2v_server.domain.job import Progress
from layert2v_server.store.change_feed import ChangeFeed
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore

CHANGES = 200
PAUSE_S = 0.02
SPEC = GenerateSpec(prompt="a fox", seed=1)


def main() -> None:
    """Measure, and print medians and what 19 of 20 did not exceed."""
    postgresql.SETTINGS.update(fsync="on")
    with postgresql.postgres_server() as server:
        url = server.create_database()
        feed = ChangeFeed(url, "listener")
        store = JobStore(open_database(url, sender="sender"))
        noticed: queue.SimpleQueue[tuple[str | None, float]] = queue.SimpleQueue()
        feed.share()
        feed.start(lambda topic: noticed.put((topic, time.perf_counter())))
        job = store.create("anna", "r1", SPEC, SPEC)
        store.claim("gpu", 60.0)
        stored, reached = [], []
        for number in range(CHANGES):
            time.sleep(PAUSE_S)
            while not noticed.empty():
                noticed.get()
            began = time.perf_counter()
            store.record_progress(job.id, 1, Progress(done=number))
            stored.append(1000 * (time.perf_counter() - began))
            _, moment = noticed.get(timeout=10)
            reached.append(1000 * (moment - began))
        feed.close()
        store.close()
    late = quantiles(reached, n=20)[-1]
    print(
        f"progress is stored in {median(stored):.1f} ms and noticed by another server after "
        f"{median(reached):.1f} ms (19 of 20 within {late:.1f} ms), "
        f"{median(reached) / median(stored):.2f} x of storing it"
    )


if __name__ == "__main__":
    main()
