"""Conversion between messages and data: only this file of the client knows the messages.

What a server says is made plain text here, for terminals and for the interfaces of hosts. Requests
keep their exact words, since they may be sent again.

Specs and models, which both sides convert, are in ``layert2v.wire``.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import grpc

from layert2v.plain_text import plain_line, plain_text
from layert2v.priorities import PRIORITIES
from layert2v.spec import FieldViolation, GenerateSpec, ModelInfo
from layert2v.v1 import artifacts_pb2, errors_pb2, jobs_pb2, server_pb2
from layert2v.wire import (
    ERROR_TRAILER,
    decompose_from_message,
    model_from_message,
    refine_from_message,
    rerender_from_message,
    spec_from_message,
    spec_to_message,
)
from layert2v_client.errors import (
    AccessDenied,
    ClientError,
    InvalidRequest,
    NotFound,
    NotPossible,
    ServerBusy,
    ServerFault,
    ServerUnavailable,
    TransferFailed,
)
from layert2v_client.types import (
    Account,
    Artifact,
    Device,
    ErrorInfo,
    JobState,
    JobStatus,
    Preview,
    Progress,
    ServerInfo,
    Update,
)

_STATES = {
    jobs_pb2.JOB_STATE_QUEUED: JobState.queued,
    jobs_pb2.JOB_STATE_RUNNING: JobState.running,
    jobs_pb2.JOB_STATE_CANCELLING: JobState.cancelling,
    jobs_pb2.JOB_STATE_SUCCEEDED: JobState.succeeded,
    jobs_pb2.JOB_STATE_FAILED: JobState.failed,
    jobs_pb2.JOB_STATE_CANCELLED: JobState.cancelled,
}
_PRIORITIES = dict(
    zip(
        (
            jobs_pb2.JOB_PRIORITY_LOW,
            jobs_pb2.JOB_PRIORITY_NORMAL,
            jobs_pb2.JOB_PRIORITY_HIGH,
            jobs_pb2.JOB_PRIORITY_URGENT,
        ),
        PRIORITIES,
    )
)
_NUMBERS = {state: number for number, state in _STATES.items()}

_ERRORS: dict[Any, type[ClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: NotPossible,
    grpc.StatusCode.ABORTED: NotPossible,
    grpc.StatusCode.ALREADY_EXISTS: NotPossible,
    grpc.StatusCode.UNAUTHENTICATED: AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: AccessDenied,
    grpc.StatusCode.DATA_LOSS: TransferFailed,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ServerBusy,
    grpc.StatusCode.UNAVAILABLE: ServerUnavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: ServerUnavailable,
    grpc.StatusCode.CANCELLED: ServerUnavailable,  # a server that ends calls off what is open
}
# For an answer without ErrorDetail: it comes from gRPC itself, not from a LayerT2V server.
_PLAIN = {
    ServerUnavailable: (
        "SERVER_UNAVAILABLE",
        "The server does not answer.",
        "Check its address, that it runs, and whether it expects TLS.",
    ),
    AccessDenied: (
        "ACCESS_DENIED",
        "The server did not accept the token.",
        "Give the token with --token or in LAYERT2V_TOKEN.",
    ),
}


def create_request(spec: GenerateSpec, request_id: uuid.UUID) -> jobs_pb2.CreateJobRequest:
    """Return the message that submits a job.

    Raises ``InvalidRequest`` if it cannot hold ``spec``.
    """
    try:
        message = spec_to_message(spec)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(
            "SPEC_INVALID",
            f"The request holds a number that is too large or text that is not Unicode: {error}.",
        ) from error
    return jobs_pb2.CreateJobRequest(request_id=str(request_id), spec=message)


def priority_to_number(priority: str) -> jobs_pb2.JobPriority:
    """Return the number of a priority in messages. Raises ``InvalidRequest``."""
    for number, name in _PRIORITIES.items():
        if name == priority:
            return number
    raise InvalidRequest(
        "PRIORITY_UNKNOWN",
        f"{priority!r} is no priority.",
        f"Use one of {', '.join(PRIORITIES)}.",
    )


def state_to_number(state: JobState) -> jobs_pb2.JobState:
    """Return the number of a state in messages."""
    return _NUMBERS[state]


def status_from_message(message: jobs_pb2.Job) -> JobStatus:
    """Return a job at one revision."""
    return JobStatus(
        name=message.name,
        state=_STATES.get(message.state, JobState.unknown),
        revision=message.revision,
        spec=spec_from_message(message.spec),
        rerender=rerender_from_message(message.rerender) if message.HasField("rerender") else None,
        decompose=decompose_from_message(message.decompose)
        if message.HasField("decompose")
        else None,
        refine=refine_from_message(message.refine) if message.HasField("refine") else None,
        source=message.source,
        progress=_progress(message.progress) if message.HasField("progress") else None,
        queue_position=message.queue_position if message.HasField("queue_position") else None,
        error=_error_info(message.error) if message.HasField("error") else None,
        attempt=message.attempt,
        max_attempts=message.max_attempts,
        created=_time(message, "create_time"),
        started=_time(message, "start_time"),
        ended=_time(message, "end_time"),
        artifact_count=message.artifact_count,
        artifact_bytes=message.artifact_bytes,
        local_path=message.local_path,
        owner=plain_line(message.owner),
        priority=_PRIORITIES.get(message.priority, "normal"),
        start_eta_s=message.start_eta_s if message.HasField("start_eta_s") else None,
        is_quarantined=message.quarantined,
    )


def update_from_message(message: jobs_pb2.JobUpdate) -> Update:
    """Return one message of a watch."""
    preview = None
    if message.HasField("preview"):
        preview = Preview(message.preview.media_type, message.preview.data)
    return Update(status_from_message(message.job), preview)


def artifact_from_message(message: artifacts_pb2.Artifact) -> Artifact:
    """Return one file of a job."""
    return Artifact(
        name=message.name,
        path=message.path,
        size_bytes=message.size_bytes,
        sha256=message.sha256,
        media_type=message.media_type,
    )


def info_from_message(message: server_pb2.ServerInfo) -> ServerInfo:
    """Return the server's version, models, limits and devices."""
    return ServerInfo(
        version=plain_line(message.version),
        models=tuple(_model(model) for model in message.models),
        capabilities=tuple(message.capabilities),
        max_open_jobs=message.limits.max_open_jobs,
        max_upload_bytes=message.limits.max_upload_bytes,
        used_bytes=message.storage.used_bytes,
        free_bytes=message.storage.free_bytes,
        devices=tuple(
            Device(plain_line(device.name), device.memory_bytes, device.ready)
            for device in message.devices
        ),
        storage_problem=plain_line(message.storage.problem),
        account=_account(message.account) if message.HasField("account") else None,
    )


