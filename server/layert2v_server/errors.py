"""The errors of the server, as one tree.

ServerError
├── AccessDenied         the token is not known, or has expired
├── JobNotFound          no job of that name
├── ArtifactNotFound     the job has no artifact of that path
├── ArtifactDamaged      a stored file is not what it was
│   └── ObjectMissing    it is not in the bucket any more
├── JobBusy              the job must end before it can be deleted
├── InvalidTransition    a job in this state does not allow that event
├── RequestIdReused      the request id was used before for another request
├── TooManyJobs          one user has too many jobs open
├── QuotaExceeded        the files of one user take all that they may
├── TooManyCalls         one caller has too many calls of a kind open
├── TooManyRequests      one user calls more often than is allowed (carries when to come back)
├── PriorityRefused      a priority that the caller may not give
├── SpecRejected         a request outside the limits of its model (carries the field violations)
├── InvalidArgument      a malformed name, page token, offset or chunk
├── SourceNotFound       the stack that a re-render starts from is gone
├── InvalidSource        the source of a re-render is no usable stack
├── FilesMissing         files that a re-render needs are not here
├── ImageRefused         an uploaded image that may not be decoded
├── OffsetOutOfRange     a read or an upload outside the bytes of the file
├── ChecksumMismatch     the received bytes are not the bytes that were sent
├── TooSlow              a stream of which nothing was read or sent for too long
├── UploadBusy           another call is writing the same file
├── EngineNotReady       no worker has reported its models yet
├── DiskFull             the disk of the data folder is full
├── StorageFailed        the data folder or the database cannot be used at the moment
│   └── BucketFailed     the bucket of results and uploads cannot
├── WorkerLost           a worker process ended or fell silent in the middle of a job
│   └── WorkerDied       and by the job's doing, as far as anybody can tell
├── NotQuarantined       the job is not in quarantine, so that it cannot be released
├── ServerStopping       the server is shutting down
└── ConfigError          a setting that the server refuses to start with

Every error has a ``reason`` for programs (UPPER_SNAKE), a sentence for people and a hint that says
what to do. No message holds a path or a traceback of the server; those stay in its log.
"""

from __future__ import annotations

from collections.abc import Sequence

from layert2v.spec import FieldViolation
from layert2v.status_text import file_size

_MAX_NAMES_SHOWN = 3


class ServerError(Exception):
    """Root of the tree."""

    reason = "SERVER_ERROR"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class AccessDenied(ServerError):
    """The token is not known, or has expired."""

    reason = "ACCESS_DENIED"

    def __init__(self, message: str = "The server does not know this token.") -> None:
        super().__init__(message, "Ask whoever runs the server for a token.")


class JobNotFound(ServerError):
    """No job of that name."""

    reason = "JOB_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no job {name!r}.", "See those that exist with: layert2v jobs")


class ArtifactNotFound(ServerError):
    """The job has no artifact of that path."""

    reason = "ARTIFACT_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no artifact {name!r}.", "List the artifacts of the job first.")


class ArtifactDamaged(ServerError):
    """A stored file is not what it was."""

    reason = "ARTIFACT_DAMAGED"

    def __init__(self) -> None:
        super().__init__(
            "This file is damaged on the server.", "Run the job again, and check the server's disk."
        )


class ObjectMissing(ArtifactDamaged):
    """A stored file is not in the bucket any more, or is not whole there."""

    def __init__(self) -> None:
        ServerError.__init__(
            self,
            "This file is not in the server's bucket any more.",
            "Run the job again; whoever runs the server must see who deletes objects there.",
        )


class JobBusy(ServerError):
    """The job must end before it can be deleted."""

    reason = "JOB_BUSY"

    def __init__(self, name: str) -> None:
        super().__init__(f"The job {name!r} is still running.", "Cancel it first, then delete it.")


class InvalidTransition(ServerError):
    """A job in this state does not allow that event."""

    reason = "INVALID_TRANSITION"


class RequestIdReused(ServerError):
    """The request id was used before for another request."""

    reason = "REQUEST_ID_REUSED"

    def __init__(self) -> None:
        super().__init__(
            "This request id was already used for a different request.",
            "Make a new random id for every new request; repeat an id only to repeat its request.",
        )


class TooManyJobs(ServerError):
    """One user has too many jobs open."""

    reason = "TOO_MANY_JOBS"

    def __init__(self, present: int, limit: int) -> None:
        super().__init__(
            f"{present} of the {limit} jobs that each user may have waiting or running here are "
            "yours already.",
            "Wait for one to end, or cancel one.",
        )


class QuotaExceeded(ServerError):
    """The files of one user take all that they may."""

    reason = "QUOTA_EXCEEDED"

    def __init__(
        self, *, used_bytes: int, max_bytes: int, uploaded_bytes: int, largest: tuple[str, int]
    ) -> None:
        job, job_bytes = largest
        freed = []
        if job_bytes:
            freed.append(f"jobs with: layert2v delete JOB (jobs/{job} has {file_size(job_bytes)})")
        if uploaded_bytes:
            freed.append(f"uploads ({file_size(uploaded_bytes)}) with: layert2v delete --uploads")
        super().__init__(
            f"Your files take {file_size(used_bytes)} of the {file_size(max_bytes)} that each user "
            "may keep on this server, and there is no space for this.",
            f"Delete {', or '.join(freed)}." if freed else "Ask for less.",
        )


