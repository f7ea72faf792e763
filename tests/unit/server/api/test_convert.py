"""Jobs, files and names as messages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from layert2v.spec import GenerateSpec
from layert2v.stack import FileRecord
from layert2v.v1 import jobs_pb2
from layert2v.wire import spec_from_message
from layert2v_server.api.convert import (
    PRIORITY_NUMBERS,
    STATE_NUMBERS,
    artifact_to_message,
    clamp_page_size,
    job_to_message,
    parse_artifact_name,
    parse_job_name,
    parse_page_token,
    priority_from_message,
    states_from_message,
)
from layert2v_server.domain.job import Failure, Job, Progress
from layert2v_server.domain.queue_order import Priority
from layert2v_server.domain.state import JobState
from layert2v_server.errors import ArtifactNotFound, InvalidArgument, JobNotFound

JOB = Job(
    id="abc",
    owner="anna",
    spec=GenerateSpec(prompt="a fox", seed=0, guidance=0.0),
    state=JobState.FAILED,
    revision=9,
    attempt=2,
    queue_position=None,
    created=1000.25,
    started=None,
    finished=1001.5,
    worker="gpu",
    lease_until=0.0,
    progress=Progress(stage="decode", done=1, total=2, fraction=0.5, eta_s=0.0),
    preview_revision=0,
    failure=Failure(reason="DISK_FULL", message="Full.", hint="Free some."),
    artifact_count=0,
    artifact_bytes=0,
)


def test_a_job_as_message() -> None:
    message = job_to_message(JOB, max_attempts=3)
    assert (message.name, message.state, message.revision) == (
        "jobs/abc",
        STATE_NUMBERS[JobState.FAILED],
        9,
    )
    assert spec_from_message(message.spec) == JOB.spec
    assert (message.error.reason, message.error.hint) == ("DISK_FULL", "Free some.")
    assert message.create_time.ToDatetime().timestamp() % 1 == 0.25
    assert not message.HasField("start_time")
    assert not message.HasField("queue_position")
    assert message.progress.HasField("eta_s")


def test_every_state_has_a_number() -> None:
    assert set(STATE_NUMBERS) == set(JobState)


def test_priorities_and_their_numbers() -> None:
    for priority, number in PRIORITY_NUMBERS.items():
        assert job_to_message(replace(JOB, priority=priority), max_attempts=3).priority == number
        assert priority_from_message(jobs_pb2.CreateJobRequest(priority=number)) is priority
    assert set(PRIORITY_NUMBERS) == set(Priority)
    assert priority_from_message(jobs_pb2.CreateJobRequest()) is Priority.NORMAL
    with pytest.raises(InvalidArgument):
        priority_from_message(jobs_pb2.CreateJobRequest(priority=99))
    assert set(STATE_NUMBERS.values()) == set(jobs_pb2.JobState.values()) - {0}


def test_artifact_names_hold_no_path() -> None:
    file = FileRecord(path="bg/v001/bg_v001.1001.exr", size_bytes=5, sha256="0" * 64)
    message = artifact_to_message("abc", 12, file)
    assert (message.name, message.media_type) == ("jobs/abc/artifacts/12", "image/x-exr")
    assert parse_artifact_name(message.name) == ("abc", 12)


@pytest.mark.parametrize("name", ["", "jobs", "jobs/", "abc", "jobs/a/b", "uploads/abc"])
def test_malformed_job_names_are_not_found(name: str) -> None:
    with pytest.raises(JobNotFound):
        parse_job_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "jobs/a/artifacts/",
        "jobs/a/artifacts/-1",
        "jobs/a/artifacts/9999999999",
        "jobs/a/artifacts/\N{ARABIC-INDIC DIGIT THREE}",
        "jobs/a/artifacts/\N{SUPERSCRIPT TWO}",
        "x/1",
    ],
)
def test_malformed_artifact_names_are_not_found(name: str) -> None:
    with pytest.raises(ArtifactNotFound):
        parse_artifact_name(name)


def test_page_sizes_and_tokens() -> None:
    assert [clamp_page_size(wanted, default=50, maximum=500) for wanted in (0, 7, 9999)] == [
        50,
        7,
        500,
    ]
    assert [parse_page_token(token) for token in ("", "12")] == [None, 12]
    odd = ("\N{ARABIC-INDIC DIGIT THREE}", "\N{SUPERSCRIPT TWO}", "1_0", " 1", "+1", "1\n", "1.0")
    for wrong in ("x", "-1", "9" * 30, *odd):
        with pytest.raises(InvalidArgument):
            parse_page_token(wrong)
    with pytest.raises(InvalidArgument):
        clamp_page_size(-1, default=50, maximum=500)
    with pytest.raises(InvalidArgument):
        states_from_message(jobs_pb2.ListJobsRequest(states=[0]))
