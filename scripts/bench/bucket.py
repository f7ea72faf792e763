"""How fast files of a bucket travel, as a ratio to the library alone in the same run.

The baseline reads and writes the same objects with obstore, in the same pieces and as many at a
time, and does nothing else: no caller, no checksum, no hash. The bucket is that of moto on
loopback, which is slower than a real one: what is measured is what our server adds. Each round
measures all by turns; what is printed are medians, of rates and of the ratios within a round.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import obstore

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, live_server
from fakes.s3_server import s3_server
from layert2v_client import connect
from layert2v_client.transfer import TransferOptions, local_file, upload_files
from layert2v_server.store.bucket.transfer import AHEAD, BLOCK_BYTES, SEGMENT_BYTES

MIB = 1 << 20
MEMORY = Path("/dev/shm")  # noqa: S108  the speed of a disk is not what is measured
ROUNDS = 5


class Round(NamedTuple):
    """Rates in MiB/s of one round, in which each was measured right after its baseline."""

    get: float
    read: float
    fetch: float
    put: float
    upload: float


def rate(size: int, run: Callable[[], object]) -> float:
    """Return how fast ``run`` moves ``size`` bytes, in MiB/s."""
    began = time.monotonic()
    run()
    return size / MIB / (time.monotonic() - began)


def get_all(store: Any, key: str, size: int) -> None:
    """Read an object in blocks, some at a time, as a server reads ahead."""

    def get(start: int) -> int:
        end = min(start + BLOCK_BYTES, size)
        return len(obstore.get_range(store, key, start=start, end=end))

    with ThreadPoolExecutor(AHEAD + 1) as pool:
        if sum(pool.map(get, range(0, size, BLOCK_BYTES))) != size:
            raise ValueError("short")


def put_all(store: Any, data: bytes) -> None:
    """Write objects one after the other, as the segments of a file are."""
    for start in range(0, len(data), SEGMENT_BYTES):
        part = memoryview(data)[start : start + SEGMENT_BYTES]
        obstore.put(store, f"bare/{uuid.uuid4()}", part, use_multipart=False)


def measure(server: LiveServer, store: Any, folder: Path, size: int) -> list[Round]:
    """Return rates of the library and of ours."""
    job = server.wait_for_end(server.submit(behaviour=Behaviour(frame_bytes=size), frames=1).name)
    biggest = max(server.artifacts(job.name), key=lambda file: file.size_bytes)
    part = biggest.size_bytes
    key = f"bench/files/{job.name[5:]}/1/{biggest.path}"
    plain = folder / "plain"
    with connect(server.ready["address"]) as client:

        def read() -> None:
            if sum(len(each.chunk.data) for each in server.read(biggest.name)) != part:
                raise ValueError("short")

        def fetch() -> float:
            run = client.job(job.name).download
            found = rate(job.artifact_bytes, lambda: run(folder / "fetched"))
            shutil.rmtree(folder / "fetched")
            return found

        def upload() -> float:
            plain.write_bytes(os.urandom(1024) + bytes(part - 1024))
            file = local_file(plain)
            files, id_ = {file.sha256: file}, uuid.uuid4()
            options = TransferOptions()
            return rate(part, lambda: upload_files(client._connection, files, id_, options))

        return [
            Round(
                get=rate(part, lambda: get_all(store, key, part)),
                read=rate(part, read),
                fetch=fetch(),
                put=rate(part, lambda: put_all(store, os.urandom(1024) + bytes(part - 1024))),
                upload=upload(),
            )
            for _ in range(ROUNDS)
        ]


def main() -> None:
    """Print the rates and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=24, help="of the file that is measured")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name,
        s3_server() as s3,
    ):
        bucket = s3.make_bucket()
        settings = {"artifacts": f"s3://{bucket}/bench", "variables": s3.environment()}
        with live_server(Path(name) / "data", **settings) as server:
            found = measure(server, s3.store(bucket), Path(name), args.mib * MIB)
    for what, base in (("read", "get"), ("fetch", "get"), ("upload", "put")):
        ours, bare = ([getattr(each, field) for each in found] for field in (what, base))
        ratios = sorted(mine / theirs for mine, theirs in zip(ours, bare, strict=True))
        sys.stdout.write(
            f"{what:7} {median(ours):5.0f} MiB/s  {median(ratios):.2f} of obstore {base}'s "
            f"{median(bare):.0f}, from {ratios[0]:.2f} to {ratios[-1]:.2f}\n"
        )


if __name__ == "__main__":
    main()
