"""The life of a job in one table. Knows neither the database nor the workers.

QUEUED --start--> RUNNING --succeed--> SUCCEEDED
  ^                | | |
  +----requeue-----+ | +--fail-------> FAILED
                   cancel
                     v
                 CANCELLING --stop---> CANCELLED
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from layert2v_server.errors import InvalidTransition


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Step(StrEnum):
    """What can happen to a job."""

    START = "START"  # a worker takes it
    REQUEUE = "REQUEUE"  # its worker is gone, or the server drains; it will run again
    SUCCEED = "SUCCEED"
    FAIL = "FAIL"
    CANCEL = "CANCEL"  # somebody asks for it to stop
    STOP = "STOP"  # the worker did stop


TERMINAL = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

TRANSITIONS: Mapping[tuple[State, Step], State] = MappingProxyType(
    {
        (State.QUEUED, Step.START): State.RUNNING,
        (State.QUEUED, Step.CANCEL): State.CANCELLED,
        (State.RUNNING, Step.REQUEUE): State.QUEUED,
        (State.RUNNING, Step.SUCCEED): State.SUCCEEDED,
        (State.RUNNING, Step.FAIL): State.FAILED,
        (State.RUNNING, Step.CANCEL): State.CANCELLING,
        (State.CANCELLING, Step.STOP): State.CANCELLED,
        (State.CANCELLING, Step.REQUEUE): State.CANCELLED,  # nobody wants it to run again
        # The worker may end by itself before it sees the wish; what happened is what is told.
        (State.CANCELLING, Step.SUCCEED): State.SUCCEEDED,
        (State.CANCELLING, Step.FAIL): State.FAILED,
        # Asking twice, or too late, changes nothing and is no mistake.
        (State.CANCELLING, Step.CANCEL): State.CANCELLING,
        **{(state, Step.CANCEL): state for state in TERMINAL},
    }
)


def after(state: State, step: Step) -> State:
    """The state that `step` leads to. Raises `InvalidTransition` where the table has no entry."""
    try:
        return TRANSITIONS[state, step]
    except KeyError:
        raise InvalidTransition(f"A job that is {state} does not allow {step}.") from None
