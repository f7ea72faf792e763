"""List jobs over and over in a process of its own, and print how long 99 of 100 answers took.

``python -m fakes.list_latency ADDRESS`` measures a calm server first and prints that, then goes on
until its input ends and prints how many answers there were, and that again. Milliseconds.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc

from layert2v.v1 import jobs_pb2, jobs_pb2_grpc

CALM_CALLS = 40


def main() -> None:
    """Measure until the input ends."""
    ended = threading.Event()
    with grpc.insecure_channel(sys.argv[1]) as channel:
        jobs = jobs_pb2_grpc.JobServiceStub(channel)  # type: ignore[no-untyped-call]
        calm = measure(jobs, lambda done: done > CALM_CALLS)
        sys.stdout.write(f"{slowest(calm[1:])}\n")  # the first one connects
        sys.stdout.flush()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        busy = measure(jobs, lambda _: ended.is_set())
    sys.stdout.write(f"{len(busy)} {slowest(busy)}\n")


def measure(jobs: Any, has_ended: Callable[[int], bool]) -> list[float]:
    """Return how long each answer took."""
    took_ms: list[float] = []
    while not has_ended(len(took_ms)) or not took_ms:
        time.sleep(0.02)
        began = time.monotonic()
        jobs.ListJobs(jobs_pb2.ListJobsRequest(page_size=10), timeout=60)
        took_ms.append(1000 * (time.monotonic() - began))
    return took_ms


def slowest(took_ms: list[float]) -> float:
    """Return what 99 of 100 did not exceed."""
    return sorted(took_ms)[int(0.99 * (len(took_ms) - 1))]


if __name__ == "__main__":
    main()
