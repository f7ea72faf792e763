"""A job on a server: status, cancel, watch, download.

Holds only the job's name; the server has the rest.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from layert2v.stack import MANIFEST_NAME, Stack
from layert2v.v1 import jobs_pb2
from layert2v_client import stack_history
from layert2v_client.connection import RETRY_TIMEOUT_S, TOO_FAST, Connection, RetryBudget
from layert2v_client.convert import status_from_message, update_from_message
from layert2v_client.errors import (
    ClientError,
    JobCancelled,
    JobFailed,
    ServerUnavailable,
)
from layert2v_client.transfer import TransferOptions, discard_partial, download_stack
from layert2v_client.types import JobState, JobStatus, Update

JOB_PREFIX = "jobs/"  # of every job's name, and of no stack's


class Job:
    """A job by its name, which may be kept and used again in another process."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self.name = name

    def status(self) -> JobStatus:
        """Return the job as it is now. Raises ``NotFound`` or another ``ClientError``."""
        request = jobs_pb2.GetJobRequest(name=self.name)
        return status_from_message(self._connection.call(self._connection.jobs.GetJob, request))

    def cancel(self) -> JobStatus:
        """Ask the job to stop; it may still be cancelling when this returns.

        Harmless where it has ended. Raises ``ClientError``.
        """
        request = jobs_pb2.CancelJobRequest(name=self.name)
        return status_from_message(self._connection.call(self._connection.jobs.CancelJob, request))

    def delete(self) -> None:
        """Delete the job and its files. Raises ``NotPossible`` while it runs."""
        request = jobs_pb2.DeleteJobRequest(name=self.name)
        self._connection.call(self._connection.jobs.DeleteJob, request)

    def watch(
        self,
        *,
        from_revision: int = 0,
        previews: bool = True,
        retry_timeout_s: float = RETRY_TIMEOUT_S,
    ) -> Watch:
        """Follow the job to its end.

        A connection that breaks, also by a restart of the server, is tried again for up to
        ``retry_timeout_s`` seconds. ``from_revision`` is the last revision the caller has seen.
        """
        return Watch(self._connection, self.name, from_revision, previews, retry_timeout_s)

    def wait(self, *, retry_timeout_s: float = RETRY_TIMEOUT_S) -> JobStatus:
        """Follow the job to success. Raises ``JobFailed``, ``JobCancelled`` or ``ClientError``."""
        with self.watch(previews=False, retry_timeout_s=retry_timeout_s) as watch:
            for update in watch:
                if update.status.state.is_final:
                    return require_success(update.status)
        return require_success(self.status())

    def download(self, folder: Path, options: TransferOptions | None = None) -> Path:
        """Download the job's stack with all its states into ``folder``.

        Files that are there already are not downloaded again. Raises ``NotPossible`` where the job
        has not succeeded, ``TransferFailed`` where a file cannot be stored as it should,
        ``ClientError``.
        """
        return download_stack(self._connection, self.status(), folder, options)

    def stack(self) -> Stack:
        """Return the manifest that the finished job has written. Raises ``ClientError``."""
        return stack_history.job_manifest(self._connection, self.status())

    def merge_into(self, folder: Path, options: TransferOptions | None = None) -> Stack:
        """Download the state that a re-render made into the stack it started from.

        Files that are in ``folder`` already do not travel; the state takes the next free number.
        Raises ``NotPossible`` where ``folder`` holds another stack or the job has not succeeded,
        ``TransferFailed``, ``ManifestError``, or another ``ClientError``.
        """
        return stack_history.merge_job_result(self._connection, self.status(), folder, options)

    def land(self, folder: Path, terms: TransferOptions | None = None) -> Stack:
        """Call ``merge_into``: the deprecated name of that method."""
        warnings.warn("Job.land is called merge_into now", DeprecationWarning, stacklevel=2)
        return self.merge_into(folder, terms)

    def discard_partial_download(self, folder: Path) -> None:
        """Remove what a cancelled ``download`` or ``merge_into`` has left in ``folder``.

        A stack that is complete stays. Raises ``ClientError``.
        """
        status = self.status()
        if status.changes_stack and (folder / MANIFEST_NAME).exists():
            stack_history.discard_partial_download(self._connection, status, folder)
        else:
            discard_partial(self._connection, status, folder)


class Watch(AbstractContextManager["Watch"]):
    """The updates of a job, from now until it has ended. ``close`` ends it from any thread.

    Iterating raises ``NotFound``, ``ServerUnavailable`` when the server stays away, or another
    ``ClientError``. The job itself is left alone in every case.
    """

    def __init__(
        self,
        connection: Connection,
        name: str,
        from_revision: int,
        previews: bool,
        retry_timeout_s: float,
    ) -> None:
        self._connection = connection
        self._name = name
        self._revision = from_revision
        self._previews = previews
        self._stop = threading.Event()
        self._budget = RetryBudget(retry_timeout_s, self._stop)
        self._stream: Any = None
        self._updates = self._follow()

    def __iter__(self) -> Iterator[Update]:
        return self

    def __next__(self) -> Update:
        return next(self._updates)

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop following; a thread that waits for the next update finds the watch at its end."""
        self._stop.set()
        if self._stream is not None:
            self._stream.cancel()

    def _follow(self) -> Iterator[Update]:
        self._budget.reset()
        while not self._stop.is_set():
            failure: ClientError
            try:
                for update in self._attach():
                    yield update
                    if update.status.state.is_final:
                        return
                status = Job(self._connection, self._name).status()
                if status.state.is_final:  # and seen: the watch began at its last revision
                    return
                failure = ServerUnavailable("WATCH_ENDED", "The server ends the watch early.")
            except ServerUnavailable as error:
                failure = error
            except ClientError as error:
                if self._stop.is_set():
                    return
                if error.reason != TOO_FAST:
                    raise
                failure = error
            self._budget.pause(failure)

    def _attach(self) -> Iterator[Update]:
        request = jobs_pb2.WatchJobRequest(
            name=self._name, from_revision=self._revision, previews=self._previews
        )
        self._stream = self._connection.stream(self._connection.jobs.WatchJob, request)
        if self._stop.is_set():  # closed while the stream was being made
            self._stream.cancel()
        for message in self._connection.read(self._stream):
            update = update_from_message(message)
            self._budget.reset()
            if update.status.revision == self._revision and update.preview is None:
                continue
            self._revision = update.status.revision
            yield update


def require_success(status: JobStatus) -> JobStatus:
    """Return ``status`` if the job succeeded. Raises ``JobFailed`` or ``JobCancelled``."""
    if status.state is JobState.cancelled:
        raise JobCancelled("JOB_CANCELLED", "The job was cancelled.")
    if status.state is JobState.failed:
        error = status.error
        if error is None:
            raise JobFailed("JOB_FAILED", "The job failed, and the server does not say why.")
        raise JobFailed(error.reason, error.message, error.hint)
    return status
