"""Messages between the server and a worker, as lines of JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layert2v_server.worker.messages import (
    CancelJob,
    Failed,
    Heartbeat,
    Message,
    ProgressReport,
    RunJob,
    decode,
    encode,
)

TEXT = st.text(max_size=20)


COUNT = st.integers(0, 10**6)


PROGRESS = st.builds(
    ProgressReport,
    job=TEXT,
    stage=TEXT,
    done=COUNT,
    total=COUNT,
    message=TEXT,
    fraction=st.floats(0, 1),
    eta_s=st.none() | st.floats(0, 1e6),
    preview=st.booleans(),
)


RUN = st.builds(
    RunJob,
    job=TEXT,
    job_kind=TEXT,
    spec=st.dictionaries(TEXT, COUNT | TEXT),
    folder=TEXT,
    source=TEXT,
    preview=TEXT,
)


FAILED = st.builds(
    Failed, job=TEXT, reason=TEXT, message=TEXT, hint=TEXT, worker_exits=st.booleans()
)


@given(PROGRESS | RUN | FAILED | st.builds(CancelJob, job=TEXT) | st.builds(Heartbeat, job=TEXT))
def test_messages_round_trip(message: Message) -> None:
    line = encode(message)
    assert line.count(b"\n") == 1
    assert decode(line) == message


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b"[]", b'"RunJob"', b'{"kind":"RunJob"}', b'{"kind":"Quit","job":"x"}', b"\xff\n"],
)
def test_other_lines_are_refused(line: bytes) -> None:
    with pytest.raises(ValueError):
        decode(line)