class TooManyCalls(ServerError):
    """One caller has too many calls of a kind open."""

    reason = "TOO_MANY_CALLS"

    def __init__(self) -> None:
        super().__init__(
            "Too many transfers or watches of yours are open at the same time.",
            "Wait until one of them has ended.",
        )


class TooManyRequests(ServerError):
    """One user calls more often than is allowed."""

    reason = "TOO_MANY_REQUESTS"

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(
            "These calls come faster than this server allows.",
            f"Go on in {retry_after_s:.1f} s, and less often.",
        )


class PriorityRefused(ServerError):
    """A priority that the caller may not give."""

    reason = "PRIORITY_REFUSED"

    def __init__(self) -> None:
        super().__init__(
            "Only supervisors and admins may make a job urgent.",
            "Give it the priority high: it goes before your other jobs.",
        )


class SpecRejected(ServerError):
    """A request outside the limits of its model."""

    reason = "INVALID_SPEC"

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        self.violations = tuple(violations)
        super().__init__(" ".join(violation.message for violation in violations))


class InvalidArgument(ServerError):
    """A malformed name, page token, offset or chunk."""

    reason = "INVALID_ARGUMENT"


class SourceNotFound(ServerError):
    """The stack that a re-render starts from is not on the server any more."""

    reason = "SOURCE_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The layer stack of {name!r} is not on this server any more.",
            "Start from the folder of the stack instead, if you still have it.",
        )


class InvalidSource(ServerError):
    """The source of a re-render is no usable stack."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.reason = reason


class FilesMissing(ServerError):
    """Files that a re-render needs are not on the server."""

    reason = "FILES_MISSING"

    def __init__(self, names: Sequence[str]) -> None:
        shown = ", ".join(names[:_MAX_NAMES_SHOWN])
        more = len(names) - _MAX_NAMES_SHOWN
        super().__init__(
            f"Files of this request are not on the server: {shown}"
            + (f" and {more} more." if more > 0 else "."),
            "Upload them, then repeat the request.",
        )


class ImageRefused(ServerError):
    """An uploaded image that may not be decoded."""

    reason = "PICTURE_REFUSED"


class OffsetOutOfRange(ServerError):
    """A read or an upload outside the bytes of the file."""

    reason = "OFFSET_OUT_OF_RANGE"


class ChecksumMismatch(ServerError):
    """The received bytes are not the bytes that were sent."""

    reason = "CHECKSUM_WRONG"


class TooSlow(ServerError):
    """A stream of which nothing was read or sent for too long."""

    reason = "TOO_SLOW"

    def __init__(self) -> None:
        super().__init__("Nothing moved on this stream for too long.", "Call again and go on.")


class UploadBusy(ServerError):
    """Another call is writing the same file."""

    reason = "UPLOAD_BUSY"

    def __init__(self) -> None:
        super().__init__("Another call is still sending this file.", "Try again in a moment.")


class EngineNotReady(ServerError):
    """No worker has reported its models yet."""

    reason = "ENGINE_NOT_READY"


class DiskFull(ServerError):
    """The disk of the data folder is full."""

    reason = "DISK_FULL"

    def __init__(self) -> None:
        super().__init__(
            "The server's disk is full.", "Delete old jobs or free some space, then submit again."
        )


class StorageFailed(ServerError):
    """The data folder or the database cannot be used at the moment."""

    reason = "STORAGE_FAILED"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"The server cannot use its data folder: {what}.",
            "Try again; if it stays like this, whoever runs the server must look at its log.",
        )


class BucketFailed(StorageFailed):
    """The bucket of results and uploads cannot be used at the moment."""

    def __init__(self, what: str) -> None:
        ServerError.__init__(
            self,
            f"The server cannot use its bucket: {what}.",
            "Try again; whoever runs the server must look at the bucket, its endpoint and the "
            "server's credentials.",
        )


class WorkerLost(ServerError):
    """A worker process ended or fell silent in the middle of a job."""

    reason = "WORKER_CRASHED"


class WorkerDied(WorkerLost):
    """A worker died of the job that it ran, as far as anybody can tell; such deaths are counted.

    ``what`` continues a sentence about the worker: "was ended by signal 11 (SIGSEGV)".
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"The worker process {what}.")
        self.what = what


class NotQuarantined(ServerError):
    """The job is not in quarantine."""

    reason = "NOT_QUARANTINED"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The job {name!r} is not in quarantine.",
            "See those that are with: layert2v-server quarantine list",
        )


class ServerStopping(ServerError):
    """The server is shutting down; queued and running jobs go on when it is started again."""

    reason = "SERVER_STOPPING"

    def __init__(self) -> None:
        super().__init__("The server is shutting down.", "Connect again when it is back.")


class ConfigError(ServerError):
    """A setting that the server refuses to start with."""

    reason = "INVALID_CONFIG"
