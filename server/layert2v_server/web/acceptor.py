"""Accept connections one at a time, and only so many a second from each address.

asyncio accepts all that wait in one turn of the event loop: hundreds of strangers that come
together would each be answered before anybody else is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable

from layert2v_server.errors import TooManyRequests
from layert2v_server.service.callers import RateLimit
from layert2v_server.store.regular_file import SHORTAGES

CONNECTIONS_PER_S = 50.0  # of an address; after a silence those of ten seconds at once
HANDSHAKE_TIMEOUT_S = 10.0
SHORTAGE_PAUSE_S = 1.0

_log = logging.getLogger(__name__)


class Acceptor:
    """Gives each connection of ``listener`` a protocol of its own, with TLS where ``tls`` is set.

    From an address that opens more than ``CONNECTIONS_PER_S`` it closes them at once, before a
    handshake.
    """

    def __init__(
        self,
        listener: socket.socket,
        create_protocol: Callable[[], asyncio.Protocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._create_protocol = create_protocol
        self._tls = tls
        self._rate = RateLimit(CONNECTIONS_PER_S)
        self._beginning: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Accept until this is cancelled; that ends the handshakes, too."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    connection, address = await loop.sock_accept(self._listener)
                except OSError as error:
                    if error.errno in SHORTAGES:
                        _log.error("no connection can be accepted: %s", error.strerror)
                        await asyncio.sleep(SHORTAGE_PAUSE_S)
                    continue  # else the caller has left already
                self._admit(connection, address[0])
                await asyncio.sleep(0)  # everybody else who waits for the loop has a turn
        finally:
            for task in self._beginning:
                task.cancel()

    def _admit(self, connection: socket.socket, address: str) -> None:
        try:
            self._rate.take(address)
        except TooManyRequests:
            connection.close()
            return
        task = asyncio.create_task(self._begin(connection))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _begin(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # TLS and time-outs among them: asyncio has closed it
            await asyncio.get_running_loop().connect_accepted_socket(
                self._create_protocol,
                connection,
                ssl=self._tls,
                ssl_handshake_timeout=None if self._tls is None else HANDSHAKE_TIMEOUT_S,
            )
