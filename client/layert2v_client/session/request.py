"""One request of a session in a thread of its own: submitted, followed, downloaded.

The thread goes on when the connection breaks, and ends with the request. Knows how a request goes,
not what it asks for: that is its ``Operation``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from layert2v.errors import ContractError
from layert2v_client.client import Client
from layert2v_client.errors import (
    Cancelled,
    ClientError,
    InvalidRequest,
    JobCancelled,
    NotFound,
    NotPossible,
    ServerUnavailable,
)
from layert2v_client.jobs import Job, Watch, require_success
from layert2v_client.session import events
from layert2v_client.session.events import Event, RequestUpdated
from layert2v_client.session.reconnect import ReconnectingClient
from layert2v_client.transfer import TransferOptions
from layert2v_client.types import JobState, JobStatus, Preview

FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 10.0

R = TypeVar("R")

_log = logging.getLogger(__name__)


class Operation(Protocol):
    """The work of one request: prepare, submit, fetch its result into ``folder``."""

    @property
    def folder(self) -> Path:
        """The folder of the stack, which may not exist yet."""

    def prepare(self, client: Client, request_id: str, options: TransferOptions) -> None:
        """Check what can be checked here, and upload what the server needs."""

    def submit(self, client: Client, request_id: str) -> str:
        """Submit the job and return its name."""

    def fetch(self, job: Job, status: JobStatus, options: TransferOptions) -> int:
        """Download the result of the finished job into the folder and return the stack's state."""