def _account(message: server_pb2.Account) -> Account:
    known = [number for number in message.priorities if number in _PRIORITIES]
    return Account(
        user=plain_line(message.user),
        used_bytes=message.used_bytes,
        max_bytes=message.max_bytes,
        open_jobs=message.open_jobs,
        queued_jobs=message.queued_jobs,
        max_open_jobs=message.max_open_jobs,
        priorities=tuple(_PRIORITIES[number] for number in known),
    )


def error_from_rpc(rpc_error: Any) -> ClientError:
    """Return the client's error for a failed call.

    ``rpc_error`` is a ``grpc.RpcError`` that is also a ``grpc.Call``.
    """
    kind = _ERRORS.get(rpc_error.code(), ServerFault)
    detail = _detail(rpc_error)
    if detail is None:
        plain = (
            f"GRPC_{rpc_error.code().name}",
            f"The server answered {rpc_error.code().name}: "
            f"{plain_line(rpc_error.details() or 'no details')}.",
            "",
        )
        return kind(*_PLAIN.get(kind, plain))
    detail.message, detail.hint = plain_text(detail.message), plain_text(detail.hint)
    if kind is InvalidRequest:
        violations = _violations(detail.violations)
        return InvalidRequest(detail.reason, detail.message, detail.hint, violations)
    if kind is ServerBusy:
        wait_s = detail.retry_after_s if detail.HasField("retry_after_s") else None
        return ServerBusy(detail.reason, detail.message, detail.hint, wait_s)
    return kind(detail.reason, detail.message, detail.hint)


def _detail(rpc_error: Any) -> errors_pb2.ErrorDetail | None:
    for key, value in rpc_error.trailing_metadata() or ():
        if key == ERROR_TRAILER:
            return errors_pb2.ErrorDetail.FromString(value)
    return None


def _model(message: server_pb2.Model) -> ModelInfo:
    """Return a model as hosts show it: its words, and those of its vocabulary, in plain text."""
    model = model_from_message(message)
    vocabulary = {
        plain_line(kind): tuple(plain_line(word) for word in words)
        for kind, words in model.vocabulary.items()
    }
    return replace(model, title=plain_line(model.title), vocabulary=vocabulary)


def _progress(message: jobs_pb2.Progress) -> Progress:
    return Progress(
        stage=plain_line(message.stage),
        done=message.done,
        total=message.total,
        fraction=message.fraction,
        eta_s=message.eta_s if message.HasField("eta_s") else None,
        message=plain_text(message.message),
    )


def _error_info(message: errors_pb2.ErrorDetail) -> ErrorInfo:
    text, hint = plain_text(message.message), plain_text(message.hint)
    return ErrorInfo(message.reason, text, hint, _violations(message.violations))


def _violations(messages: Any) -> tuple[FieldViolation, ...]:
    return tuple(
        FieldViolation(plain_line(message.field), plain_text(message.message))
        for message in messages
    )


def _time(message: jobs_pb2.Job, field: str) -> datetime | None:
    if not message.HasField(field):
        return None
    moment: datetime = getattr(message, field).ToDatetime(tzinfo=timezone.utc)
    return moment
