"""One request of a session on its way: asked, followed, brought home, whatever the line does.

A thread each, which ends with the request. Knows how a request goes, not what it asks: that is its
``Wish``.
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
    ClientError,
    InvalidRequest,
    JobCancelled,
    NotFound,
    NotPossible,
    ServerUnavailable,
    Stopped,
)
from layert2v_client.jobs import Job, Watch, require_success
from layert2v_client.session import events
from layert2v_client.session.events import Event, RequestUpdated
from layert2v_client.session.reconnect import Line
from layert2v_client.transfer.download import Terms
from layert2v_client.types import JobState, JobStatus, Preview

FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 10.0

R = TypeVar("R")

_log = logging.getLogger(__name__)


class Wish(Protocol):
    """What a request asks for and where its result goes."""

    @property
    def folder(self) -> Path:
        """Where the stack is, or will be."""

    def prepare(self, client: Client, request_id: str, terms: Terms) -> None:
        """Check what can be checked here, and bring the server what it needs."""

    def ask(self, client: Client, request_id: str) -> str:
        """Ask for the job; returns its name."""

    def fetch(self, job: Job, status: JobStatus, terms: Terms) -> int:
        """Bring the result of the finished job into the folder; returns the stack's state."""


class Errand:
    """A request with its thread. ``tell`` hears how it goes, and last how it ended."""

    def __init__(
        self,
        request_id: str,
        wish: Wish,
        *,
        line: Line,
        terms: Terms,
        tell: Callable[[Event], None],
        show: Callable[[str, Preview], None],
        job: str = "",
    ) -> None:
        self.request_id = request_id
        self.wish = wish
        self.job = job
        self._line = line
        self._terms = terms
        self._tell = tell
        self._show = show
        self._halt = threading.Event()  # cancelled or closed: wakes every pause
        self._cancelled = False
        self._closed = False
        self._cancel_sent = False
        self._over = False
        self._asked = bool(job)  # whether the server may have the job
        self._watch: Watch | None = None
        self._revision = 0
        self._thread = threading.Thread(target=self._run, name="layert2v-request", daemon=True)

    def start(self) -> None:
        """Set out."""
        self._thread.start()

    def cancel(self) -> None:
        """Give the request up; how it ends is told as ever."""
        self._cancelled = True
        self._wake()

    def close(self) -> None:
        """Leave the request alone: it goes on without this session."""
        self._closed = True
        self._wake()

    def join(self) -> None:
        """Wait for the thread."""
        self._thread.join()

    @property
    def is_over(self) -> bool:
        """Whether the request has ended."""
        return self._over

    def _wake(self) -> None:
        self._halt.set()
        self._line.wake()
        watch = self._watch
        if watch is not None:
            watch.close()

    def _run(self) -> None:
        try:
            ended = self._end()
        except Exception:  # the border: a host must never wait for a request that is dead
            _log.exception("request=%s", self.request_id)
            ended = events.RequestFailed(
                self.request_id,
                self.job,
                "INTERNAL",
                "Something went wrong that should not.",
                "Its log says more; please report it.",
            )
        self._over = True  # before it is told: the host may ask for the same request again
        if ended is not None and not self._closed:
            self._tell(ended)

    def _end(self) -> Event | None:
        """How the request ends; None where the session is closed before."""
        try:
            return self._succeed()
        except Stopped:
            return None if self._closed else events.RequestCancelled(self.request_id, self.job)
        except JobCancelled:
            return events.RequestCancelled(self.request_id, self.job)
        except (ClientError, ContractError) as problem:
            if isinstance(problem, NotFound) and self.job:
                return events.RequestLost(self.request_id, self.job)
            violations = problem.violations if isinstance(problem, InvalidRequest) else ()
            return events.RequestFailed(
                self.request_id,
                self.job,
                problem.reason,
                problem.message,
                problem.hint,
                violations,
            )

    def _succeed(self) -> Event:
        if not self.job:
            self.job = self._patiently(self._submit)
        status = require_success(self._patiently(self._follow))
        state = self._patiently(lambda client: self._fetch(client, status))
        folder = self.wish.folder
        manifest = str(folder / "stack.json")
        return events.RequestSucceeded(self.request_id, self.job, str(folder), manifest, state)

    def _submit(self, client: Client) -> str:
        if not self._asked:
            self._go_on()
            self.wish.prepare(client, self.request_id, self._while("uploading"))
            self._go_on()
        # From here on the job may be there, even if the answer gets lost: so asking again comes
        # first, also where it is to be cancelled.
        self._asked = True
        return self.wish.ask(client, self.request_id)

    def _follow(self, client: Client) -> JobStatus:
        """Watch the job until it has ended, and cancel it where that is wanted."""
        job = client.job(self.job)
        while True:
            self._cancel_if_wanted(client)
            watch = job.watch(from_revision=self._revision, patience_s=0.0)
            self._watch = watch
            if self._closed or (self._cancelled and not self._cancel_sent):
                watch.close()
            with watch:
                for update in watch:
                    self._revision = update.status.revision
                    if update.status.state.is_final:
                        return update.status
                    self._report(update.status)
                    if update.preview is not None:
                        self._show(self.request_id, update.preview)
            if self._closed:
                raise Stopped
            if not self._cancelled or self._cancel_sent:
                return job.status()  # it had ended before, at the revision that was seen

    def _cancel_if_wanted(self, client: Client) -> None:
        if self._cancelled and not self._cancel_sent:
            client.job(self.job).cancel()
            self._cancel_sent = True
            self._halt.clear()  # the pauses to come are for the line again

    def _fetch(self, client: Client, status: JobStatus) -> int:
        self._go_on()
        job = client.job(self.job)
        try:
            return self.wish.fetch(job, status, self._while("fetching"))
        except Stopped:
            if self._cancelled and not self._closed:
                job.retract(self.wish.folder)
            raise

    def _patiently(self, step: Callable[[Client], R]) -> R:
        """The result of ``step``, tried again whenever the line has been cut and is back."""
        pause_s = FIRST_PAUSE_S
        while True:
            client = self._reach()
            try:
                return step(client)
            except NotPossible as problem:
                if problem.reason != "CONNECTION_CLOSED":
                    raise
                message = ""
            except ServerUnavailable as problem:
                self._line.broke(client)
                message = problem.message
            if self._closed:
                raise Stopped
            self._say("waiting", message=message)
            # The line comes back when the server answers anything; this may be refused for longer.
            self._halt.wait(pause_s)
            pause_s = min(2 * pause_s, LAST_PAUSE_S)

    def _reach(self) -> Client:
        if not self._line.is_up:
            self._say("waiting", message="Waiting for the server.")
        client = self._line.client(
            lambda: not self._closed and (bool(self.job) or not self._cancelled)
        )
        if client is None:
            raise Stopped
        return client

    def _wants_line(self) -> bool:
        return not self._closed and (self._asked or not self._cancelled)

    def _go_on(self) -> None:
        if self._closed or self._cancelled:
            raise Stopped

    def _while(self, state: str) -> Terms:
        """The terms of a transfer that tells how far it is."""

        def report(done: int, total: int) -> None:
            self._say(state, stage=state, done=done, total=total)

        terms = self._terms
        return Terms(report, terms.patience_s, terms.path_map, terms.link, self._halt)

    def _report(self, status: JobStatus) -> None:
        state = status.state.value if status.state is not JobState.unknown else "running"
        progress = status.progress
        if progress is None or status.state is JobState.queued:
            self._say(state, queue_position=status.queue_position)
            return
        self._say(
            state,
            stage=progress.stage,
            done=progress.done,
            total=progress.total,
            fraction=progress.fraction,
            eta_s=progress.eta_s,
            message=progress.message,
        )

    def _say(self, state: str, **more: object) -> None:
        self._tell(RequestUpdated(self.request_id, self.job, state, **more))  # type: ignore[arg-type]
