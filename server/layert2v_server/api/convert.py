"""Convert jobs, requests, files and names from and to messages. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import PurePosixPath

from google.protobuf.timestamp_pb2 import Timestamp

from layert2v.decompose import DecomposeSpec, RefineSpec
from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v.stack import FileRecord
from layert2v.v1 import artifacts_pb2, errors_pb2, jobs_pb2
from layert2v.wire import (
    decompose_from_message,
    decompose_to_message,
    refine_from_message,
    refine_to_message,
    rerender_from_message,
    rerender_to_message,
    spec_from_message,
    spec_to_message,
)
from layert2v_server.domain.job import Job, Progress
from layert2v_server.domain.queue_order import Priority
from layert2v_server.domain.request import (
    DecomposeRequest,
    ImageSequence,
    JobRequest,
    JobSpec,
    JobStack,
    RefineRequest,
    RerenderRequest,
    Source,
    UploadedStack,
)
from layert2v_server.domain.state import JobState
from layert2v_server.errors import ArtifactNotFound, InvalidArgument, JobNotFound

MAX_JOB_BYTES = 512 << 10  # ten times what the limits of a request allow

STATE_NUMBERS = {
    JobState.QUEUED: jobs_pb2.JOB_STATE_QUEUED,
    JobState.RUNNING: jobs_pb2.JOB_STATE_RUNNING,
    JobState.CANCELLING: jobs_pb2.JOB_STATE_CANCELLING,
    JobState.SUCCEEDED: jobs_pb2.JOB_STATE_SUCCEEDED,
    JobState.FAILED: jobs_pb2.JOB_STATE_FAILED,
    JobState.CANCELLED: jobs_pb2.JOB_STATE_CANCELLED,
}
PRIORITY_NUMBERS = {
    Priority.LOW: jobs_pb2.JOB_PRIORITY_LOW,
    Priority.NORMAL: jobs_pb2.JOB_PRIORITY_NORMAL,
    Priority.HIGH: jobs_pb2.JOB_PRIORITY_HIGH,
    Priority.URGENT: jobs_pb2.JOB_PRIORITY_URGENT,
}
_PRIORITIES_BY_NUMBER = {number: priority for priority, number in PRIORITY_NUMBERS.items()}
_STATES_BY_NUMBER = {number: state for state, number in STATE_NUMBERS.items()}

MEDIA_TYPES = {
    ".exr": "image/x-exr",
    ".png": "image/png",
    ".mp4": "video/mp4",
    ".json": "application/json",
    ".html": "text/html",
}


def job_to_message(job: Job, *, max_attempts: int, local_path: str = "") -> jobs_pb2.Job:
    """Return a job as a message."""
    message = jobs_pb2.Job(
        name=f"jobs/{job.id}",
        state=STATE_NUMBERS[job.state],
        revision=job.revision,
        progress=_progress(job.progress),
        queue_position=job.queue_position,
        attempt=job.attempt,
        max_attempts=max_attempts + job.attempt_base,
        create_time=_time(job.created),
        start_time=_time(job.started),
        end_time=_time(job.finished),
        artifact_count=job.artifact_count,
        artifact_bytes=job.artifact_bytes,
        local_path=local_path,
        owner=job.owner,
        source=job.source,
        priority=PRIORITY_NUMBERS[job.priority],
        start_eta_s=job.start_eta_s,
        quarantined=job.is_quarantined,
    )
    _set_spec(message, job.spec)
    if message.ByteSize() > MAX_JOB_BYTES:  # many hints, or no limits then: the list must go on
        for field in ("spec", "rerender", "decompose"):
            message.ClearField(field)
    if job.failure is not None:
        failure = job.failure
        message.error.CopyFrom(
            errors_pb2.ErrorDetail(
                reason=failure.reason, message=failure.message, hint=failure.hint
            )
        )
    return message


def request_from_message(request: jobs_pb2.CreateJobRequest) -> JobRequest:
    """Return the request of a call. Raises ``InvalidArgument`` and ``JobNotFound``."""
    match request.WhichOneof("request"):
        case "rerender":
            rerender = request.rerender
            return RerenderRequest(
                spec=rerender_from_message(rerender.spec),
                source=_source(rerender, "A re-render"),
                inputs=_inputs(rerender),
            )
        case "decompose":
            decompose = request.decompose
            return DecomposeRequest(
                spec=decompose_from_message(decompose.spec), inputs=_inputs(decompose)
            )
        case "refine":
            refine = request.refine
            return RefineRequest(
                spec=refine_from_message(refine.spec),
                source=_source(refine, "A refinement"),
                inputs=_inputs(refine),
            )
    return spec_from_message(request.spec)


def _set_spec(message: jobs_pb2.Job, spec: JobSpec) -> None:
    match spec:
        case GenerateSpec():
            message.kind = jobs_pb2.JOB_KIND_GENERATE
            message.spec.CopyFrom(spec_to_message(spec))
        case RerenderSpec():
            message.kind = jobs_pb2.JOB_KIND_RERENDER
            message.rerender.CopyFrom(rerender_to_message(spec))
        case DecomposeSpec():
            message.kind = jobs_pb2.JOB_KIND_DECOMPOSE
            message.decompose.CopyFrom(decompose_to_message(spec))
        case RefineSpec():
            message.kind = jobs_pb2.JOB_KIND_REFINE
            message.refine.CopyFrom(refine_to_message(spec))


def _source(change: jobs_pb2.RerenderRequest | jobs_pb2.RefineRequest, what: str) -> Source:
    if change.WhichOneof("source") is None:
        raise InvalidArgument(f"{what} starts from a job or from a manifest.")
    return _stack(change.job, change.manifest, change.state, _records(change.kept))


def _inputs(
    request: jobs_pb2.RerenderRequest | jobs_pb2.DecomposeRequest | jobs_pb2.RefineRequest,
) -> dict[str, Source | ImageSequence]:
    return {key: _input(key, files) for key, files in request.inputs.items()}


def _stack(job: str, manifest: str, state: str = "", kept: tuple[FileRecord, ...] = ()) -> Source:
    return (
        JobStack(id=parse_job_name(job))
        if job
        else UploadedStack(manifest=manifest, state=state, kept=kept)
    )


def _input(key: str, files: jobs_pb2.InputFiles) -> Source | ImageSequence:
    kind = files.WhichOneof("files")
    if kind is None:
        raise InvalidArgument(f"The input {key!r} has neither files nor a stack.")
    if kind != "list":
        return _stack(files.job, files.manifest)
    return ImageSequence(files=_records(files.list.files))


def _records(files: Iterable[jobs_pb2.InputFile]) -> tuple[FileRecord, ...]:
    return tuple(
        FileRecord(path=file.path, size_bytes=file.size_bytes, sha256=file.sha256) for file in files
    )


def states_from_message(request: jobs_pb2.ListJobsRequest) -> tuple[JobState, ...]:
    """Return the states in a request for a list. Raises ``InvalidArgument``."""
    try:
        return tuple(_STATES_BY_NUMBER[number] for number in request.states)
    except KeyError as error:
        raise InvalidArgument(f"There is no job state with the number {error.args[0]}.") from None


def priority_from_message(request: jobs_pb2.CreateJobRequest) -> Priority:
    """Return the priority of a request. Raises ``InvalidArgument``."""
    if request.priority == jobs_pb2.JOB_PRIORITY_UNSPECIFIED:
        return Priority.NORMAL
    try:
        return _PRIORITIES_BY_NUMBER[request.priority]
    except KeyError:
        message = f"There is no priority with the number {request.priority}."
        raise InvalidArgument(message) from None


def parse_job_name(name: str) -> str:
    """Return the id in a job's name. Raises ``JobNotFound``."""
    collection, _, identity = name.partition("/")
    if collection != "jobs" or not identity or "/" in identity:
        raise JobNotFound(name)
    return identity


