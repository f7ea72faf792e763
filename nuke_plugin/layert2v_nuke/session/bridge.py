"""The bridge: a process that is connected to the server and speaks JSON-RPC 2.0 with Nuke.

Nuke carries its own protobuf and would not survive a second one, so gRPC lives in another process.
Nothing here waits: lines go out and come in through bounded queues that two threads serve. The
bridge ends with its standard input, so it ends with Nuke, however that ends.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from layert2v_nuke.errors import BridgeFailed
from layert2v_nuke.preferences import Preferences

JSON_RPC = "2.0"
PROTOCOL = 2  # of the methods and events, which ``initialize`` compares
HEARTBEAT_TIMEOUT_S = 30.0  # the bridge sends a heartbeat every 5 s; silence means that it hangs
QUEUE_LINES = 1000  # a full queue is an error, since Nuke must not wait
EXIT_TIMEOUT_S = 3.0
LAST_LINES_S = 1.0  # how long the last lines of an ended bridge may take to be read
# Variables that point to Nuke's own libraries, which another Python must not load.
_REMOVED_VARIABLES = (
    "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH",
    "DYLD_INSERT_LIBRARIES", "QT_PLUGIN_PATH",
)  # fmt: skip
_RUN_BUNDLED = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from layert2v_client.session.bridge import main; raise SystemExit(main())"
)

Message = Mapping[str, Any]


class BridgeProcess:
    """A running bridge. ``clock`` gives seconds that never go back."""

    def __init__(
        self, command: Sequence[str], log: Path | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._next_id = clock, 0
        self._out: queue.Queue[str | None] = queue.Queue(QUEUE_LINES)
        self._in: queue.Queue[dict[str, Any]] = queue.Queue(QUEUE_LINES)
        self._is_ready = False
        self._received_at = clock()
        try:
            self._process = _start(command, log)
        except OSError as error:
            raise BridgeFailed(
                "BRIDGE_NOT_STARTED",
                f"The bridge cannot start: {error.strerror} ({command[0]}).",
                "Choose a Python in LayerT2V > Preferences.",
            ) from error
        self._ended_at: float | None = None
        self._reader = threading.Thread(target=self._read_lines, name="layert2v_read", daemon=True)
        writer = threading.Thread(target=self._write_lines, name="layert2v_write", daemon=True)
        self._reader.start()
        writer.start()
        self._initialize_id = self.send("initialize", protocol=PROTOCOL)

    def send(self, method: str, **params: Any) -> int:
        """Queue a request and return its id, which the response has. Raises ``BridgeFailed``."""
        self._next_id += 1
        message = {"jsonrpc": JSON_RPC, "id": self._next_id, "method": method, "params": params}
        try:
            self._out.put_nowait(json.dumps(message))
        except queue.Full:
            raise BridgeFailed(
                "BRIDGE_BUSY", "The bridge does not take what it is sent.", "It is started anew."
            ) from None
        return self._next_id

    def drain(self) -> list[dict[str, Any]]:
        """Return the responses and events that have arrived.

        A response has its ``id``, and ``error`` with ``reason``, ``message`` and ``hint`` where the
        request failed; an event has its name as ``event`` beside its fields. Raises
        ``BridgeFailed`` once the bridge has ended.
        """
        found: list[dict[str, Any]] = []
        with suppress(queue.Empty):
            while len(found) < QUEUE_LINES:
                found.append(self._in.get_nowait())
        messages = [decoded for message in found if (decoded := self._decode(message))]
        if not messages:
            self._raise_if_ended()
        return messages

    def close(self) -> None:
        """Let the bridge end, and kill it if it does not; return at once."""
        with suppress(queue.Full):
            self._out.put_nowait(None)
        threading.Thread(target=self._wait_for_exit, name="layert2v_end", daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def _decode(self, message: Message) -> dict[str, Any] | None:
        """Return a response or an event; None for what only shows that the bridge is there."""
        if message.get("jsonrpc") == JSON_RPC and message.get("id") == self._initialize_id:
            _check_protocol(message)
            self._is_ready = True
            return None
        if not self._is_ready:
            raise BridgeFailed(
                "BRIDGE_NOT_STARTED",
                "The program that was started as the bridge is none.",
                "Choose another Python in LayerT2V > Preferences.",
            )
        if "error" in message:
            return {"id": message.get("id"), "error": _decode_error(message["error"])}
        if "id" in message:
            return {"id": message["id"], "result": message.get("result")}
        if message.get("method", "heartbeat") == "heartbeat":
            return None
        return {"event": message["method"], **message.get("params", {})}

    def _raise_if_ended(self) -> None:
        code = self._process.poll()
        if code is not None and not self._is_reading_last_lines() and self._in.empty():
            what = "ended" if self._is_ready else "did not start"
            raise BridgeFailed(
                "BRIDGE_ENDED" if self._is_ready else "BRIDGE_NOT_STARTED",
                f"The bridge {what} (exit status {code}).",
                "Its log is layert2v_bridge.log in the .nuke folder.",
            )
        if self._clock() - self._received_at > HEARTBEAT_TIMEOUT_S:
            raise BridgeFailed("BRIDGE_SILENT", "The bridge does not answer.")

    def _is_reading_last_lines(self) -> bool:
        """Return whether lines of the ended bridge may still arrive; for ``LAST_LINES_S`` only."""
        if self._ended_at is None:
            self._ended_at = self._clock()
        return self._reader.is_alive() and self._clock() - self._ended_at < LAST_LINES_S

    def _read_lines(self) -> None:
        with _pipe(self._process.stdout) as lines:
            for line in lines:
                self._received_at = self._clock()
                try:
                    message = json.loads(line)
                except ValueError:
                    continue  # printed by some library
                if isinstance(message, dict):
                    self._in.put(message)

    def _write_lines(self) -> None:
        with suppress(OSError, ValueError), _pipe(self._process.stdin) as pipe:
            while True:
                line = self._out.get()
                if line is None:
                    return
                pipe.write(line + "\n")
                pipe.flush()

    def _wait_for_exit(self) -> None:
        try:
            self._process.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def bridge_command(preferences: Preferences, root: Path) -> list[str]:
    """Return the command that starts the bridge; ``root`` is the folder of the plug-in.

    A Python of the artist's choice has the client installed; Nuke's own runs the bundled one.
    Raises ``BridgeFailed``.
    """
    if preferences.python:
        return [preferences.python, "-I", "-m", "layert2v_client.session.bridge"]
    version = f"py{sys.version_info[0]}{sys.version_info[1]}"
    packages = root / "bridge" / version
    python = _nuke_python(Path(sys.executable))
    if not packages.is_dir() or python is None:
        missing = "no packages for" if python is not None else "no interpreter of"
        raise BridgeFailed(
            "BRIDGE_NO_PYTHON",
            f"The plug-in has {missing} Nuke's Python {version[2:3]}.{version[3:]}.",
            "Choose a Python that has layert2v installed in LayerT2V > Preferences.",
        )
    return [str(python), "-I", "-c", _RUN_BUNDLED, str(packages)]


def _nuke_python(executable: Path) -> Path | None:
    """Return Nuke's own interpreter, which needs no licence as long as nothing imports nuke."""
    if executable.name.lower().startswith("python"):
        return executable
    names = ("python3", "python", "python3.exe", "python.exe")
    return next((p for p in map(executable.with_name, names) if p.is_file()), None)


def _start(command: Sequence[str], log: Path | None) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k not in _REMOVED_VARIABLES}
    with open(os.devnull if log is None else log, "ab") as errors:  # noqa: PTH123
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment,
            encoding="utf-8",
            errors="replace",
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )


def _check_protocol(message: Message) -> None:
    """Raise ``BridgeFailed`` where the bridge speaks another version of the protocol."""
    result = message.get("result")
    protocol = result.get("protocol") if isinstance(result, dict) else None
    if protocol != PROTOCOL:
        error = _decode_error(message.get("error"))
        raise BridgeFailed(
            "BRIDGE_OTHER_VERSION",
            error["message"] or f"The bridge speaks version {protocol}, not {PROTOCOL}.",
            "Install the client and the plug-in of one release.",
        )


def _decode_error(error: Any) -> dict[str, str]:
    """Return what an error of a response says to the artist; "" where it does not."""
    error = error if isinstance(error, dict) else {}
    data = error["data"] if isinstance(error.get("data"), dict) else {}
    found = {
        "message": error.get("message"),
        "reason": data.get("reason"),
        "hint": data.get("hint"),
    }
    return {key: str(text or "") for key, text in found.items()}


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise ValueError("the process was started without pipes")
    return stream
