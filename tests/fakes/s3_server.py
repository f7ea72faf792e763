"""A real S3-compatible server (moto) on loopback, and a gate before it that a test may close.

The server keeps everything in memory, so it is never restarted: what fails is the way to it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from obstore.store import S3Store

START_TIMEOUT_S = 60.0
KEY_ID, SECRET = "canary-key-id", "canary-secret-key"
_DENIED = b"<Error><Code>AccessDenied</Code></Error>"


class Gate:
    """Passes connections on to ``port``; closed, it ends them, and ``denied`` are all requests."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._mode = "open"
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.requests = 0  # connections that came while it was not open
        self._delay_s, self._is_fast = 0.0, threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def set_mode(self, mode: str) -> None:
        """Be ``open``, ``closed`` or ``denied`` from now on; open connections end."""
        self._mode, self.requests = mode, 0
        for each in list(self._sockets):
            _end(each)

    @contextlib.contextmanager
    def slow(self, delay_s: float) -> Iterator[None]:
        """Let what comes wait for so long, but not longer than the block."""
        self._delay_s = delay_s
        self._is_fast.clear()
        try:
            yield
        finally:
            self._delay_s = 0.0
            self._is_fast.set()

    def close(self) -> None:
        self.set_mode("closed")
        _end(self._listener)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._handle, args=(client,), daemon=True).start()

    def _handle(self, client: socket.socket) -> None:
        if self._mode != "open":
            self.requests += 1
            with contextlib.suppress(OSError):
                if self._mode == "denied":
                    client.settimeout(2)
                    head = b""
                    while b"\r\n\r\n" not in head and (more := client.recv(65536)):
                        head += more
                    length = f"Content-Length: {len(_DENIED)}\r\nConnection: close\r\n\r\n"
                    client.sendall(f"HTTP/1.1 403 Forbidden\r\n{length}".encode() + _DENIED)
            _end(client)
            return
        with contextlib.suppress(OSError):
            server = socket.create_connection(("127.0.0.1", self._port))
            self._sockets |= {client, server}
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            _pass_on(client, server, lambda: self._is_fast.wait(self._delay_s))
            back.join()
            self._sockets -= {client, server}


def _pass_on(
    source: socket.socket, target: socket.socket, wait: Callable[[], object] = lambda: None
) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            wait()
            target.sendall(data)
    for each in (source, target):
        _end(each)


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()


class S3Server:
    """A server process; ``make_bucket`` gives each test a bucket of its own."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._numbers = count(1)
        self.url = f"http://127.0.0.1:{self.port}"
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "the S3 server does not start"
                time.sleep(0.05)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def environment(self, url: str = "") -> dict[str, str]:
        """Return what a server of ours needs to reach it, through a gate or directly."""
        return {
            "AWS_ENDPOINT_URL": url or self.url,
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
        }

    def make_bucket(self) -> str:
        """Make an empty bucket, and return its name."""
        name = f"bucket-{os.getpid()}-{next(self._numbers)}"
        self._call("PUT", name)
        return name

    def keys(self, bucket: str) -> list[str]:
        """Return the keys of all objects."""
        import obstore

        pages = obstore.list(self.store(bucket))
        return sorted(found["path"] for page in pages for found in page)

    def open_multipart_uploads(self, bucket: str) -> int:
        """Return how many uploads in parts were begun and neither completed nor aborted."""
        text = self._call("GET", f"{bucket}?uploads")
        return sum(_is(each, "Upload") for each in ElementTree.fromstring(text).iter())  # noqa: S314

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object behind the back of its owner."""
        import obstore

        obstore.delete(self.store(bucket), key)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write an object."""
        import obstore

        obstore.put(self.store(bucket), key, data)

    def store(self, bucket: str) -> S3Store:
        """Return a bucket as the library opens it, without anything of ours."""
        from obstore.store import S3Store

        return S3Store(
            bucket,
            endpoint=self.url,
            region="us-east-1",
            access_key_id=KEY_ID,
            secret_access_key=SECRET,
            client_options={"allow_http": True},
        )

    def _call(self, method: str, path: str, data: bytes = b"") -> bytes:
        request = urllib.request.Request(f"{self.url}/{path}", data=data or None, method=method)  # noqa: S310
        request.add_header("Content-Length", str(len(data)))
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return bytes(answer.read())


def _is(element: Any, name: str) -> bool:
    return str(element.tag).rpartition("}")[2] == name


@contextlib.contextmanager
def s3_server() -> Iterator[S3Server]:
    """Run a server for the length of a block."""
    server = S3Server()
    try:
        yield server
    finally:
        server.close()


@functools.cache
def absence() -> str:
    """Return why no S3 server can be started here; empty where one can."""
    for module in ("obstore", "moto", "flask", "flask_cors"):
        if importlib.util.find_spec(module) is None:
            return f"{module} is not installed; make setup installs it"
    return ""
