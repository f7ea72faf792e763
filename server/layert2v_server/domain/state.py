"""The life of a job as one table of transitions. Knows neither the database nor the workers.

QUEUED --start--> RUNNING --succeed--> SUCCEEDED
  ^                | | |
  +----requeue-----+ | +--fail-------> FAILED   (from quarantine: --release--> QUEUED)
                   cancel
                     v
                 CANCELLING --stop---> CANCELLED
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from layert2v_server.errors import InvalidTransition


class JobState(StrEnum):
    """The state of a job."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class JobEvent(StrEnum):
    """What can happen to a job."""

    START = "START"  # a worker takes it
    REQUEUE = "REQUEUE"  # its worker is gone, or the server drains; it will run again
    SUCCEED = "SUCCEED"
    FAIL = "FAIL"
    CANCEL = "CANCEL"  # somebody asks for it to stop
    STOP = "STOP"  # the worker did stop
    RELEASE = "RELEASE"  # an operator sends it again from quarantine


TERMINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})

TRANSITIONS: Mapping[tuple[JobState, JobEvent], JobState] = MappingProxyType(
    {
        (JobState.QUEUED, JobEvent.START): JobState.RUNNING,
        (JobState.QUEUED, JobEvent.CANCEL): JobState.CANCELLED,
        # The death of its worker may be noticed after its lease has ended.
        (JobState.QUEUED, JobEvent.FAIL): JobState.FAILED,
        (JobState.RUNNING, JobEvent.REQUEUE): JobState.QUEUED,
        (JobState.RUNNING, JobEvent.SUCCEED): JobState.SUCCEEDED,
        (JobState.RUNNING, JobEvent.FAIL): JobState.FAILED,
        (JobState.RUNNING, JobEvent.CANCEL): JobState.CANCELLING,
        (JobState.CANCELLING, JobEvent.STOP): JobState.CANCELLED,
        (JobState.FAILED, JobEvent.RELEASE): JobState.QUEUED,
        # A cancelled job is not run again.
        (JobState.CANCELLING, JobEvent.REQUEUE): JobState.CANCELLED,
        # The worker may end before it reads the cancel; the result it reports is what counts.
        (JobState.CANCELLING, JobEvent.SUCCEED): JobState.SUCCEEDED,
        (JobState.CANCELLING, JobEvent.FAIL): JobState.FAILED,
        # Cancelling twice, or too late, changes nothing and is no error.
        (JobState.CANCELLING, JobEvent.CANCEL): JobState.CANCELLING,
        **{(state, JobEvent.CANCEL): state for state in TERMINAL_STATES},
    }
)


def next_state(state: JobState, event: JobEvent) -> JobState:
    """Return the state that ``event`` leads to.

    Raises ``InvalidTransition`` where the table has no entry.
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise InvalidTransition(f"A job that is {state} does not allow {event}.") from None
