"""A session as JSON-RPC 2.0 on stdin and stdout, for hosts that cannot load gRPC.

``python -m layert2v_client.session.bridge`` runs it. One message a line, UTF-8; stderr is a log.
Each message has ``"jsonrpc": "2.0"``, which is left out here::

    host    {"id": 1, "method": "initialize", "params": {"protocol": 2}}
    bridge  {"id": 1, "result": {"protocol": 2, "client": "0.1.0", "python": "3.11.7", "pid": 4711}}
    host    {"id": 2, "method": "connect", "params": {"settings": {"server": "render01:7433"}}}
    bridge  {"id": 2, "result": {}}
    bridge  {"method": "Connected", "params": {"server": "render01:7433", ...}}
    host    {"id": 3, "method": "generate", "params": {"spec": {"prompt": "a red fox in the snow"}}}
    bridge  {"id": 3, "result": {"request_id": "..."}}
    bridge  {"method": "RequestUpdated", "params": {"state": "running", ...}}
    bridge  {"method": "heartbeat", "params": {"uptime_s": 12.0}}

``initialize`` comes first and ends the bridge where the versions of the protocol differ, then
``connect``. ``generate``, ``rerender``, ``decompose``, ``refine``, ``attach``, ``cancel``,
``history``, ``restore`` and ``ping`` follow; keys of a spec that are left out keep their defaults.
A request that cannot be met has an ``error`` with the codes of ``json_rpc`` and changes nothing;
its ``data`` holds ``reason`` and ``hint``. The bridge sends every event as a notification of that
name.

A heartbeat comes every few seconds. Events wait, replaced by newer ones, while the host does not
read; responses wait in a short queue, and then so do the host's next lines. The end of stdin ends
the bridge; jobs go on. Nothing else ever writes to stdout.
"""

from __future__ import annotations

import logging
import os
import platform
import queue
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import layert2v
from layert2v.decompose import (
    DecomposeSpec,
    RefineSpec,
    decompose_from_json,
    decompose_to_json,
    refine_from_json,
    refine_to_json,
)
from layert2v.errors import ContractError, SpecError
from layert2v.json_reader import JsonObject
from layert2v.priorities import PRIORITIES
from layert2v.rerender import RerenderSpec, rerender_from_json, rerender_to_json
from layert2v.spec import GenerateSpec, spec_from_json, spec_to_json
from layert2v_client import stack_history
from layert2v_client.errors import ClientError, NotPossible
from layert2v_client.session import json_rpc
from layert2v_client.session.events import event_to_json
from layert2v_client.session.json_rpc import RpcError
from layert2v_client.session.session import Session, settings_from_json

PROTOCOL = 2
HEARTBEAT_S = 5.0
MAX_LINE_BYTES = 4 << 20
MAX_RESPONSES = 100
EXIT_TIMEOUT_S = 2.0
EXIT_VERSION = 2

_log = logging.getLogger(__name__)


