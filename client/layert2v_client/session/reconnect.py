"""A session's client: found or started, watched, and connected again when it breaks.

One thread looks after it and reports when the server comes and goes. Requests wait for the client
when they need one and report when it fails; what they ask is not known here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from layert2v_client.client import Client
from layert2v_client.errors import AccessDenied, ClientError, EmbeddedServerFailed, InvalidRequest
from layert2v_client.local_server import SharedServer
from layert2v_client.session.events import AccountUpdated, Connected, Disconnected, Event
from layert2v_client.types import Account, ServerInfo

FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 15.0
MAX_LOCAL_FAILURES = 5  # a local server that does not start will not start
POLL_S = 5.0  # between two polls of an idle server
POLL_AT_START_S = 0.5  # of one that does not know its models yet


class ReconnectingClient:
    """A client that is connected again when it breaks; nothing happens before ``start``.

    ``start_server`` starts the local server where one is wanted, and stops waiting for it when the
    event it is given is set. ``make_client`` makes a client, for the address of the local server
    where there is one. ``emit`` is called with ``Connected``, ``AccountUpdated`` and
    ``Disconnected``.
    """

    def __init__(
        self,
        start_server: Callable[[threading.Event], SharedServer] | None,
        make_client: Callable[[str], Client],
        emit: Callable[[Event], None],
    ) -> None:
        self._start_server = start_server
        self._make_client = make_client
        self._emit = emit
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._check_now = False  # somebody wants the thread to try now
        self._healthy: Client | None = None  # answered, and no call has failed since
        self._current: Client | None = None
        self._local: SharedServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_connected(self) -> bool:
        """Whether ``wait_for_client`` would return at once."""
        return self._healthy is not None

    def start(self) -> None:
        """Look for the server now, and keep looking."""
        with self._changed:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(
                    target=self._run, name="layert2v-connection", daemon=True
                )
                self._thread.start()
            self._check_now = True
            self._changed.notify_all()

    def wait_for_client(self, is_wanted: Callable[[], bool]) -> Client | None:
        """Return a client whose server has answered, or None when it is not wanted any more.

        Waits as long as that takes; ``wake`` makes it ask again whether it is wanted.
        """
        with self._changed:
            while is_wanted() and not self._stop.is_set():
                if self._healthy is not None:
                    return self._healthy
                self._changed.wait()
        return None

    def report_failure(self, client: Client) -> None:
        """Report that a call over ``client`` failed: its server must answer before the next."""
        with self._changed:
            if self._healthy is client:
                self._healthy = None
                self._check_now = True
                self._changed.notify_all()

    def wake(self) -> None:
        """Let those who wait for a client ask again whether they want it."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Close the connection; open calls fail."""
        self._stop.set()
        with self._changed:
            client = self._current
            self._changed.notify_all()
        if client is not None:
            client.close()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                client = self._connect()
                try:
                    info = client.info()
                    failures = 0
                    self._poll_health(client, info)
                finally:
                    self._drop(client)
            except ClientError as error:
                if not self._stop.is_set():
                    failures += 1
                    retry_in_s = _retry_in_s(error, failures)
                    self._emit(Disconnected(error.reason, error.message, error.hint, retry_in_s))
                    if self._wait(retry_in_s):
                        failures = 0
        if self._local is not None:
            self._local.release()

    def _connect(self) -> Client:
        address = ""
        if self._start_server is not None:
            # The old share goes after the new one is here: a slow server must not end in between.
            previous, self._local = self._local, self._start_server(self._stop)
            address = self._local.address
            if previous is not None:
                previous.release()
        client = self._make_client(address)
        with self._changed:
            self._current = client
        return client

    def _drop(self, client: Client) -> None:
        with self._changed:
            self._current = self._healthy = None
        client.close()

    def _poll_health(self, client: Client, info: ServerInfo) -> None:
        """Ask the server for its information now and then. Raises ``ClientError`` when it fails."""
        announced: ServerInfo | None = None
        account: Account | None = None
        while not self._stop.is_set():
            if announced is None or (info.version, info.models) != (
                announced.version,
                announced.models,
            ):
                self._emit(Connected(client.address, info.version, info.models))
                announced = info
            if info.account is not None and info.account != account:
                account = info.account
                self._emit(AccountUpdated(**vars(account)))
            with self._changed:
                self._healthy = client
                self._changed.notify_all()
            self._wait(POLL_S if info.models else POLL_AT_START_S)
            if not self._stop.is_set():
                info = client.info()

    def _wait(self, seconds: float | None) -> bool:
        """Wait; return whether somebody has asked to check before the time was over."""
        with self._changed:
            self._changed.wait_for(lambda: self._check_now or self._stop.is_set(), seconds)
            requested, self._check_now = self._check_now, False
        return requested


def _retry_in_s(error: ClientError, failures: int) -> float | None:
    """Return seconds to the next try, or None where it would fail in the same way."""
    if isinstance(error, (InvalidRequest, AccessDenied)):
        return None
    if isinstance(error, EmbeddedServerFailed) and failures >= MAX_LOCAL_FAILURES:
        return None
    return float(min(FIRST_PAUSE_S * 2 ** (failures - 1), LAST_PAUSE_S))
