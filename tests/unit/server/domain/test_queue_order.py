"""The order of the queue: nobody starves, priorities hold, times add up."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from layert2v_server.domain.queue_order import (
    Place,
    Priority,
    QueuedJob,
    find_places,
    order_queue,
)


def queued_job(
    owner: str, sequence: int, priority: int = Priority.NORMAL, duration_s: float | None = 10.0
) -> QueuedJob:
    return QueuedJob(
        id=f"{owner}{sequence}",
        owner=owner,
        priority=priority,
        sequence=sequence,
        duration_s=duration_s,
    )


def names(jobs: Sequence[QueuedJob]) -> list[str]:
    return [job.id for job in jobs]


def test_one_job_waits_for_one_job_of_each_other_user() -> None:
    jobs = [queued_job("a", k) for k in range(1000)] + [
        queued_job("b", 1000),
        queued_job("c", 1001),
    ]
    assert names(order_queue(jobs, {}, {}))[:4] == ["a0", "b1000", "c1001", "a1"]
    assert names(order_queue(jobs, {"a": 1}, {}))[:3] == ["b1000", "c1001", "a0"]


def test_on_one_device_users_take_turns() -> None:
    jobs = [queued_job("a", k) for k in range(3)] + [queued_job("b", k) for k in range(3, 6)]
    last_start: dict[str, float] = {}
    served = []
    for now in range(1, 7):
        first = order_queue(jobs, {}, last_start)[0]
        jobs.remove(first)
        last_start[first.owner] = float(now)
        served.append(first.owner)
    assert served == ["a", "b"] * 3


def test_priorities_are_for_the_users_own_jobs() -> None:
    jobs = [
        queued_job("a", 0),
        queued_job("a", 1, Priority.HIGH),
        queued_job("b", 2),
        queued_job("a", 3, Priority.LOW),
    ]
    assert names(order_queue(jobs, {}, {})) == ["a1", "b2", "a0", "a3"]


def test_urgent_jobs_go_before_everybody() -> None:
    jobs = [
        queued_job("a", 0),
        queued_job("b", 1, Priority.URGENT),
        queued_job("a", 2, Priority.URGENT),
    ]
    assert names(order_queue(jobs, {"b": 9}, {})) == ["b1", "a2", "a0"]


def test_times_follow_from_what_runs_and_how_long_jobs_take() -> None:
    jobs = [queued_job("a", 0), queued_job("b", 1), queued_job("c", 2)]
    assert find_places(jobs, [4.0, 7.0]) == {
        "a0": Place(position=0, start_s=4.0),
        "b1": Place(position=1, start_s=7.0),
        "c2": Place(position=2, start_s=14.0),
    }


def test_behind_an_unknown_duration_no_time_is_known() -> None:
    jobs = [queued_job("a", 0, duration_s=None), queued_job("b", 1)]
    assert [place.start_s for place in find_places(jobs, [3.0]).values()] == [3.0, None]
    assert [place.start_s for place in find_places(jobs, [None]).values()] == [None, None]
    assert [place.position for place in find_places(jobs, []).values()] == [0, 1]


JOBS = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(list(Priority))), max_size=20
).map(lambda rows: [queued_job(owner, k, priority) for k, (owner, priority) in enumerate(rows)])


@given(JOBS)
def test_the_order_has_every_job_once_and_the_users_own_order(jobs: list[QueuedJob]) -> None:
    ordered = order_queue(jobs, {}, {})
    assert sorted(names(ordered)) == sorted(names(jobs))
    for owner in "abc":
        own = [job for job in ordered if job.owner == owner]
        assert own == sorted(own, key=lambda job: (-job.priority, job.sequence))
