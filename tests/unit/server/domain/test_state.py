"""The life of a job: the table says everything, and the table is right."""

from __future__ import annotations

import pytest

from layert2v_server.domain.state import TERMINAL, TRANSITIONS, State, Step, after
from layert2v_server.errors import InvalidTransition


def test_the_straight_way() -> None:
    assert after(State.QUEUED, Step.START) is State.RUNNING
    assert after(State.RUNNING, Step.SUCCEED) is State.SUCCEEDED


def test_an_ended_job_stays_as_it_is() -> None:
    leaving = {key: to for key, to in TRANSITIONS.items() if key[0] in TERMINAL}
    assert set(leaving) == {(state, Step.CANCEL) for state in TERMINAL}
    assert all(to is state for (state, _), to in leaving.items())


def test_cancelling_is_always_allowed() -> None:
    assert all((state, Step.CANCEL) in TRANSITIONS for state in State)


def test_a_job_that_nobody_wants_never_runs_again() -> None:
    reached = {State.CANCELLING}
    for _ in State:
        reached |= {to for (state, _), to in TRANSITIONS.items() if state in reached}
    assert reached == {State.CANCELLING, *TERMINAL}


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.CANCELLING])
def test_every_open_job_can_come_to_an_end(state: State) -> None:
    reached = {state}
    for _ in State:
        reached |= {to for (at, _), to in TRANSITIONS.items() if at in reached}
    assert reached & TERMINAL


@pytest.mark.parametrize(
    ("state", "step"),
    [(state, step) for state in State for step in Step if (state, step) not in TRANSITIONS],
)
def test_everything_else_is_refused(state: State, step: Step) -> None:
    with pytest.raises(InvalidTransition):
        after(state, step)
