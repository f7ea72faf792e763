"""A loaded queue: how late progress reaches 200 watchers, and what a page of jobs costs.

A real server with the fake engine has 1000 queued jobs; 200 watchers follow the running one from
this process. Baselines in the same run are one watcher, and pages of the same server with a
short queue. Wall time depends on what else the machine does; processor time of the server less so.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, live_server
from fakes.postgresql import postgres_server
from layert2v.v1 import jobs_pb2, jobs_pb2_grpc

WATCHERS, QUEUED = 200, 1000
WATCHERS_PER_CHANNEL = 50  # a connection may have 64
STEP_S = 0.5  # between two messages of progress
PAGES, PAGE_SIZE = 50, 50


def main() -> None:
    """Measure on SQLite, or on PostgreSQL with ``--postgresql``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--seconds", type=float, default=20.0)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        settings: dict[str, Any] = {"max_open_jobs": QUEUED + 10, "max_calls_per_s": 100_000.0}
        if args.postgresql:
            database = stack.enter_context(postgres_server())
            settings["database"] = database.create_database()
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(live_server(folder / "data", **settings))
        running = server.submit(behaviour=Behaviour(step_s=STEP_S), steps=1000)
        server.wait(running.name, lambda job: job.progress.done > 0)
        one = measure_progress(server, running.name, 1, args.seconds / 2)
        for _ in range(PAGE_SIZE):
            server.submit()
        calm = measure_pages(server)
        for _ in range(QUEUED - PAGE_SIZE):
            server.submit()
        what = f"page of {PAGE_SIZE} of {QUEUED} queued jobs"
        report(what, f"where {PAGE_SIZE} are queued", calm, measure_pages(server), 50)
        many = measure_progress(server, running.name, WATCHERS, args.seconds)
        report(f"progress to {WATCHERS} watchers, last one", "to one", one, many, 250)
        server.cancel(running.name)


def report(
    what: str, baseline: str, base: tuple[float, float], found: tuple[float, float], bar_ms: float
) -> None:
    """Print wall and processor milliseconds, with their ratios to the baseline."""
    (base_wall, base_cpu), (wall, cpu) = base, found
    print(
        f"{what}: {wall:.1f} ms (bar {bar_ms:g}), {cpu:.2f} ms of the server's processor; "
        f"{wall / base_wall:.1f} x and {cpu / base_cpu:.1f} x of {baseline}"
    )


def measure_pages(server: LiveServer) -> tuple[float, float]:
    """Return the median milliseconds of a page of 50 jobs, and those of the server's processor."""
    took, before = [], cpu_s(server)
    for _ in range(PAGES):
        began = time.perf_counter()
        server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest(page_size=PAGE_SIZE))
        took.append(1000 * (time.perf_counter() - began))
    return median(took), 1000 * (cpu_s(server) - before) / PAGES


def measure_progress(
    server: LiveServer, name: str, watchers: int, seconds: float
) -> tuple[float, float]:
    """Return how much later than the first the last watcher gets a message, and its cost.

    Both are milliseconds, the first one a median over the messages.
    """
    arrivals: defaultdict[int, list[float]] = defaultdict(list)
    with watching(server, name, watchers, arrivals):
        time.sleep(1.0)
        before = cpu_s(server)
        time.sleep(seconds)
        spent_s = cpu_s(server) - before
    whole = [times for times in arrivals.values() if len(times) == watchers]
    late = [1000 * (max(times) - min(times)) for times in whole] or [float("nan")]
    return max(median(late), 0.1), 1000 * spent_s / max(1, len(whole))


@contextlib.contextmanager
def watching(
    server: LiveServer, name: str, watchers: int, arrivals: defaultdict[int, list[float]]
) -> Iterator[None]:
    """Follow a job with so many streams, and note when each revision arrives."""
    lock, streams, threads = threading.Lock(), [], []
    channels = [
        grpc.insecure_channel(server.ready["address"], options=[("channel.number", number)])
        for number in range(1 + watchers // WATCHERS_PER_CHANNEL)
    ]

    def follow(stream: Any) -> None:
        with contextlib.suppress(grpc.RpcError):
            for update in stream:
                with lock:
                    arrivals[update.job.revision].append(time.perf_counter())

    for number in range(watchers):
        stub: Any = jobs_pb2_grpc.JobServiceStub(channels[number // WATCHERS_PER_CHANNEL])  # type: ignore[no-untyped-call]
        streams.append(stub.WatchJob(jobs_pb2.WatchJobRequest(name=name)))
        threads.append(threading.Thread(target=follow, args=(streams[-1],)))
        threads[-1].start()
    try:
        yield
    finally:
        for stream in streams:
            stream.cancel()
        for thread in threads:
            thread.join()
        for channel in channels:
            channel.close()


def cpu_s(server: LiveServer) -> float:
    """Return the processor seconds of the server process so far."""
    times = psutil.Process(server.process.pid).cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
