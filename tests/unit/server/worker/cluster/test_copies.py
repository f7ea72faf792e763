"""Copies of a job's files: there, and back without touching what other jobs share."""

from __future__ import annotations

import asyncio
import hashlib
import os
from pathlib import Path

import pytest

from fakes.local_actor import LocalActor
from layert2v_server.errors import WorkerLost
from layert2v_server.worker.cluster import copies
from layert2v_server.worker.cluster.actor import WorkerActor
from layert2v_server.worker.cluster.copies import JobCopies
from layert2v_server.worker.messages import Finished, RunJob

DATA = bytes(range(256)) * 20


@pytest.fixture
def command(tmp_path: Path) -> RunJob:
    for name in ("stack", "source/inputs/plate", "others"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "others" / "kept.exr").write_bytes(DATA)
    (tmp_path / "others" / "changed.exr").write_bytes(b"old")
    for name in ("kept.exr", "changed.exr"):
        os.link(tmp_path / "others" / name, tmp_path / "stack" / name)
    (tmp_path / "source" / "inputs" / "plate" / "empty.exr").touch()
    (tmp_path / "source" / "inputs" / "plate" / "link.exr").symlink_to("/etc/hostname")
    return RunJob(
        job="j", job_kind="RERENDER", spec={}, folder=str(tmp_path / "stack"),
        source=str(tmp_path / "source"), preview=str(tmp_path / "preview.png"),
    )  # fmt: skip


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerActor:
    monkeypatch.setattr(copies, "PIECE_BYTES", 1000)
    actor = WorkerActor()
    actor._folder = tmp_path / "node"
    return actor


def outcome_of(files: dict[str, bytes]) -> Finished:
    records = [
        {"path": path, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for path, data in files.items()
    ]
    return Finished(job="j", files=records, untrusted=[], preview=False)


def test_inputs_are_copied_and_results_replace_files(
    command: RunJob, node: WorkerActor, tmp_path: Path
) -> None:
    job = JobCopies(LocalActor(node), command)

    async def work() -> None:
        there = await job.send()
        stack = Path(there.folder)
        assert (stack / "kept.exr").read_bytes() == DATA
        assert (Path(there.source) / "inputs" / "plate" / "empty.exr").read_bytes() == b""
        assert not (Path(there.source) / "inputs" / "plate" / "link.exr").exists()
        (stack / "changed.exr").write_bytes(DATA[1:])
        (stack / "new").mkdir()
        (stack / "new" / "one.exr").write_bytes(DATA[2:])
        files = {"kept.exr": DATA, "changed.exr": DATA[1:], "new/one.exr": DATA[2:]}
        await job.fetch_stack(outcome_of(files))
        await job.delete()

    asyncio.run(work())
    assert (tmp_path / "stack" / "new" / "one.exr").read_bytes() == DATA[2:]
    assert (tmp_path / "stack" / "changed.exr").read_bytes() == DATA[1:]
    assert (tmp_path / "others" / "changed.exr").read_bytes() == b"old"
    assert (tmp_path / "stack" / "kept.exr").samefile(tmp_path / "others" / "kept.exr")
    assert not (tmp_path / "node" / "j").exists()


def test_what_is_not_what_was_reported_is_refused(command: RunJob, node: WorkerActor) -> None:
    job = JobCopies(LocalActor(node), command)

    async def work(path: str) -> None:
        there = await job.send()
        (Path(there.folder) / "new.exr").write_bytes(b"other")
        await job.fetch_stack(outcome_of({path: b"bytes"}))

    for path in ("new.exr", "../outside.exr", "/etc/passwd"):
        with pytest.raises(WorkerLost):
            asyncio.run(work(path))


def test_a_node_keeps_to_its_folder(node: WorkerActor) -> None:
    with pytest.raises(ValueError, match="outside"):
        asyncio.run(node.write_piece("../other", b"", is_first=True))
