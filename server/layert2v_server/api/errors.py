"""Server errors as gRPC errors: one table of codes, one trailer with reason, message and hint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn, TypeVar

import grpc

from layert2v.v1 import errors_pb2
from layert2v.wire import ERROR_TRAILER, REQUEST_METADATA
from layert2v_server import errors
from layert2v_server.errors import ServerError
from layert2v_server.logs import current_request

T = TypeVar("T")

CODES: dict[type[ServerError], grpc.StatusCode] = {
    errors.AccessDenied: grpc.StatusCode.UNAUTHENTICATED,
    errors.JobNotFound: grpc.StatusCode.NOT_FOUND,
    errors.ArtifactNotFound: grpc.StatusCode.NOT_FOUND,
    errors.ArtifactDamaged: grpc.StatusCode.DATA_LOSS,
    errors.JobBusy: grpc.StatusCode.FAILED_PRECONDITION,
    errors.PriorityRefused: grpc.StatusCode.PERMISSION_DENIED,
    errors.InvalidTransition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.RequestIdReused: grpc.StatusCode.INVALID_ARGUMENT,
    errors.SpecRejected: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.InvalidSource: grpc.StatusCode.INVALID_ARGUMENT,
    errors.SourceNotFound: grpc.StatusCode.NOT_FOUND,
    errors.FilesMissing: grpc.StatusCode.FAILED_PRECONDITION,
    errors.OffsetOutOfRange: grpc.StatusCode.OUT_OF_RANGE,
    errors.ChecksumMismatch: grpc.StatusCode.DATA_LOSS,
    errors.TooManyJobs: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.QuotaExceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooManyCalls: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooManyRequests: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.StorageFailed: grpc.StatusCode.UNAVAILABLE,
    errors.DiskFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooSlow: grpc.StatusCode.UNAVAILABLE,
    errors.UploadBusy: grpc.StatusCode.UNAVAILABLE,
    errors.EngineNotReady: grpc.StatusCode.UNAVAILABLE,
    errors.ServerStopping: grpc.StatusCode.UNAVAILABLE,
}
RETRY_AFTER_S: dict[type[ServerError], float] = {
    errors.TooManyJobs: 30.0,
    errors.UploadBusy: 0.5,
    errors.TooManyCalls: 1.0,
    errors.EngineNotReady: 5.0,
    errors.ServerStopping: 2.0,
    errors.StorageFailed: 2.0,
}
# Errors of which a caller must be able to tell those who read the log.
LOGGED = (errors.StorageFailed, errors.ArtifactDamaged)
# A message may quote what the caller sent, and headers are limited in size.
MAX_TEXT_CHARS = 400
MAX_VIOLATIONS = 8


async def abort(context: grpc.aio.ServicerContext, error: ServerError) -> NoReturn:
    """Abort the call with ``error``."""
    code = _find(CODES, error) or grpc.StatusCode.INTERNAL
    message = error.message[:MAX_TEXT_CHARS]
    detail = errors_pb2.ErrorDetail(
        reason=error.reason,
        message=message,
        hint=_hint(error),
        violations=[
            errors_pb2.FieldViolation(
                field=violation.field, message=violation.message[:MAX_TEXT_CHARS]
            )
            for violation in getattr(error, "violations", ())[:MAX_VIOLATIONS]
        ],
        retry_after_s=getattr(error, "retry_after_s", _find(RETRY_AFTER_S, error)),
    )
    trailers = ((ERROR_TRAILER, detail.SerializeToString()), (REQUEST_METADATA, current_request()))
    await context.abort(code, message, trailing_metadata=trailers)
    raise AssertionError("abort always raises")


def _find(table: Mapping[type[ServerError], T], error: ServerError) -> T | None:
    """Return what a table holds for the class of an error, or for the nearest one above it."""
    return next((table[kind] for kind in type(error).__mro__ if kind in table), None)


def _hint(error: ServerError) -> str:
    """Return the hint of an error; where it is the server's fault, with the id that its log has."""
    is_logged = type(error) is ServerError or isinstance(error, LOGGED)
    if not is_logged or not current_request():
        return error.hint
    return f"{error.hint.rstrip('.')} (request {current_request()})."
