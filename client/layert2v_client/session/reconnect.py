"""A session's line to its server: found or started, kept, and taken up again when it was cut.

One thread looks after it and says when the server comes and goes. Requests ask for the client when
they need one and report when it breaks; what they ask is not known here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from layert2v_client.client import Client
from layert2v_client.errors import AccessDenied, ClientError, EmbeddedServerFailed, InvalidRequest
from layert2v_client.local_server.shared import LocalServer
from layert2v_client.session.events import Connected, Disconnected, Event
from layert2v_client.types import ServerInfo

FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 15.0
LOCAL_TRIES = 5  # a server of one's own that does not start will not start
LOOK_S = 5.0  # between two looks at a server that is idle
LOOK_AT_START_S = 0.5  # at one that does not know its models yet


class Line:
    """The line to a server; nothing happens before ``start``.

    ``find`` starts the local server where there is to be one; it ends its waiting with the event it
    is given. ``reach`` makes a client, for the address of the local server where there is one.
    ``tell`` hears ``Connected`` and ``Disconnected``.
    """

    def __init__(
        self,
        find: Callable[[threading.Event], LocalServer] | None,
        reach: Callable[[str], Client],
        tell: Callable[[Event], None],
    ) -> None:
        self._find = find
        self._reach = reach
        self._tell = tell
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._look = False  # somebody wants the thread to look now
        self._good: Client | None = None  # answered, and nobody has complained since
        self._open: Client | None = None
        self._local: LocalServer | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_up(self) -> bool:
        """Whether ``client`` would answer at once."""
        return self._good is not None

    def start(self) -> None:
        """Look for the server now, and keep looking."""
        with self._news:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="layert2v-line", daemon=True)
                self._thread.start()
            self._look = True
            self._news.notify_all()

    def client(self, is_wanted: Callable[[], bool]) -> Client | None:
        """A client whose server has answered; None when it is not wanted any more.

        Waits as long as that takes; ``wake`` makes it ask again whether it is wanted.
        """
        with self._news:
            while is_wanted() and not self._stop.is_set():
                if self._good is not None:
                    return self._good
                self._news.wait()
        return None

    def broke(self, client: Client) -> None:
        """A call over ``client`` found nobody: the server must answer again before it is used."""
        with self._news:
            if self._good is client:
                self._good = None
                self._look = True
                self._news.notify_all()

    def wake(self) -> None:
        """Let those who wait for a client ask again whether they want it."""
        with self._news:
            self._news.notify_all()

    def close(self) -> None:
        """End the line; calls that are open break."""
        self._stop.set()
        with self._news:
            client = self._open
            self._news.notify_all()
        if client is not None:
            client.close()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                client = self._reached()
                try:
                    info = client.info()
                    failures = 0
                    self._keep(client, info)
                finally:
                    self._drop(client)
            except ClientError as problem:
                if not self._stop.is_set():
                    failures += 1
                    retry_in_s = _retry_in_s(problem, failures)
                    self._tell(
                        Disconnected(problem.reason, problem.message, problem.hint, retry_in_s)
                    )
                    if self._pause(retry_in_s):
                        failures = 0
        if self._local is not None:
            self._local.release()

    def _reached(self) -> Client:
        address = ""
        if self._find is not None:
            # The old share goes after the new one is here: a slow server must not end in between.
            former, self._local = self._local, self._find(self._stop)
            address = self._local.address
            if former is not None:
                former.release()
        client = self._reach(address)
        with self._news:
            self._open = client
        return client

    def _drop(self, client: Client) -> None:
        with self._news:
            self._open = self._good = None
        client.close()

    def _keep(self, client: Client, info: ServerInfo) -> None:
        """Look now and then. Raises ``ClientError`` when nobody answers."""
        told: ServerInfo | None = None
        while not self._stop.is_set():
            if told is None or (info.version, info.models) != (told.version, told.models):
                self._tell(Connected(client.address, info.version, info.models))
                told = info
            with self._news:
                self._good = client
                self._news.notify_all()
            self._pause(LOOK_S if info.models else LOOK_AT_START_S)
            if not self._stop.is_set():
                info = client.info()

    def _pause(self, seconds: float | None) -> bool:
        """Wait; whether somebody has asked to look before the time was over."""
        with self._news:
            self._news.wait_for(lambda: self._look or self._stop.is_set(), seconds)
            asked, self._look = self._look, False
        return asked


def _retry_in_s(problem: ClientError, failures: int) -> float | None:
    """Seconds to the next try; None where it would end in the same way."""
    if isinstance(problem, (InvalidRequest, AccessDenied)):
        return None
    if isinstance(problem, EmbeddedServerFailed) and failures >= LOCAL_TRIES:
        return None
    return float(min(FIRST_PAUSE_S * 2 ** (failures - 1), LAST_PAUSE_S))