class Bridge:
    """Serves the requests in ``lines``; writes what it answers to the descriptor ``out``."""

    def __init__(self, lines: IO[bytes], out: int) -> None:
        self._lines = lines
        self._out = out
        self._session: Session | None = None
        self._is_initialized = False
        self._responses: queue.Queue[dict[str, Any]] = queue.Queue(MAX_RESPONSES)
        self._write_lock = threading.Lock()
        self._ended = threading.Event()
        self._started_at = time.monotonic()
        self._threads: list[threading.Thread] = []

    def run(self) -> int:
        """Serve until the input ends or nobody reads any more; return the exit code."""
        self._start_thread(self._write_responses)
        try:
            return self._serve()
        finally:
            self._ended.set()
            if self._session is not None:
                self._session.close()
            for thread in self._threads:
                thread.join(EXIT_TIMEOUT_S)  # one may wait for a host that does not read

    def _serve(self) -> int:
        while not self._ended.is_set():
            line = self._lines.readline(MAX_LINE_BYTES + 1)
            if not line:
                return 0
            if not line.strip():
                continue
            response = self._respond(line)
            if response is not None:
                self._queue_response(response)
                if response.get("error", {}).get("code") == json_rpc.PROTOCOL_UNSUPPORTED:
                    return EXIT_VERSION
        return 0

    def _respond(self, line: bytes) -> dict[str, Any] | None:
        """Return the response to one line; None where it is a notification."""
        try:
            if len(line) > MAX_LINE_BYTES:
                self._skip_line(line)
                message = "A line is at most 4 MiB long."
                raise RpcError(json_rpc.INVALID_REQUEST, "LINE_TOO_LONG", message)
            request = json_rpc.read_request(line)
        except RpcError as error:
            return json_rpc.error_response(error)
        try:
            response = json_rpc.result_response(request.id, self._call(request))
        except RpcError as error:
            error.request_id = request.id
            response = json_rpc.error_response(error)
        return None if request.is_notification else response

    def _skip_line(self, line: bytes) -> None:
        while line and not line.endswith(b"\n"):
            line = self._lines.readline(MAX_LINE_BYTES)

    def _call(self, request: json_rpc.Request) -> dict[str, Any]:
        """Run the method of a request and return its result. Raises ``RpcError``."""
        if request.method not in _METHODS:
            message = f"The bridge has no {request.method!r}; it has {', '.join(sorted(_METHODS))}."
            raise RpcError(json_rpc.METHOD_NOT_FOUND, "METHOD_UNKNOWN", message)
        if not self._is_initialized and request.method != "initialize":
            message = "Send initialize with the version of the protocol first."
            raise RpcError(json_rpc.NOT_INITIALIZED, "NOT_INITIALIZED", message)
        method, defaults = _METHODS[request.method]
        try:
            return method(self, JsonObject({**defaults, **request.params}, "", SpecError))
        except RpcError:
            raise
        except SpecError as error:
            raise _rpc_error(json_rpc.INVALID_PARAMS, error) from error
        except (ContractError, ClientError) as error:
            raise _rpc_error(json_rpc.REQUEST_FAILED, error) from error
        except OSError as error:
            message = f"{error.filename} cannot be used: {error.strerror}."
            raise RpcError(json_rpc.REQUEST_FAILED, "FILE_UNUSABLE", message) from error
        except Exception as error:  # a host must get a response to every request
            _log.exception("method=%s", request.method)
            message = "Something went wrong that should not. The log of the bridge says more."
            raise RpcError(json_rpc.INTERNAL_ERROR, "INTERNAL", message) from error

    def initialize(self, params: JsonObject) -> dict[str, Any]:
        """Agree on the version of the protocol; heartbeats begin. Raises ``RpcError``."""
        protocol = params.integer("protocol")
        params.refuse_unknown()
        if protocol != PROTOCOL:
            raise RpcError(
                json_rpc.PROTOCOL_UNSUPPORTED,
                "PROTOCOL_UNSUPPORTED",
                f"The host speaks version {protocol} of the bridge, the client {PROTOCOL}.",
                "Install the plug-in and the client of the same release.",
            )
        if not self._is_initialized:
            self._is_initialized = True
            self._start_thread(self._write_heartbeats)
        return {
            "protocol": PROTOCOL,
            "client": layert2v.__version__,
            "python": platform.python_version(),
            "pid": os.getpid(),
        }

    def connect(self, params: JsonObject) -> dict[str, Any]:
        """Start the session, or look for its server again where the settings are the same."""
        settings = settings_from_json(params.value("settings"))
        params.refuse_unknown()
        if self._session is not None and self._session.settings != settings:
            self._session.close()
            self._session = None
        if self._session is None:
            self._session = Session(settings)
            self._start_thread(self._write_events, self._session)
        self._session.connect()
        return {}

    def generate(self, params: JsonObject) -> dict[str, Any]:
        """Ask for a new stack."""
        session = self._require_session()
        defaults = spec_to_json(GenerateSpec(prompt=""))
        spec = spec_from_json({**defaults, **params.mapping("spec")})
        folder, request_id = params.text("folder"), _read_request_id(params)
        priority = _read_priority(params)
        params.refuse_unknown()
        path = Path(folder) if folder else None
        return {
            "request_id": session.generate(
                spec, folder=path, request_id=request_id, priority=priority
            )
        }

    def rerender(self, params: JsonObject) -> dict[str, Any]:
        """Ask for a new state of a stack."""
        session = self._require_session()
        defaults = rerender_to_json(RerenderSpec(action="", layers=()))
        spec = rerender_from_json({**defaults, **params.mapping("spec")})
        folder = Path(params.text("folder"))
        inputs = params.text_list_map("inputs")
        request_id = _read_request_id(params)
        priority = _read_priority(params)
        params.refuse_unknown()
        name = session.rerender(folder, spec, inputs, request_id=request_id, priority=priority)
        return {"request_id": name}

    def decompose(self, params: JsonObject) -> dict[str, Any]:
        """Ask for a stack of footage."""
        session = self._require_session()
        spec = decompose_from_json({**decompose_to_json(DecomposeSpec()), **params.mapping("spec")})
        folder, request_id = params.text("folder"), _read_request_id(params)
        inputs = params.text_list_map("inputs")
        priority = _read_priority(params)
        params.refuse_unknown()
        path = Path(folder) if folder else None
        name = session.decompose(
            spec, inputs, folder=path, request_id=request_id, priority=priority
        )
        return {"request_id": name}

    def refine(self, params: JsonObject) -> dict[str, Any]:
        """Ask for a new state of a decomposed stack."""
        session = self._require_session()
        defaults = refine_to_json(RefineSpec(layer="", matte=""))
        spec = refine_from_json({**defaults, **params.mapping("spec")})
        folder = Path(params.text("folder"))
        inputs = params.text_list_map("inputs")
        request_id = _read_request_id(params)
        priority = _read_priority(params)
        params.refuse_unknown()
        name = session.refine(folder, spec, inputs, request_id=request_id, priority=priority)
        return {"request_id": name}

    def attach(self, params: JsonObject) -> dict[str, Any]:
        """Follow a job from an earlier session."""
        session = self._require_session()
        request_id, job = params.text("request_id"), params.text("job")
        folder = Path(params.text("folder"))
        params.refuse_unknown()
        session.attach(request_id, job, folder)
        return {}

    def cancel(self, params: JsonObject) -> dict[str, Any]:
        """Cancel a request."""
        session = self._require_session()
        request_id = params.text("request_id")
        params.refuse_unknown()
        session.cancel(request_id)
        return {}

    def history(self, params: JsonObject) -> dict[str, Any]:
        """Return the history of a stack."""
        folder = Path(params.text("folder"))
        params.refuse_unknown()
        return {"history": [asdict(entry) for entry in stack_history.history(folder)]}

    def restore(self, params: JsonObject) -> dict[str, Any]:
        """Make an earlier state of a stack the newest."""
        folder, state = Path(params.text("folder")), params.integer("state")
        params.refuse_unknown()
        return {"state": stack_history.restore(folder, state).state}

    def ping(self, params: JsonObject) -> dict[str, Any]:
        """Return nothing: the bridge is there."""
        params.refuse_unknown()
        return {}

    def _require_session(self) -> Session:
        if self._session is None:
            raise NotPossible("NOT_CONNECTED", "Send connect with the settings first.")
        return self._session

    def _queue_response(self, response: dict[str, Any]) -> None:
        while not self._ended.is_set():
            with suppress(queue.Full):
                self._responses.put(response, timeout=0.2)
                return

    def _write_responses(self) -> None:
        while not (self._ended.is_set() and self._responses.empty()):
            with suppress(queue.Empty):
                self._write(self._responses.get(timeout=0.1))

    def _write_events(self, session: Session) -> None:
        while not self._ended.is_set() and self._session is session:
            for event in session.events(1.0):
                self._write(json_rpc.notification(type(event).__name__, event_to_json(event)))

    def _write_heartbeats(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            uptime_s = round(time.monotonic() - self._started_at, 1)
            self._write(json_rpc.notification("heartbeat", {"uptime_s": uptime_s}))

    def _write(self, message: Mapping[str, Any]) -> None:
        """Write one line; when nobody reads any more, the bridge ends."""
        left = memoryview(json_rpc.encode(message))
        try:
            with self._write_lock:
                while left:
                    left = left[os.write(self._out, left) :]
        except OSError:
            self._ended.set()

    def _start_thread(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, name="bridge", daemon=True)
        self._threads.append(thread)
        thread.start()


Method = Callable[[Bridge, JsonObject], "dict[str, Any]"]

# Each method with the parameters that may be left out.
_METHODS: dict[str, tuple[Method, dict[str, Any]]] = {
    "initialize": (Bridge.initialize, {}),
    "connect": (Bridge.connect, {"settings": {}}),
    "generate": (Bridge.generate, {"folder": "", "request_id": "", "priority": ""}),
    "rerender": (Bridge.rerender, {"inputs": {}, "request_id": "", "priority": ""}),
    "decompose": (Bridge.decompose, {"folder": "", "request_id": "", "priority": ""}),
    "refine": (Bridge.refine, {"request_id": "", "priority": ""}),
    "attach": (Bridge.attach, {}),
    "cancel": (Bridge.cancel, {}),
    "history": (Bridge.history, {}),
    "restore": (Bridge.restore, {}),
    "ping": (Bridge.ping, {}),
}


def main() -> int:
    """Serve on this process's stdin and stdout, which nothing else gets; return the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the host's terminal is the host's
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    lines, out = os.fdopen(os.dup(0), "rb"), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)  # what a library prints goes to the log
    sys.stdout = sys.stderr
    return Bridge(lines, out).run()


def _rpc_error(code: int, error: ContractError | ClientError) -> RpcError:
    return RpcError(code, error.reason, error.message, error.hint)


def _read_request_id(params: JsonObject) -> str:
    """Return the UUID in ``request_id``, or an empty text. Raises ``SpecError``."""
    text = params.text("request_id")
    try:
        return str(uuid.UUID(text)) if text else ""
    except ValueError as error:
        raise params.value_error("request_id", "a UUID") from error


def _read_priority(params: JsonObject) -> str:
    """Return the name of a priority, or an empty text. Raises ``SpecError``."""
    text = params.text("priority")
    if text and text not in PRIORITIES:
        raise params.value_error("priority", f"one of {', '.join(PRIORITIES)}")
    return text


if __name__ == "__main__":
    sys.exit(main())
