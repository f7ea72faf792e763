"""Ask a server over and over in a process of its own, and print how long 99 of 100 answers took.

``python -m fakes.list_latency ADDRESS`` lists jobs, with the token in ``LAYERT2V_TOKEN``;
``--page ADDRESS`` asks for the log-in of the page of the queue, each time on a new connection. It
measures a calm server first and prints that, then goes on until its input ends and prints how many
answers there were, and that again. Milliseconds. ``latency`` runs it beside a block.
"""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CALM_CALLS = 40
MANY = 200  # answers
TIMEOUT_S = 60.0


@dataclass
class Latency:
    """What almost all answers did not exceed, in calm and meanwhile, and how many there were."""

    calm_ms: float = 0.0
    ms: float = 0.0
    count: int = 0


@contextmanager
def latency(address: str, *, page: bool = False, token: str = "") -> Iterator[Latency]:
    """Measure answers from another process during the block; they are there after it."""
    from fakes.live_server import environment

    options = ["--page"] if page else []
    command = [sys.executable, "-m", "fakes.list_latency", *options, address]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**environment(), "LAYERT2V_TOKEN": token},
    ) as asker:
        assert asker.stdout is not None
        found = Latency(calm_ms=float(asker.stdout.readline()))
        yield found
        count, slow_ms = asker.communicate("")[0].split()
    found.count, found.ms = int(count), float(slow_ms)


def main() -> None:
    """Measure until the input ends."""
    address = sys.argv[-1]
    ask = ask_for_page(address) if "--page" in sys.argv else list_jobs(address)
    ended = threading.Event()
    calm = measure(ask, lambda done: done > CALM_CALLS)
    sys.stdout.write(f"{slowest(calm[1:])}\n")  # the first one connects
    sys.stdout.flush()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    busy = measure(ask, lambda _: ended.is_set())
    sys.stdout.write(f"{len(busy)} {slowest(busy)}\n")


def list_jobs(address: str) -> Callable[[], object]:
    """Return what lists jobs once, on one connection for all."""
    import grpc

    from layert2v.v1 import jobs_pb2, jobs_pb2_grpc

    jobs = jobs_pb2_grpc.JobServiceStub(grpc.insecure_channel(address))  # type: ignore[no-untyped-call]
    token = os.environ.get("LAYERT2V_TOKEN", "")
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    request = jobs_pb2.ListJobsRequest(page_size=10)
    return lambda: jobs.ListJobs(request, timeout=TIMEOUT_S, metadata=metadata)


def ask_for_page(address: str) -> Callable[[], object]:
    """Return what asks for the log-in, each time on a connection of its own."""
    host, _, port = address.rpartition(":")

    def ask() -> None:
        connection = http.client.HTTPConnection(host, int(port), timeout=TIMEOUT_S)
        connection.request("GET", "/login", headers={"Connection": "close"})
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()

    return ask


def measure(ask: Callable[[], object], has_ended: Callable[[int], bool]) -> list[float]:
    """Return how long each answer took."""
    took_ms: list[float] = []
    while not has_ended(len(took_ms)) or not took_ms:
        time.sleep(0.02)
        began = time.monotonic()
        ask()
        took_ms.append(1000 * (time.monotonic() - began))
    return took_ms


def slowest(took_ms: list[float]) -> float:
    """Return what 99 of 100 did not exceed.

    Of fewer than ``MANY`` it is 95 of 100: the two that meet the start of an attack say nothing of
    how fast answers are during it.
    """
    share = 0.99 if len(took_ms) >= MANY else 0.95
    return sorted(took_ms)[int(share * (len(took_ms) - 1))]


if __name__ == "__main__":
    main()
