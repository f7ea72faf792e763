"""The bridge as a real process, and a host that talks to it."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakes.live_server import REPOSITORY, WAIT_TIMEOUT_S

TERMINAL_EVENTS = ("RequestSucceeded", "RequestFailed", "RequestCancelled", "RequestLost")


class BridgeProcess:
    """A bridge in a child process; ``messages`` holds all that it has written so far."""

    def __init__(
        self,
        *,
        log: Path,
        python: str = sys.executable,
        paths: tuple[str, ...] = (),
        initialize: bool = True,
    ) -> None:
        folders = [*paths, *(str(REPOSITORY / name) for name in ("proto", "client"))]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                [python, "-m", "layert2v_client.session.bridge"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
            )
        self.messages: list[dict[str, Any]] = []
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._number = 0
        threading.Thread(target=self._read, daemon=True).start()
        self.initialized = self.call("initialize", protocol=2) if initialize else {}

    def __enter__(self) -> BridgeProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_stdin()

    def send_line(self, line: bytes) -> None:
        """Send one line as it is."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a request and return its result; fail where the response is an error."""
        response = self.request(method, **params)
        assert "error" not in response, response
        result: dict[str, Any] = response["result"]
        return result

    def request(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a request and return its response."""
        self._number += 1
        number = self._number
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.send_line(json.dumps(message).encode())
        return self.wait(lambda message: message.get("id") == number)

    def wait(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the next message that fits."""
        deadline = time.monotonic() + WAIT_TIMEOUT_S
        while time.monotonic() < deadline:
            message = self.next()
            assert message is not None, f"the bridge ended after {self.messages[-5:]}"
            if fits(message):
                return message
        raise AssertionError(f"nothing of that kind in {self.messages[-5:]}")

    def event(self, name: str, **values: Any) -> dict[str, Any]:
        """Return the next event with these values; fail where a request ends otherwise."""

        def fits(message: dict[str, Any]) -> bool:
            right = message.get("method") == name and values.items() <= message["params"].items()
            assert right or message.get("method") not in TERMINAL_EVENTS, message
            return right

        params: dict[str, Any] = self.wait(fits)["params"]
        return params

    def next(self) -> dict[str, Any] | None:
        """Return the next message, or None at the end."""
        line = self._lines.get(timeout=WAIT_TIMEOUT_S)
        if line is None:
            return None
        message: dict[str, Any] = json.loads(line)
        self.messages.append(message)
        return message

    def close_stdin(self) -> int:
        """Close its input, as a host that ends does; return the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(WAIT_TIMEOUT_S)

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.process.kill()
        self.process.wait(WAIT_TIMEOUT_S)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)
