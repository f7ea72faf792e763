"""What a server under attack may take, and how long others may wait for it meanwhile."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from fakes.list_latency import Latency
from fakes.live_server import LiveServer, wait_until
from fakes.machine_load import busy_share

MIB = 1 << 20
MAX_GROWTH_MIB = 200
MAX_NEW_DESCRIPTORS = 64
MOST_MS = 100  # where every process has a core of its own
MOST_OF_CALM = 20  # times the wait for an answer of a server that has nothing else to do


@contextmanager
def assert_bounded_memory(server: LiveServer, more_descriptors: int = 0) -> Iterator[None]:
    """Check that what happens in the block takes bounded memory, and leaves a server that works."""
    process = psutil.Process(server.process.pid)
    before, peak, ended = process.memory_info().rss, [0], threading.Event()

    def measure() -> None:
        while not ended.wait(0.02):
            peak[0] = max(peak[0], process.memory_info().rss)

    descriptors, log_bytes = process.num_fds(), server.log.stat().st_size
    watcher = threading.Thread(target=measure)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
    assert server.process.poll() is None
    assert (peak[0] - before) / MIB < MAX_GROWTH_MIB
    most = descriptors + MAX_NEW_DESCRIPTORS + more_descriptors
    wait_until(lambda: process.num_fds() < most)  # it still closes connections that have ended
    log = server.log.read_bytes()[log_bytes:].decode(errors="replace")
    assert "a call failed unexpectedly" not in log, log[-5000:]
    assert "Exception serializing" not in log
    assert "Exception deserializing" not in log


def assert_fast(found: Latency) -> None:
    """Check that another caller got enough answers, and soon enough for the load of the machine."""
    share = busy_share()
    sys.stdout.write(
        f"almost all of {found.count} answers took {found.ms:.0f} ms at most, "
        f"{found.calm_ms:.0f} in calm\n"
    )
    assert found.count > 20 / share
    assert found.ms < max(MOST_MS * share, MOST_OF_CALM * found.calm_ms)
