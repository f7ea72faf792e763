"""How fast files travel, as a ratio to a bare synchronous gRPC stream in the same run.

The bare stream sends the same messages with a CRC-32 of each chunk, from one process to another,
and does nothing else: no file, no hash, no caller. Each round measures all of them by turns; what
is printed are medians, of rates and of the ratios within a round.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, live_server
from layert2v.v1 import artifacts_pb2, artifacts_pb2_grpc
from layert2v.wire import CHUNK_BYTES, MAX_MESSAGE_BYTES
from layert2v_client import connect
from layert2v_client.transfer import LocalFile, TransferOptions, local_file, upload_files

MIB = 1 << 20
MEMORY = Path("/dev/shm")  # noqa: S108  the speed of a disk is not what is measured
ROUNDS = 7


class BareServicer(artifacts_pb2_grpc.ArtifactServiceServicer):
    """Sends and takes chunks with a checksum, and nothing else."""

    def ReadArtifact(self, request: Any, context: Any) -> Iterator[Any]:
        data = bytes(CHUNK_BYTES)
        for offset in range(0, request.limit, CHUNK_BYTES):
            chunk = artifacts_pb2.Chunk(offset=offset, data=data, crc32=zlib.crc32(data))
            yield artifacts_pb2.ReadArtifactResponse(chunk=chunk)

    def WriteArtifact(self, requests: Any, context: Any) -> Any:
        size = 0
        for request in requests:
            if zlib.crc32(request.chunk.data) != request.chunk.crc32:
                raise ValueError("damaged")
            size += len(request.chunk.data)
        return artifacts_pb2.WriteArtifactResponse(committed_bytes=size)


def serve_bare() -> None:
    """Serve until the input ends; print the port first."""
    options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    server = grpc.server(futures.ThreadPoolExecutor(2), options=options)
    artifacts_pb2_grpc.add_ArtifactServiceServicer_to_server(BareServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    sys.stdin.read()
    server.stop(None)


def read_all(stub: Any, name: str, size: int) -> None:
    """Read ``size`` bytes, and check each chunk."""
    got = 0
    for message in stub.ReadArtifact(artifacts_pb2.ReadArtifactRequest(name=name, limit=size)):
        if zlib.crc32(message.chunk.data) != message.chunk.crc32:
            raise ValueError("damaged")
        got += len(message.chunk.data)
    if got != size:
        raise ValueError("short")


def chunks(size: int) -> Iterator[Any]:
    """Yield the steps of a bare upload."""
    data = bytes(CHUNK_BYTES)
    for offset in range(0, size, CHUNK_BYTES):
        chunk = artifacts_pb2.Chunk(offset=offset, data=data, crc32=zlib.crc32(data))
        yield artifacts_pb2.WriteArtifactRequest(chunk=chunk)


def upload(client: Any, file: LocalFile) -> None:
    """Upload a file as the client does, once it knows its hash."""
    upload_files(client._connection, {file.sha256: file}, uuid.uuid4(), TransferOptions())


class Round(NamedTuple):
    """Rates in MiB/s of one round, in which each was measured right after its baseline."""

    bare_read: float
    read: float
    fetch: float
    bare_write: float
    upload: float


def rate(size: int, run: Callable[[], object]) -> float:
    """Return how fast ``run`` moves ``size`` bytes, in MiB/s."""
    began = time.monotonic()
    run()
    return size / MIB / (time.monotonic() - began)


def measure(server: LiveServer, port: int, folder: Path, size: int) -> list[Round]:
    """Return rates of the bare stream and of ours."""
    job = server.wait_for_end(
        server.submit(behaviour=Behaviour(frame_bytes=size // 5 // MIB * MIB), frames=1).name
    )
    biggest = max(server.artifacts(job.name), key=lambda file: file.size_bytes)
    part = biggest.size_bytes
    plain = folder / "plain"
    options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)]
    with (
        grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel,
        connect(server.ready["address"]) as client,
    ):
        bare = artifacts_pb2_grpc.ArtifactServiceStub(channel)

        def fetch() -> float:
            found = rate(
                job.artifact_bytes, lambda: client.job(job.name).download(folder / "fetched")
            )
            shutil.rmtree(folder / "fetched")
            return found

        def upload_new_file() -> float:
            plain.write_bytes(os.urandom(1024) + bytes(part - 1024))
            file = local_file(plain)
            return rate(part, lambda: upload(client, file))

        return [
            Round(
                bare_read=rate(part, lambda: read_all(bare, "", part)),
                read=rate(part, lambda: read_all(server.files, biggest.name, part)),
                fetch=fetch(),
                bare_write=rate(part, lambda: bare.WriteArtifact(chunks(part))),
                upload=upload_new_file(),
            )
            for _ in range(ROUNDS)
        ]


class SharedRound(NamedTuple):
    """Rates in MiB/s of one round on a shared disk."""

    copy: float
    copy_and_hash: float
    shared: float
    offered: float  # an upload, as a link that the server copies


def measure_shared(server: LiveServer, folder: Path, size: int) -> list[SharedRound]:
    """Return rates of copies by a program that sees the server's folder.

    The baselines copy the same files: ``shutil.copyfile`` alone, which checks nothing, and followed
    by a SHA-256 of each copy.
    """
    job = server.wait_for_end(
        server.submit(behaviour=Behaviour(frame_bytes=size // 5 // MIB * MIB), frames=1).name
    )
    source, total = Path(job.local_path), job.artifact_bytes
    paths = [file.path for file in server.artifacts(job.name)]

    def copy(target: Path, *, is_hashed: bool) -> float:
        def run() -> None:
            for path in paths:
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / path, target / path)
                if is_hashed:
                    with (target / path).open("rb") as file:
                        hashlib.file_digest(file, "sha256")

        found = rate(total, run)
        shutil.rmtree(target)
        return found

    with connect(server.ready["address"]) as client:

        def fetch() -> float:
            found = rate(total, lambda: client.job(job.name).download(folder / "shared"))
            shutil.rmtree(folder / "shared")
            return found

        def offer() -> float:
            (folder / "new").write_bytes(os.urandom(1024) + bytes(size // 5))
            file = local_file(folder / "new")
            return rate(file.size_bytes, lambda: upload(client, file))

        return [
            SharedRound(
                copy=copy(folder / "plain", is_hashed=False),
                copy_and_hash=copy(folder / "plain", is_hashed=True),
                shared=fetch(),
                offered=offer(),
            )
            for _ in range(ROUNDS)
        ]


def report(rounds: Sequence[Any], pairs: Sequence[tuple[str, str]]) -> None:
    """Print what each pair of rates and its ratio is, as medians over the rounds."""
    for what, base in pairs:
        ours, bare_rates = ([getattr(each, name) for each in rounds] for name in (what, base))
        ratios = sorted(mine / theirs for mine, theirs in zip(ours, bare_rates, strict=True))
        sys.stdout.write(
            f"{what:7} {median(ours):5.0f} MiB/s  {median(ratios):.2f} of "
            f"{base.replace('_', ' ')}'s {median(bare_rates):.0f}, "
            f"from {ratios[0]:.2f} to {ratios[-1]:.2f}\n"
        )


def main() -> None:
    """Print the rates and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=640, help="of all files together")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.bare:
        serve_bare()
        return
    command = [sys.executable, __file__, "--bare"]
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as bare,
        live_server(Path(name) / "data", expose_local_paths=False) as server,
    ):
        port = int(bare.stdout.readline()) if bare.stdout else 0
        found = measure(server, port, Path(name), args.mib * MIB)
        bare.communicate("")
    report(found, (("read", "bare_read"), ("fetch", "bare_read"), ("upload", "bare_write")))
    with (
        tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name,
        live_server(Path(name) / "data", expose_local_paths=True) as server,
    ):
        shared = measure_shared(server, Path(name), args.mib * MIB)
    pairs = [(what, base) for what in ("shared", "offered") for base in ("copy", "copy_and_hash")]
    report(shared, pairs)


if __name__ == "__main__":
    main()
