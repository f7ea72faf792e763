"""Disk quotas of users: what counts, what is refused, what to delete."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest

from fakes.inline_server import FlakyExecutor, InlineServer, run_scenario
from layert2v.spec import GenerateSpec
from layert2v.stack import FileRecord
from layert2v_server.domain.state import JobState
from layert2v_server.errors import QuotaExceeded
from layert2v_server.service.quota import RECENT_S, DiskQuota, DiskUse
from layert2v_server.store.rows import new_row
from layert2v_server.store.uploads import Upload

SPEC = GenerateSpec(prompt="a fox", seed=7)
SHARED = FileRecord(path="bg.exr", size_bytes=600, sha256="a" * 64)


def add_job(server: InlineServer, letter: str, own_bytes: int, owner: str = "anna") -> str:
    """Register a finished job that shares a file with the others and has one of its own."""
    own = FileRecord(path="fg.exr", size_bytes=own_bytes, sha256=letter * 64)
    server.store.register(owner, new_row(letter * 32, SPEC, "", 1.0), [SHARED, own], ())
    return letter * 32


def upload(size_bytes: int) -> Upload:
    return Upload(
        id=str(uuid.UUID(int=7)),
        owner="anna",
        size_bytes=size_bytes,
        sha256=hashlib.sha256(bytes(size_bytes)).hexdigest(),
        media_type="image/png",
    )


def test_what_jobs_share_counts_once_and_others_do_not_count(server: InlineServer) -> None:
    add_job(server, "b", 100)
    largest = add_job(server, "c", 200)
    add_job(server, "d", 5000, owner="bert")
    exact = server.store.usage("anna", 0)
    assert (exact.total_bytes, exact.largest_job, exact.largest_bytes) == (900, largest, 800)
    assert server.store.usage("anna", 2000).total_bytes == 1500  # no reason to count
    quota = DiskQuota(server.store, server.uploads, 1000)
    quota.require("anna", 100)
    with pytest.raises(QuotaExceeded, match=r"take 900 B of the 1\.0 kB") as refusal:
        quota.require("anna", 101)
    assert f"layert2v delete JOB (jobs/{largest} has 800 B)" in refusal.value.hint
    assert "--uploads" not in refusal.value.hint
    DiskQuota(server.store, server.uploads, 0).require("anna", 1 << 40)


def test_what_a_user_has_is_what_an_error_would_say(server: InlineServer) -> None:
    quota = DiskQuota(server.store, server.uploads, 1000)
    assert quota.measure("anna") == DiskUse(used_bytes=0, max_bytes=1000)
    for number, letter in enumerate("bcd", 1):
        add_job(server, letter, 100)
        assert quota.measure("anna").used_bytes == 600 + number * 100
    server.store.delete("d" * 32)
    assert quota.measure("anna").used_bytes == quota.measure("anna").used_bytes == 800
    assert DiskQuota(server.store, server.uploads, 0).measure("anna").max_bytes == 0


def test_sums_are_counted_again_after_a_while_and_before_a_refusal(server: InlineServer) -> None:
    now = [100.0]
    quota = DiskQuota(server.store, server.uploads, 1000, clock=lambda: now[0])
    quota.require_for_upload("anna", 100)
    job = add_job(server, "b", 250)
    quota.require_for_upload("anna", 100)  # what it remembers is 100, and allows that
    with pytest.raises(QuotaExceeded):
        quota.require("anna", 151)
    now[0] += RECENT_S
    with pytest.raises(QuotaExceeded):
        quota.require_for_upload("anna", 151)
    quota.require_for_upload("anna", 150)
    server.store.delete(job)
    quota.require_for_upload("anna", 1000)  # it remembers 1000, and counts before it refuses


def test_uploads_count_with_what_they_will_have(server: InlineServer) -> None:
    quota = DiskQuota(server.store, server.uploads, 1000)
    server.uploads.begin(upload(700))
    server.uploads.append(upload(700), 0, bytes(100))
    with pytest.raises(QuotaExceeded) as refusal:
        quota.require("anna", 301)
    assert refusal.value.hint == "Delete uploads (700 B) with: layert2v delete --uploads."
    server.uploads.append(upload(700), 100, bytes(600))
    server.uploads.finish(upload(700))
    assert server.uploads.announced_bytes("anna") == 700
    assert server.uploads.announced_bytes("bert") == 0
    server.uploads.delete("anna", None)
    quota.require("anna", 1000)


def test_a_user_at_the_limit_gets_no_job(tmp_path: Path, executor: FlakyExecutor) -> None:
    server = InlineServer(tmp_path, executor, max_user_bytes=700)
    queued = server.enqueue()
    add_job(server, "b", 100)

    async def scenario() -> None:
        ended = await server.wait(queued)
        assert (ended.state, ended.attempt) == (JobState.FAILED, 1)
        assert ended.failure is not None
        assert ended.failure.reason == "QUOTA_EXCEEDED"
        with pytest.raises(QuotaExceeded):
            await server.submission.submit("anna", "r1", GenerateSpec(prompt="a fox"))
        job = await server.submission.submit("bert", "r1", GenerateSpec(prompt="a fox"))
        assert (await server.wait(job.id)).state is JobState.SUCCEEDED

    run_scenario(server, scenario)
