"""Messages to data: nothing is lost, and every failed call becomes the right error."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given

from fakes.sample_documents import statuses
from layert2v.spec import FieldViolation, GenerateSpec
from layert2v.v1 import artifacts_pb2, errors_pb2, jobs_pb2, server_pb2
from layert2v.wire import ERROR_TRAILER, spec_to_message
from layert2v_client import convert, errors
from layert2v_client.types import Account, Artifact, Device, JobState, JobStatus


def moment(value: datetime | None) -> Timestamp | None:
    if value is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp


def message_of(status: JobStatus) -> jobs_pb2.Job:
    """Return what a server would send for a status."""
    p, e = status.progress, status.error
    return jobs_pb2.Job(
        name=status.name,
        state=f"JOB_STATE_{status.state.name.upper()}" if status.state != "unknown" else 99,
        revision=status.revision,
        spec=spec_to_message(status.spec),
        progress=None if p is None else jobs_pb2.Progress(**vars(p)),
        queue_position=status.queue_position,
        error=None if e is None else detail(e.reason, e.message, e.hint, e.violations),
        attempt=status.attempt,
        max_attempts=status.max_attempts,
        create_time=moment(status.created),
        start_time=moment(status.started),
        end_time=moment(status.ended),
        artifact_count=status.artifact_count,
        artifact_bytes=status.artifact_bytes,
        local_path=status.local_path,
        owner=status.owner,
        priority=f"JOB_PRIORITY_{status.priority.upper()}",
        start_eta_s=status.start_eta_s,
    )


def detail(
    reason: str, message: str, hint: str, violations: tuple[FieldViolation, ...] = ()
) -> errors_pb2.ErrorDetail:
    return errors_pb2.ErrorDetail(
        reason=reason,
        message=message,
        hint=hint,
        violations=[errors_pb2.FieldViolation(**vars(violation)) for violation in violations],
    )


@given(statuses)
def test_a_job_is_converted_without_loss(status: JobStatus) -> None:
    data = message_of(status).SerializeToString()
    assert convert.status_from_message(jobs_pb2.Job.FromString(data)) == status


def test_final_states() -> None:
    final = {state for state in JobState if state.is_final}
    assert final == {JobState.succeeded, JobState.failed, JobState.cancelled}


def test_an_artifact_and_a_server() -> None:
    message = artifacts_pb2.Artifact(name="n", path="p", size_bytes=3, sha256="s", media_type="m")
    assert convert.artifact_from_message(message) == Artifact("n", "p", 3, "s", "m")
    info = convert.info_from_message(
        server_pb2.ServerInfo(
            version="0.1.0",
            models=[server_pb2.Model(name="mini"), server_pb2.Model(name="wan")],
            storage=server_pb2.Storage(used_bytes=1, free_bytes=2),
            devices=[server_pb2.Device(name="cpu", ready=True)],
            account=server_pb2.Account(
                user="anna",
                used_bytes=3,
                max_bytes=9,
                open_jobs=2,
                queued_jobs=1,
                max_open_jobs=5,
                priorities=[jobs_pb2.JOB_PRIORITY_LOW, jobs_pb2.JOB_PRIORITY_NORMAL],
            ),
        )
    )
    assert info.account == Account("anna", 3, 9, 2, 1, 5, ("low", "normal"))
    assert convert.info_from_message(server_pb2.ServerInfo()).account is None  # of 0.1
    assert [model.name for model in info.models] == ["mini", "wan"]
    assert (info.used_bytes, info.free_bytes) == (1, 2)
    assert info.devices == (Device("cpu", 0, True),)


def test_what_a_server_says_is_plain_text() -> None:
    bad, good = "a\x1b[2J \u202eb\x9b", "a\ufffd[2J \ufffdb\ufffd"
    job = jobs_pb2.Job(
        owner=bad,
        spec=jobs_pb2.GenerateSpec(prompt=bad),
        progress=jobs_pb2.Progress(stage=bad, message=bad),
        error=detail("WHY", bad, bad, (FieldViolation("width", bad),)),
    )
    status = convert.status_from_message(job)
    assert status.spec.prompt == bad  # it may be sent again
    assert status.progress is not None
    assert status.error is not None
    texts = [status.owner, status.progress.stage, status.progress.message]
    texts += [status.error.message, status.error.hint, status.error.violations[0].message]
    info = convert.info_from_message(
        server_pb2.ServerInfo(
            version=bad,
            models=[server_pb2.Model(name="mini", title=bad)],
            devices=[server_pb2.Device(name=bad)],
        )
    )
    texts += [info.version, info.models[0].title, info.devices[0].name]
    failed = FailedCall(grpc.StatusCode.INTERNAL, detail("WHY", bad, bad))
    error = convert.error_from_rpc(failed)
    assert {*texts, error.message, error.hint} == {good}
    failed = FailedCall(grpc.StatusCode.INTERNAL, None)
    failed.details = lambda: bad  # type: ignore[method-assign]
    assert good in convert.error_from_rpc(failed).message


class FailedCall:
    """The face that gRPC gives a failed call."""

    def __init__(self, code: Any, trailer: errors_pb2.ErrorDetail | None) -> None:
        self._code = code
        self._trailer = trailer

    def code(self) -> Any:
        return self._code

    def details(self) -> str:
        return "some words"

    def trailing_metadata(self) -> Any:
        if self._trailer is None:
            return None
        return (("other", "x"), (ERROR_TRAILER, self._trailer.SerializeToString()))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, errors.InvalidRequest),
        (grpc.StatusCode.NOT_FOUND, errors.NotFound),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.NotPossible),
        (grpc.StatusCode.UNAUTHENTICATED, errors.AccessDenied),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.ServerBusy),
        (grpc.StatusCode.UNAVAILABLE, errors.ServerUnavailable),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.ServerUnavailable),
        (grpc.StatusCode.INTERNAL, errors.ServerFault),
        (grpc.StatusCode.UNIMPLEMENTED, errors.ServerFault),
    ],
)
def test_codes_become_errors_with_and_without_detail(
    code: Any, kind: type[errors.ClientError]
) -> None:
    result = convert.error_from_rpc(FailedCall(code, detail("WHY", "It is so.", "Do that.")))
    assert type(result) is kind
    assert (result.reason, result.message, result.hint) == ("WHY", "It is so.", "Do that.")
    bare = convert.error_from_rpc(FailedCall(code, None))
    assert type(bare) is kind
    assert bare.message.endswith(".")


def test_violations_and_waiting_times_are_kept() -> None:
    violation = FieldViolation("width", "Too wide.")
    trailer = detail("SPEC_INVALID", "No.", "", (violation,))
    error = convert.error_from_rpc(FailedCall(grpc.StatusCode.INVALID_ARGUMENT, trailer))
    assert isinstance(error, errors.InvalidRequest)
    assert error.violations == (violation,)
    busy = errors_pb2.ErrorDetail(reason="TOO_MANY_JOBS", retry_after_s=30)
    error = convert.error_from_rpc(FailedCall(grpc.StatusCode.RESOURCE_EXHAUSTED, busy))
    assert isinstance(error, errors.ServerBusy)
    assert error.retry_after_s == 30


@pytest.mark.parametrize("spec", [GenerateSpec("fox", width=2**40), GenerateSpec("fox \udce9")])
def test_specs_that_messages_cannot_hold_are_refused(spec: GenerateSpec) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        convert.create_request(spec, uuid.UUID(int=0))
    assert caught.value.reason == "SPEC_INVALID"
