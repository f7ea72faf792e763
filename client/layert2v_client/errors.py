"""The errors of the client.

ClientError
├── InvalidRequest         the request cannot be answered as it is; violations name the fields
├── NotFound               no such job or file, or it is somebody else's
├── NotPossible            not in this state, such as fetching a job that still runs
├── AccessDenied           the token is missing, wrong or may not do this
├── ServerBusy             over a limit; retry_after_s says when to come back, where known
├── ServerUnavailable      the connection is broken, or nobody answers in time
├── ServerFault            the server did something wrong
├── JobFailed              the job ended in an error
├── JobCancelled           the job was cancelled
├── TransferFailed         a file did not arrive as it should
├── EmbeddedServerFailed   the server for this call did not start
└── Cancelled              the caller cancelled a transfer or a wait

Each has a ``reason`` for programs (UPPER_SNAKE), a sentence in ``message`` and a ``hint`` that
says what to do, which may be empty.
"""

from __future__ import annotations

from layert2v.spec import FieldViolation


class ClientError(Exception):
    """Base of all errors of the client."""

    def __init__(self, reason: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.hint = hint


class InvalidRequest(ClientError):
    """The request cannot be met as it is; ``violations`` name the fields."""

    def __init__(
        self,
        reason: str,
        message: str,
        hint: str = "",
        violations: tuple[FieldViolation, ...] = (),
    ) -> None:
        super().__init__(reason, message, hint)
        self.violations = violations


class NotFound(ClientError):
    """No such job or file, or it is somebody else's."""


class NotPossible(ClientError):
    """The job or the stack is not in the right state."""


class AccessDenied(ClientError):
    """The token is missing, wrong or may not do this."""


class ServerBusy(ClientError):
    """Over a limit of the server."""

    def __init__(
        self, reason: str, message: str, hint: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason, message, hint)
        self.retry_after_s = retry_after_s


class ServerUnavailable(ClientError):
    """The connection is broken, or nobody answers in time."""


class ServerFault(ClientError):
    """The server did something wrong."""


class JobFailed(ClientError):
    """The job ended in an error."""


class JobCancelled(ClientError):
    """The job was cancelled."""


class TransferFailed(ClientError):
    """A file did not arrive as it should."""


class EmbeddedServerFailed(ClientError):
    """The server for this call did not start."""


class Cancelled(ClientError):
    """The caller cancelled a transfer or a wait."""

    def __init__(self) -> None:
        super().__init__("STOPPED", "It was called off.")
