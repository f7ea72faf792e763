"""The job table: idempotent creation, order, fencing, leases, retries, pages."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.fake_engine import MODEL
from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v.stack import FileRecord
from layert2v_server.domain.job import Failure, Progress
from layert2v_server.domain.queue_order import Priority
from layert2v_server.domain.request import JobStack, RerenderRequest
from layert2v_server.domain.state import JobState
from layert2v_server.errors import (
    ArtifactNotFound,
    InvalidTransition,
    JobBusy,
    JobNotFound,
    RequestIdReused,
    TooManyJobs,
)
from layert2v_server.store.database import open_database
from layert2v_server.store.files_table import StoredArtifact
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.rows import DAMAGED_FAILURE

SPEC = GenerateSpec(prompt="a fox", seed=7)
GONE = Failure(reason="WORKER_CRASHED", message="The worker is gone.")
FILES = [FileRecord(path=f"{k}.exr", size_bytes=k, sha256=f"{k:064x}") for k in range(3)]


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(database: Path | str, clock: Clock) -> Iterator[JobStore]:
    engine = open_database(database)
    yield JobStore(engine, max_attempts=3, max_open_jobs=5, clock=clock, lease_clock=clock)
    engine.dispose()


def create(store: JobStore, request_id: str = "r1", owner: str = "anna") -> str:
    return store.create(owner, request_id, SPEC, SPEC).id


def start(store: JobStore) -> tuple[str, int]:
    job = store.claim("gpu", 30.0)
    assert job is not None
    return job.id, job.attempt


def test_a_rerender_is_stored_with_its_source(store: JobStore) -> None:
    spec = RerenderSpec("regenerate", ("fg_01",), prompts={"fg_01": "an owl"}, seed=3)
    request = RerenderRequest(spec=spec, source=JobStack(id="b" * 32))
    job = store.create("anna", "r1", request, spec, source="jobs/b", job_id="c" * 32)
    assert (job.id, job.spec, job.source) == ("c" * 32, spec, "jobs/b")
    assert store.create("anna", "r1", request, spec, job_id="d" * 32) == job
    stack = JobStack(id="e" * 32)
    for other in (replace(request, source=stack), replace(request, inputs={"a": stack})):
        with pytest.raises(RequestIdReused):
            store.find_by_request_id("anna", "r1", other)


def test_files_are_found_by_hash_and_owner(store: JobStore) -> None:
    create(store)
    job, attempt = start(store)
    files = [FileRecord(path=f"bg/{k}.exr", size_bytes=k, sha256=f"{k:064x}") for k in range(3)]
    store.mark_succeeded(job, attempt, files)
    hashes = [f"{k:064x}" for k in range(1, 2000)]
    assert store.find_by_hash("anna", hashes) == [
        StoredArtifact(sha256=f"{k:064x}", job_id=job, path=f"bg/{k}.exr", untrusted=False)
        for k in (1, 2)
    ]
    assert store.find_by_hash("bert", hashes) == []


def test_a_new_job_waits_at_revision_one(store: JobStore) -> None:
    job = store.get(create(store))
    assert (job.state, job.revision, job.attempt, job.queue_position) == (JobState.QUEUED, 1, 0, 0)
    assert job.spec == SPEC


def test_the_same_request_is_the_same_job(store: JobStore) -> None:
    first = create(store)
    start(store)
    again = store.create("anna", "r1", SPEC, replace(SPEC, seed=99))
    assert (again.id, again.state) == (first, JobState.RUNNING)
    assert store.find_by_request_id("anna", "r1", SPEC) == again
    assert store.find_by_request_id("bert", "r1", SPEC) is None
    assert create(store, "r1", owner="bert") != first


def test_a_request_id_is_for_one_request(store: JobStore) -> None:
    create(store)
    with pytest.raises(RequestIdReused):
        store.create("anna", "r1", replace(SPEC, prompt="an owl"), SPEC)


def test_open_jobs_are_limited_for_each_user(store: JobStore) -> None:
    for k in range(5):
        create(store, f"r{k}")
    with pytest.raises(TooManyJobs):
        create(store, "r5")
    create(store, "r5", owner="bert")


def test_jobs_are_claimed_in_order(store: JobStore) -> None:
    names = [create(store, f"r{k}") for k in range(3)]
    assert [store.get(name).queue_position for name in names] == [0, 1, 2]
    assert [start(store)[0] for _ in names] == names
    assert store.claim("gpu", 30.0) is None


def test_users_take_turns(store: JobStore) -> None:
    first = [create(store, f"r{k}") for k in range(3)]
    other = create(store, "r9", owner="bert")
    assert [store.get(name).queue_position for name in [*first, other]] == [0, 2, 3, 1]
    assert [start(store)[0] for _ in range(4)] == [first[0], other, *first[1:]]


def test_priorities_order_the_jobs_of_a_user(store: JobStore) -> None:
    normal = create(store, "r1")
    low, high, urgent = (
        store.create("anna", f"p{priority}", SPEC, SPEC, priority=priority).id
        for priority in (Priority.LOW, Priority.HIGH, Priority.URGENT)
    )
    assert store.get(high).priority is Priority.HIGH
    assert [start(store)[0] for _ in range(4)] == [urgent, high, normal, low]


def test_when_a_job_starts_follows_from_measured_speeds(store: JobStore, clock: Clock) -> None:
    create(store, "r1")
    job, attempt = start(store)
    waiting = create(store, "r2")
    assert store.get(waiting).start_eta_s is None  # nothing was measured yet
    clock.now += 40
    store.mark_succeeded(job, attempt, FILES)
    start(store)
    last = create(store, "r3")
    starts = store.get(last).start_eta_s
    assert starts is not None
    assert 39 < starts <= 40
    later = create(store, "r4")
    starts = store.get(later).start_eta_s
    assert starts is not None
    assert 79 < starts <= 80


def test_the_account_of_a_running_job_comes_before_its_speed(store: JobStore) -> None:
    create(store, "r1")
    job, attempt = start(store)
    store.record_progress(job, attempt, Progress(fraction=0.5, eta_s=7.0))
    starts = store.get(create(store, "r2")).start_eta_s
    assert starts is not None
    assert 6 < starts <= 7


def test_queued_jobs_get_a_revision_when_the_queue_moves(store: JobStore) -> None:
    create(store, "r1")
    second = create(store, "r2")
    start(store)
    job = store.get(second)
    assert (job.queue_position, job.revision) == (0, 2)


def test_progress_and_success(store: JobStore) -> None:
    create(store)
    name, attempt = start(store)
    progress = Progress(stage="denoise", done=1, total=4, fraction=0.1, eta_s=3.0)
    job = store.record_progress(name, attempt, progress, new_preview=True)
    assert (job.progress, job.preview_revision) == (progress, job.revision)
    job = store.mark_succeeded(name, attempt, FILES)
    assert (job.state, job.artifact_count, job.artifact_bytes) == (JobState.SUCCEEDED, 3, 3)
    assert store.list_artifacts(name, start=1, size=5) == FILES[1:]
    assert store.get_artifact(name, 2) == FILES[2]
    assert store.used_bytes() == 3
    with pytest.raises(ArtifactNotFound):
        store.get_artifact(name, 3)


def test_reports_of_an_earlier_attempt_are_refused(store: JobStore) -> None:
    create(store)
    name, first = start(store)
    assert store.mark_lost(name, first, GONE).state is JobState.QUEUED
    assert start(store) == (name, 2)
    for report in (
        lambda: store.record_progress(name, first, Progress()),
        lambda: store.renew_lease(name, first, 30.0),
        lambda: store.mark_succeeded(name, first, FILES),
        lambda: store.mark_failed(name, first, GONE),
    ):
        with pytest.raises(InvalidTransition):
            report()


def test_the_job_fails_after_the_last_attempt(store: JobStore) -> None:
    create(store)
    for _ in range(3):
        name, attempt = start(store)
        job = store.mark_lost(name, attempt, GONE)
    assert (job.state, job.attempt, job.failure) == (JobState.FAILED, 3, GONE)


def test_requeueing_costs_no_attempt(store: JobStore) -> None:
    create(store)
    name, attempt = start(store)
    store.record_progress(name, attempt, Progress(fraction=0.5))
    job = store.requeue(name, attempt)
    assert (job.state, job.attempt, job.progress) == (JobState.QUEUED, 0, Progress())


def test_expired_leases_requeue_their_jobs(store: JobStore, clock: Clock) -> None:
    create(store)
    name, attempt = start(store)
    clock.now += 29
    assert store.requeue_expired(GONE) == []
    store.renew_lease(name, attempt, 30.0)
    clock.now += 29
    assert store.requeue_expired(GONE) == []
    clock.now += 2
    assert [job.state for job in store.requeue_expired(GONE)] == [JobState.QUEUED]
    start(store)
    store.expire_all_leases()
    assert [job.id for job in store.requeue_expired(GONE)] == [name]


def test_a_clock_that_jumps_takes_no_job_away(database: Path | str) -> None:
    clock, lease_clock = Clock(), Clock()
    engine = open_database(database)
    store = JobStore(engine, clock=clock, lease_clock=lease_clock)
    create(store)
    name, attempt = start(store)
    for jump in (1e9, -2e9):
        clock.now += jump
        assert store.requeue_expired(GONE, 30.0) == []
    ended = store.mark_succeeded(name, attempt, FILES)
    assert ended.started is not None
    assert ended.finished == ended.started > clock.now
    engine.dispose()


def test_a_lease_of_before_the_machine_started_has_expired(store: JobStore, clock: Clock) -> None:
    create(store)
    name, _ = start(store)
    assert store.requeue_expired(GONE, 30.0) == []
    clock.now = -3700.0
    assert [job.id for job in store.requeue_expired(GONE, 30.0)] == [name]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_servers_may_grant_leases_of_different_lengths(database: str) -> None:
    store = JobStore(open_database(database))
    create(store)
    assert store.claim("one", 600.0) is not None
    assert store.requeue_expired(GONE, 30.0) == []
    store.close()


def test_cancel_of_queued_and_running_jobs(store: JobStore) -> None:
    first, second = create(store, "r1"), create(store, "r2")
    name, attempt = start(store)
    assert store.cancel(second).state is JobState.CANCELLED
    assert store.cancel(first).state is JobState.CANCELLING
    revision = store.get(first).revision
    assert store.cancel(first).revision == revision
    assert store.mark_stopped(name, attempt).state is JobState.CANCELLED
    assert store.cancel(first).state is JobState.CANCELLED


def test_a_lost_worker_ends_a_cancelled_job(store: JobStore) -> None:
    create(store)
    name, attempt = start(store)
    store.cancel(name)
    assert store.mark_lost(name, attempt, GONE).state is JobState.CANCELLED


def test_only_an_ended_job_can_be_deleted(store: JobStore) -> None:
    name = create(store)
    with pytest.raises(JobBusy):
        store.delete(name)
    start(store)
    store.mark_succeeded(name, 1, FILES)
    store.delete(name)
    assert store.list_ids() == set()
    assert store.list_artifacts(name, start=0, size=9) == []
    with pytest.raises(JobNotFound):
        store.get(name)


def test_pages_list_the_newest_jobs_first(store: JobStore) -> None:
    names = [create(store, f"r{k}") for k in range(5)]
    create(store, "r9", owner="bert")
    seen: list[str] = []
    before = None
    while True:
        page = store.list_page("anna", size=2, before=before)
        if not page:
            break
        seen += [job.id for _, job in page]
        before = page[-1][0]
    assert seen == names[::-1]
    start(store)
    running = store.list_page("anna", size=9, states=[JobState.RUNNING])
    assert [job.id for _, job in running] == names[:1]


def test_models_are_saved_in_order(store: JobStore) -> None:
    assert store.list_models() == ()
    store.save_models([MODEL, replace(MODEL, name="wan")])
    store.save_models([replace(MODEL, name="wan"), MODEL])
    assert [model.name for model in store.list_models()] == ["wan", "mini"]
    assert store.list_models()[1] == MODEL


def finish_job(store: JobStore, request_id: str, untrusted: Sequence[str] = ()) -> str:
    create(store, request_id)
    job, attempt = start(store)
    store.mark_succeeded(job, attempt, FILES, untrusted=untrusted)
    return job


def test_a_file_that_one_job_trusts_is_trusted(store: JobStore) -> None:
    sha256 = FILES[1].sha256
    trusting = finish_job(store, "r1")
    finish_job(store, "r2", untrusted=[sha256])
    (found,) = store.find_by_hash("anna", [sha256])
    assert (found.job_id, found.untrusted) == (trusting, False)
    store.delete(trusting)
    (found,) = store.find_by_hash("anna", [sha256])
    assert found.untrusted


def test_the_sum_of_all_files_is_kept(store: JobStore) -> None:
    first, second = finish_job(store, "r1"), finish_job(store, "r2")
    assert store.used_bytes() == 3
    store.delete(first)
    assert store.used_bytes() == 3
    store.delete(second)
    assert store.used_bytes() == 0


DAMAGE = {
    "a spec that is no JSON": "spec = '{'",
    "a spec of another kind": "spec = '[]'",
    "a kind that there is not": "kind = 'SONG'",
    "a state that there is not": "state = 'HAPPY'",
    "progress of another kind": "progress = '{\"stage\": 3}'",
    "no progress": "progress = 'null'",
    "a failure of another kind": "failure = '[1]'",
    "a text for a number": "revision = 'many'",
    "a negative number": "attempt = -5",
    "a time after all times": "created = 1e300",
    "a priority that there is not": "priority = 'first'",
    "work that cannot be counted": "work_amount = 'much', spec = '['",
    "text that is not UTF-8": "source = CAST(x'ff' AS TEXT), spec = CAST(x'ff' AS TEXT)",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_one_damaged_row_hides_nothing_else(store: JobStore, tmp_path: Path, damage: str) -> None:
    jobs = [create(store, f"r{k}") for k in range(3)]
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as connection, connection:
        connection.execute(f"UPDATE jobs SET {damage} WHERE id = ?", [jobs[0]])  # noqa: S608
    page = [job for _, job in store.list_page("anna", size=10)]
    assert [job.id for job in page] == jobs[::-1]
    assert (page[2].state, page[2].failure) == (JobState.FAILED, DAMAGED_FAILURE)
    assert [start(store)[0] for _ in jobs[1:]] == jobs[1:]
    assert store.claim("gpu", 30.0) is None
    store.requeue_expired(GONE)
    store.delete(jobs[0])
    with pytest.raises(JobNotFound):
        store.get(jobs[0])
