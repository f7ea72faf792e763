"""How long others wait for a server whose ports somebody abuses, beside the same server in calm.

Each kind of abuse goes on in a process of its own, in which two others ask: one lists jobs with a
token, one opens the log-in of the page of the queue. Printed is what 99 of 100 answers took, with
that in calm right before, and what the server took of processor and memory. Every row has a ratio
to its calm; the bar of 100 ms is for a machine with a core for each of the four processes.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from fakes.fake_engine import Behaviour
from fakes.list_latency import Latency, latency
from fakes.live_server import LiveServer, live_server
from fakes.wire_abuse import KINDS, PAGE_KINDS, abuse, slow_readers
from layert2v_server.auth import add_entry, make_token

MIB = 1 << 20
SLOW_READERS = "slow-readers"


class Row(NamedTuple):
    """What was measured under one kind of abuse."""

    kind: str
    calls: Latency
    page: Latency
    processor: float  # of the server, in cores
    grown_mib: float


def measure(server: LiveServer, job: str, token: str, kind: str, seconds: float) -> Row:
    """Measure one kind of abuse; ``job`` has the file that slow readers ask for."""
    address, page = server.ready["address"], server.ready["web"]
    process = psutil.Process(server.process.pid)
    with (
        latency(address, token=token) as calls,
        latency(page, page=True) as pages,
    ):
        before, began = process.cpu_times(), time.monotonic()
        memory = process.memory_info().rss
        if kind == SLOW_READERS:
            name = server.artifacts(job)[0].name
            with slow_readers(address, name, token):
                time.sleep(seconds)
                grown = process.memory_info().rss - memory
        else:
            with abuse(kind, page if kind in PAGE_KINDS else address, seconds):
                pass
            grown = process.memory_info().rss - memory
        after, took_s = process.cpu_times(), time.monotonic() - began
    used_s = after.user + after.system - before.user - before.system
    return Row(kind, calls, pages, used_s / took_s, grown / MIB)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", help=", ".join([SLOW_READERS, *KINDS]))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each kind")
    args = parser.parse_args()
    token, entry = make_token("anna")
    out = sys.stdout
    with tempfile.TemporaryDirectory() as name:
        add_entry(Path(name) / "tokens", entry)
        settings = {"token_file": f"{name}/tokens", "web_address": "127.0.0.1:0"}
        settings |= {"max_calls_per_s": 1000.0}
        with live_server(Path(name) / "data", **settings) as server:
            server.connect(token)
            job = server.submit(behaviour=Behaviour(frame_bytes=3 * MIB), frames=1)
            server.wait_for_end(job.name)
            out.write("| abuse | lists, calm | lists | page, calm | page | cores | memory |\n")
            out.write("| --- | --- | --- | --- | --- | --- | --- |\n")
            for kind in args.kinds or [SLOW_READERS, *KINDS]:
                row = measure(server, job.name, token, kind, args.seconds)
                cells = [row.kind, *(_cells(row.calls)), *(_cells(row.page))]
                cells += [f"{row.processor:.2f}", f"{row.grown_mib:+.0f} MiB"]
                out.write(f"| {' | '.join(cells)} |\n")
                out.flush()


def _cells(found: Latency) -> tuple[str, str]:
    ratio = found.ms / found.calm_ms
    return f"{found.calm_ms:.0f} ms", f"{found.ms:.0f} ms ({ratio:.1f} x, {found.count})"


if __name__ == "__main__":
    main()
