"""Transitions of a job, checked over the whole table."""

from __future__ import annotations

import pytest

from layert2v_server.domain.state import (
    TERMINAL_STATES,
    TRANSITIONS,
    JobEvent,
    JobState,
    next_state,
)
from layert2v_server.errors import InvalidTransition


def test_a_job_starts_and_succeeds() -> None:
    assert next_state(JobState.QUEUED, JobEvent.START) is JobState.RUNNING
    assert next_state(JobState.RUNNING, JobEvent.SUCCEED) is JobState.SUCCEEDED


def test_terminal_states_do_not_change() -> None:
    leaving = {key: to for key, to in TRANSITIONS.items() if key[0] in TERMINAL_STATES}
    released = (JobState.FAILED, JobEvent.RELEASE)  # the store allows it to jobs in quarantine
    assert leaving.pop(released) is JobState.QUEUED
    assert set(leaving) == {(state, JobEvent.CANCEL) for state in TERMINAL_STATES}
    assert all(to is state for (state, _), to in leaving.items())


def test_cancel_is_allowed_in_every_state() -> None:
    assert all((state, JobEvent.CANCEL) in TRANSITIONS for state in JobState)


def test_a_cancelled_job_never_runs_again() -> None:
    reached = {JobState.CANCELLING}
    for _ in JobState:
        reached |= {
            to
            for (state, event), to in TRANSITIONS.items()
            if state in reached and event is not JobEvent.RELEASE
        }
    assert reached == {JobState.CANCELLING, *TERMINAL_STATES}


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.CANCELLING])
def test_every_open_job_can_reach_a_terminal_state(state: JobState) -> None:
    reached = {state}
    for _ in JobState:
        reached |= {to for (at, _), to in TRANSITIONS.items() if at in reached}
    assert reached & TERMINAL_STATES


@pytest.mark.parametrize(
    ("state", "event"),
    [
        (state, event)
        for state in JobState
        for event in JobEvent
        if (state, event) not in TRANSITIONS
    ],
)
def test_other_events_raise_invalid_transition(state: JobState, event: JobEvent) -> None:
    with pytest.raises(InvalidTransition):
        next_state(state, event)