def artifact_to_message(job: str, position: int, file: FileRecord) -> artifacts_pb2.Artifact:
    """Return one file of a job as a message, named by its number: no call takes a path."""
    suffix = PurePosixPath(file.path).suffix
    return artifacts_pb2.Artifact(
        name=f"jobs/{job}/artifacts/{position}",
        path=file.path,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        media_type=MEDIA_TYPES.get(suffix, "application/octet-stream"),
    )


def parse_artifact_name(name: str) -> tuple[str, int]:
    """Return the job id and the position in an artifact's name. Raises ``ArtifactNotFound``."""
    match name.split("/"):
        case ["jobs", job, "artifacts", position] if _is_number(position, max_digits=9):
            return job, int(position)
    raise ArtifactNotFound(name)


def clamp_page_size(requested: int, *, default: int, maximum: int) -> int:
    """Return the size of a page. Raises ``InvalidArgument`` for a negative one."""
    if requested < 0:
        raise InvalidArgument("The page size must not be negative.")
    return min(requested or default, maximum)


def parse_page_token(token: str) -> int | None:
    """Return the number in a page token, None for the first page. Raises ``InvalidArgument``."""
    if not token:
        return None
    if not _is_number(token, max_digits=18):
        raise InvalidArgument("This page token was not made by this server.")
    return int(token)


def _is_number(text: str, *, max_digits: int) -> bool:
    """Tell if a text is a number as this server writes it: ``int`` takes digits of any script."""
    return text.isascii() and text.isdecimal() and len(text) <= max_digits


def _progress(progress: Progress) -> jobs_pb2.Progress:
    return jobs_pb2.Progress(
        stage=progress.stage,
        done=progress.done,
        total=progress.total,
        fraction=progress.fraction,
        eta_s=progress.eta_s,
        message=progress.message,
    )


def _time(seconds: float | None) -> Timestamp | None:
    if seconds is None:
        return None
    whole = math.floor(seconds)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))
