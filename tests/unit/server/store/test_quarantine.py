"""Jobs whose workers died: counted deaths, quarantine and release, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from layert2v.spec import GenerateSpec
from layert2v_server.domain.job import Failure
from layert2v_server.domain.state import JobState
from layert2v_server.errors import JobNotFound, NotQuarantined
from layert2v_server.store.database import open_database
from layert2v_server.store.jobs import JobStore

SPEC = GenerateSpec(prompt="a fox", seed=7)
GONE = Failure(reason="WORKER_CRASHED", message="The worker is gone.")
POISON = Failure(reason="QUARANTINED", message="Its workers died.", hint="Release it.")


@pytest.fixture
def store(database: Path | str) -> Iterator[JobStore]:
    engine = open_database(database)
    yield JobStore(engine, max_attempts=3, clock=lambda: 1000.0, lease_clock=lambda: 50.0)
    engine.dispose()


def create(store: JobStore, request_id: str = "r1") -> str:
    return store.create("anna", request_id, SPEC, SPEC).id


def start(store: JobStore) -> tuple[str, int]:
    job = store.claim("gpu", 30.0)
    assert job is not None
    return job.id, job.attempt


def quarantine(store: JobStore) -> str:
    for _ in range(2):
        job = store.record_death(*start(store), GONE, POISON)
    assert job.is_quarantined
    return job.id


def test_two_deaths_and_the_job_is_in_quarantine(store: JobStore) -> None:
    create(store)
    first = store.record_death(*start(store), GONE, POISON)
    assert (first.state, first.deaths, first.failure) == (JobState.QUEUED, 1, None)
    second = store.record_death(*start(store), GONE, POISON)
    assert (second.state, second.deaths, second.failure) == (JobState.FAILED, 2, POISON)
    assert (second.is_quarantined, second.can_run_again, second.attempt) == (True, True, 2)
    assert [job.id for job in store.list_quarantined()] == [second.id]
    assert store.quarantined_ids() == {second.id}
    assert store.count_quarantined() == 1


def test_other_losses_are_no_deaths(store: JobStore) -> None:
    create(store)
    store.record_death(*start(store), GONE, POISON)
    store.requeue(*start(store))  # as a server drains
    store.mark_lost(*start(store), GONE)  # as a node is lost
    job = store.mark_lost(*start(store), GONE)
    assert (job.state, job.failure, job.deaths) == (JobState.FAILED, GONE, 1)
    assert not job.is_quarantined
    assert store.list_quarantined() == []


def test_a_death_that_is_noticed_after_the_lease_counts(store: JobStore) -> None:
    create(store)
    for _ in range(2):
        run = start(store)
        store.expire_all_leases()
        assert [job.state for job in store.requeue_expired(GONE)] == [JobState.QUEUED]
        job = store.record_death(*run, GONE, POISON)
    assert (job.state, job.is_quarantined) == (JobState.FAILED, True)
    assert store.claim("gpu", 30.0) is None


def test_a_death_does_not_stop_an_attempt_that_runs_already(store: JobStore) -> None:
    create(store)
    store.record_death(*start(store), GONE, POISON)
    lost = start(store)
    store.expire_all_leases()
    store.requeue_expired(GONE)
    name, attempt = start(store)
    job = store.record_death(*lost, GONE, POISON)
    assert (job.state, job.attempt, job.deaths) == (JobState.RUNNING, attempt, 2)
    assert store.mark_succeeded(name, attempt, []).state is JobState.SUCCEEDED


def test_a_cancelled_job_is_cancelled_by_the_death_of_its_worker(store: JobStore) -> None:
    create(store)
    store.record_death(*start(store), GONE, POISON)
    name, attempt = start(store)
    store.cancel(name)
    assert store.record_death(name, attempt, GONE, POISON).state is JobState.CANCELLED
    assert store.record_death(name, attempt, GONE, POISON).state is JobState.CANCELLED


def test_a_released_job_begins_anew(store: JobStore) -> None:
    create(store)
    name = quarantine(store)
    revision = store.get(name).revision
    job = store.release(name)
    assert (job.state, job.deaths, job.failure, job.finished) == (JobState.QUEUED, 0, None, None)
    assert job.revision > revision
    assert (job.is_quarantined, store.get(name).queue_position) == (False, 0)
    for attempt in (3, 4, 5):  # as many as a new one has
        assert start(store) == (name, attempt)
        job = store.mark_lost(name, attempt, GONE)
    assert (job.state, job.failure) == (JobState.FAILED, GONE)


def test_only_jobs_in_quarantine_are_released(store: JobStore) -> None:
    name = create(store)
    with pytest.raises(NotQuarantined):
        store.release(name)
    store.mark_failed(*start(store), GONE)
    with pytest.raises(NotQuarantined):
        store.release(name)
    with pytest.raises(JobNotFound):
        store.release("0" * 32)


def test_a_page_of_those_in_quarantine(store: JobStore) -> None:
    create(store)
    name = quarantine(store)
    create(store, "r2")
    assert [job.id for _, job in store.list_page("anna", size=9, quarantined_only=True)] == [name]
    assert len(store.list_page("anna", size=9)) == 2
