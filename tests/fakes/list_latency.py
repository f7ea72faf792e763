"""List jobs over and over in a process of its own, and print how long 99 of 100 answers took.

``python -m fakes.list_latency ADDRESS`` goes on until its input ends. Milliseconds.
"""

from __future__ import annotations

import sys
import threading
import time

import grpc

from layert2v.v1 import jobs_pb2, jobs_pb2_grpc


def main() -> None:
    """Measure until the input ends."""
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    took_ms = []
    with grpc.insecure_channel(sys.argv[1]) as channel:
        jobs = jobs_pb2_grpc.JobServiceStub(channel)  # type: ignore[no-untyped-call]
        while not ended.wait(0.02):
            began = time.monotonic()
            jobs.ListJobs(jobs_pb2.ListJobsRequest(page_size=10), timeout=60)
            took_ms.append(1000 * (time.monotonic() - began))
    took_ms.sort()
    sys.stdout.write(f"{len(took_ms)} {took_ms[int(0.99 * len(took_ms))]}\n")


if __name__ == "__main__":
    main()