class RequestThread:
    """A request with its thread. ``emit`` is called with its events, last with how it ended."""

    def __init__(
        self,
        request_id: str,
        operation: Operation,
        *,
        connection: ReconnectingClient,
        options: TransferOptions,
        emit: Callable[[Event], None],
        on_preview: Callable[[str, Preview], None],
        job: str = "",
    ) -> None:
        self.request_id = request_id
        self.operation = operation
        self.job = job
        self._connection = connection
        self._options = options
        self._emit = emit
        self._on_preview = on_preview
        self._interrupt = threading.Event()  # cancelled or closed: wakes every pause
        self._cancelled = False
        self._closed = False
        self._cancel_sent = False
        self._finished = False
        self._is_submitted = bool(job)  # whether the server may have the job
        self._watch: Watch | None = None
        self._revision = 0
        self._thread = threading.Thread(target=self._run, name="layert2v-request", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def cancel(self) -> None:
        """Cancel the request; an event says how it ended, as always."""
        self._cancelled = True
        self._wake()

    def close(self) -> None:
        """Stop following the request: it goes on without this session."""
        self._closed = True
        self._wake()

    def join(self) -> None:
        """Wait for the thread."""
        self._thread.join()

    @property
    def is_finished(self) -> bool:
        """Whether the request has ended."""
        return self._finished

    def _wake(self) -> None:
        self._interrupt.set()
        self._connection.wake()
        watch = self._watch
        if watch is not None:
            watch.close()

    def _run(self) -> None:
        try:
            event = self._outcome()
        except Exception:  # the thread ends here: a host must never wait for a request without one
            _log.exception("request=%s", self.request_id)
            event = events.RequestFailed(
                self.request_id,
                self.job,
                "INTERNAL",
                "Something went wrong that should not.",
                "Its log says more; please report it.",
            )
        self._finished = True  # before the event: the host may send the same request again
        if event is not None and not self._closed:
            self._emit(event)

    def _outcome(self) -> Event | None:
        """Run the request and return how it ended; None where the session was closed before."""
        try:
            return self._run_to_success()
        except Cancelled:
            return None if self._closed else events.RequestCancelled(self.request_id, self.job)
        except JobCancelled:
            return events.RequestCancelled(self.request_id, self.job)
        except (ClientError, ContractError) as error:
            if isinstance(error, NotFound) and self.job:
                return events.RequestLost(self.request_id, self.job)
            violations = error.violations if isinstance(error, InvalidRequest) else ()
            return events.RequestFailed(
                self.request_id,
                self.job,
                error.reason,
                error.message,
                error.hint,
                violations,
            )

    def _run_to_success(self) -> Event:
        if not self.job:
            self.job = self._with_retries(self._submit)
        status = require_success(self._with_retries(self._follow))
        state = self._with_retries(lambda client: self._fetch(client, status))
        folder = self.operation.folder
        manifest = str(folder / "stack.json")
        return events.RequestSucceeded(self.request_id, self.job, str(folder), manifest, state)

    def _submit(self, client: Client) -> str:
        if not self._is_submitted:
            self._raise_if_stopped()
            self.operation.prepare(client, self.request_id, self._options_reporting("uploading"))
            self._raise_if_stopped()
        # From here on the job may exist, even if the response gets lost: so it is submitted again
        # first, also where it is to be cancelled. That waits for the server like any other cancel.
        self._is_submitted = True
        return self.operation.submit(client, self.request_id)

    def _follow(self, client: Client) -> JobStatus:
        """Watch the job until it has ended, and cancel it where that is wanted."""
        job = client.job(self.job)
        while True:
            self._cancel_if_wanted(client)
            watch = job.watch(from_revision=self._revision, retry_timeout_s=0.0)
            self._watch = watch
            if self._closed or (self._cancelled and not self._cancel_sent):
                watch.close()
            with watch:
                for update in watch:
                    self._revision = update.status.revision
                    if update.status.state.is_final:
                        return update.status
                    self._emit_status(update.status)
                    if update.preview is not None:
                        self._on_preview(self.request_id, update.preview)
            if self._closed:
                raise Cancelled
            if not self._cancelled or self._cancel_sent:
                return job.status()  # it had ended before, at the revision that was seen

    def _cancel_if_wanted(self, client: Client) -> None:
        if self._cancelled and not self._cancel_sent:
            client.job(self.job).cancel()
            self._cancel_sent = True
            self._interrupt.clear()  # the pauses to come are for the connection again

    def _fetch(self, client: Client, status: JobStatus) -> int:
        self._raise_if_stopped()
        job = client.job(self.job)
        try:
            return self.operation.fetch(job, status, self._options_reporting("fetching"))
        except Cancelled:
            if self._cancelled and not self._closed:
                job.discard_partial_download(self.operation.folder)
            raise

    def _with_retries(self, step: Callable[[Client], R]) -> R:
        """Return the result of ``step``; try again whenever the connection broke and is back."""
        pause_s = FIRST_PAUSE_S
        while True:
            client = self._wait_for_client()
            try:
                return step(client)
            except NotPossible as error:
                if error.reason != "CONNECTION_CLOSED":
                    raise
                message = ""
            except ServerUnavailable as error:
                self._connection.report_failure(client)
                message = error.message
            if self._closed:
                raise Cancelled
            self._emit_progress("waiting", message=message)
            # The connection is back when the server answers anything; this may fail for longer.
            self._interrupt.wait(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    def _wait_for_client(self) -> Client:
        if not self._connection.is_connected:
            self._emit_progress("waiting", message="Waiting for the server.")
        client = self._connection.wait_for_client(
            lambda: not self._closed and (self._is_submitted or not self._cancelled)
        )
        if client is None:
            raise Cancelled
        return client

    def _raise_if_stopped(self) -> None:
        if self._closed or self._cancelled:
            raise Cancelled

    def _options_reporting(self, state: str) -> TransferOptions:
        """Return options of a transfer that emit how far it is."""

        def report(done: int, total: int) -> None:
            self._emit_progress(state, stage=state, done=done, total=total)

        options = self._options
        return TransferOptions(
            report, options.retry_timeout_s, options.path_map, options.link, self._interrupt
        )

    def _emit_status(self, status: JobStatus) -> None:
        state = status.state.value if status.state is not JobState.unknown else "running"
        progress = status.progress
        if progress is None or status.state is JobState.queued:
            self._emit_progress(
                state, queue_position=status.queue_position, eta_s=status.start_eta_s
            )
            return
        self._emit_progress(
            state,
            stage=progress.stage,
            done=progress.done,
            total=progress.total,
            fraction=progress.fraction,
            eta_s=progress.eta_s,
            message=progress.message,
        )

    def _emit_progress(self, state: str, **fields: object) -> None:
        self._emit(RequestUpdated(self.request_id, self.job, state, **fields))  # type: ignore[arg-type]
