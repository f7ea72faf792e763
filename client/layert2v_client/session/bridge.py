"""A session over JSON lines, for hosts that cannot load gRPC: run
``python -m layert2v_client.session.bridge``.

One JSON object a line, UTF-8, on stdin and stdout; stderr is a log for people.

    bridge  {"hello": {"bridge": 1, "client": "0.1.0", "python": "3.11.7", "pid": 4711}}
    host    {"id": 1, "do": "connect", "settings": {"server": "render01:7433", "token": "..."}}
    bridge  {"id": 1, "ok": {}}
    bridge  {"event": "Connected", "server": "render01:7433", ...}
    host    {"id": 2, "do": "generate", "spec": {"prompt": "a red fox in the snow"}}
    bridge  {"id": 2, "ok": {"request_id": "..."}}
    bridge  {"event": "RequestUpdated", ...}
    bridge  {"beat": 12.0}

``connect`` comes first. ``generate``, ``rerender``, ``attach``, ``cancel``, ``history``,
``restore`` and ``ping`` follow; keys of a spec that are left out keep their defaults. A line that
cannot be used is answered with ``{"id": ..., "error": {"reason", "message", "hint"}}`` and changes
nothing. A host that says ``{"hello": {"bridge": N}}`` first is told where the versions do not fit.

Beats come every few seconds, and answer beats of the host. Events wait, replaced by newer ones,
while the host does not read; answers wait in a short queue, and then so do the host's next lines.
The end of stdin ends the bridge; jobs go on. Nothing else ever writes to stdout.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import queue
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import layert2v
from layert2v.errors import ContractError, SpecError
from layert2v.json_reader import JsonObject, parse
from layert2v.rerender import RerenderSpec, rerender_from_json, rerender_to_json
from layert2v.spec import GenerateSpec, spec_from_json, spec_to_json
from layert2v_client import stack_history
from layert2v_client.errors import ClientError
from layert2v_client.session.events import to_json
from layert2v_client.session.session import Session, settings_from_json

BRIDGE = 1
BEAT_S = 5.0
MAX_LINE_BYTES = 4 << 20
MAX_ANSWERS = 100
LAST_WORDS_S = 2.0
EXIT_VERSION = 2


class Bridge:
    """Reads requests from ``lines``, writes answers, events and beats to the descriptor ``out``."""

    def __init__(self, lines: IO[bytes], out: int) -> None:
        self._lines = lines
        self._out = out
        self._session: Session | None = None
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue(MAX_ANSWERS)
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._began = time.monotonic()
        self._threads: list[threading.Thread] = []

    def run(self) -> int:
        """Serve until the input ends or nobody reads any more; returns the exit code."""
        self._write({"hello": _hello()})
        self._start(self._write_answers)
        self._start(self._write_beats)
        try:
            return self._serve()
        finally:
            self._ended.set()
            if self._session is not None:
                self._session.close()
            for thread in self._threads:
                thread.join(LAST_WORDS_S)  # one may wait for a host that does not read

    def _serve(self) -> int:
        while not self._ended.is_set():
            line = self._lines.readline(MAX_LINE_BYTES + 1)
            if not line:
                return 0
            if len(line) > MAX_LINE_BYTES:
                self._skip_line(line)
                self._answer(_refusal(None, "LINE_TOO_LONG", "A line is at most 4 MiB long."))
                continue
            if not line.strip():
                continue
            answer = self._understand(line)
            self._answer(answer)
            if answer.get("error", {}).get("reason") == "BRIDGE_VERSION":
                return EXIT_VERSION
        return 0

    def _skip_line(self, line: bytes) -> None:
        while line and not line.endswith(b"\n"):
            line = self._lines.readline(MAX_LINE_BYTES)

    def _understand(self, line: bytes) -> dict[str, Any]:
        """The answer to one line."""
        number: Any = None
        try:
            value = parse(line.decode(), SpecError)
            fields = JsonObject(value, "", SpecError)
            if "hello" in value:
                return _greet(fields.mapping("hello"))
            if "beat" in value:
                return {"beat": fields.number("beat")}
            number = fields.integer("id")
            do = fields.text("do")
            if do not in _VERBS:
                message = f"The bridge cannot {do!r}; it can: {', '.join(sorted(_VERBS))}."
                raise SpecError("VERB_UNKNOWN", message)
            work, defaults = _VERBS[do]
            asked = {key: given for key, given in value.items() if key not in ("id", "do")}
            result = work(self, JsonObject({**defaults, **asked}, "", SpecError))
        except UnicodeDecodeError:
            return _refusal(number, "LINE_INVALID", "A line is UTF-8 text.")
        except (ContractError, ClientError) as error:
            return _refusal(number, error.reason, error.message, error.hint)
        except OSError as error:
            message = f"{error.filename} cannot be used: {error.strerror}."
            return _refusal(number, "FILE_UNUSABLE", message)
        return {"id": number, "ok": result}

    def connect(self, fields: JsonObject) -> dict[str, Any]:
        """Make the session, or look for its server again where the settings are the same."""
        settings = settings_from_json(fields.value("settings"))
        fields.done()
        if self._session is not None and self._session.settings != settings:
            self._session.close()
            self._session = None
        if self._session is None:
            self._session = Session(settings)
            self._start(self._write_events, self._session)
        self._session.connect()
        return {}

    def generate(self, fields: JsonObject) -> dict[str, Any]:
        """A new stack."""
        session = self._there()
        plain = spec_to_json(GenerateSpec(prompt=""))
        spec = spec_from_json({**plain, **fields.mapping("spec")})
        folder, request_id = fields.text("folder"), _request_id(fields)
        fields.done()
        place = Path(folder) if folder else None
        return {"request_id": session.generate(spec, folder=place, request_id=request_id)}

    def rerender(self, fields: JsonObject) -> dict[str, Any]:
        """A new state of a stack."""
        session = self._there()
        plain = rerender_to_json(RerenderSpec(action="", layers=()))
        spec = rerender_from_json({**plain, **fields.mapping("spec")})
        folder = Path(fields.text("folder"))
        inputs = fields.text_list_map("inputs")
        request_id = _request_id(fields)
        fields.done()
        return {"request_id": session.rerender(folder, spec, inputs, request_id=request_id)}

    def attach(self, fields: JsonObject) -> dict[str, Any]:
        """A job from before."""
        session = self._there()
        request_id, job = fields.text("request_id"), fields.text("job")
        folder = Path(fields.text("folder"))
        fields.done()
        session.attach(request_id, job, folder)
        return {}

    def cancel(self, fields: JsonObject) -> dict[str, Any]:
        """Stop a request."""
        session = self._there()
        request_id = fields.text("request_id")
        fields.done()
        session.cancel(request_id)
        return {}

    def history(self, fields: JsonObject) -> dict[str, Any]:
        """What was done to a stack."""
        folder = Path(fields.text("folder"))
        fields.done()
        return {"history": [asdict(entry) for entry in stack_history.history(folder)]}

    def restore(self, fields: JsonObject) -> dict[str, Any]:
        """Open an earlier state again."""
        folder, state = Path(fields.text("folder")), fields.integer("state")
        fields.done()
        return {"state": stack_history.restore(folder, state).state}

    def ping(self, fields: JsonObject) -> dict[str, Any]:
        """Nothing."""
        fields.done()
        return {}

    def _there(self) -> Session:
        if self._session is None:
            raise SpecError("NOT_CONNECTED", "Say connect with the settings first.")
        return self._session

    def _answer(self, answer: dict[str, Any]) -> None:
        while not self._ended.is_set():
            with suppress(queue.Full):
                self._answers.put(answer, timeout=0.2)
                return

    def _write_answers(self) -> None:
        while not (self._ended.is_set() and self._answers.empty()):
            with suppress(queue.Empty):
                self._write(self._answers.get(timeout=0.1))

    def _write_events(self, session: Session) -> None:
        while not self._ended.is_set() and self._session is session:
            for event in session.events(1.0):
                self._write(to_json(event))

    def _write_beats(self) -> None:
        while not self._ended.wait(BEAT_S):
            self._write({"beat": round(time.monotonic() - self._began, 1)})

    def _write(self, message: dict[str, Any]) -> None:
        """Write one line; when nobody reads any more, the bridge ends."""
        left = memoryview(json.dumps(message, ensure_ascii=False).encode() + b"\n")
        try:
            with self._writing:
                while left:
                    left = left[os.write(self._out, left) :]
        except OSError:
            self._ended.set()

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="bridge", daemon=True)
        self._threads.append(thread)
        thread.start()


Verb = Callable[[Bridge, JsonObject], "dict[str, Any]"]

# What each may leave out.
_VERBS: dict[str, tuple[Verb, dict[str, Any]]] = {
    "connect": (Bridge.connect, {"settings": {}}),
    "generate": (Bridge.generate, {"folder": "", "request_id": ""}),
    "rerender": (Bridge.rerender, {"inputs": {}, "request_id": ""}),
    "attach": (Bridge.attach, {}),
    "cancel": (Bridge.cancel, {}),
    "history": (Bridge.history, {}),
    "restore": (Bridge.restore, {}),
    "ping": (Bridge.ping, {}),
}


def main() -> int:
    """Serve on this process's stdin and stdout, which nobody else gets."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the host's terminal is the host's
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    lines, out = os.fdopen(os.dup(0), "rb"), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)  # what a library prints goes to the log
    sys.stdout = sys.stderr
    return Bridge(lines, out).run()


def _hello() -> dict[str, Any]:
    return {
        "bridge": BRIDGE,
        "client": layert2v.__version__,
        "python": platform.python_version(),
        "pid": os.getpid(),
    }


def _greet(hello: dict[str, Any]) -> dict[str, Any]:
    """The answer to the host's version; a refusal ends the bridge."""
    spoken = hello.get("bridge")
    if spoken == BRIDGE:
        return {"hello": _hello()}
    message = f"The host speaks version {spoken!r} of the bridge, the client {BRIDGE}."
    hint = "Install the plug-in and the client of the same release."
    return _refusal(None, "BRIDGE_VERSION", message, hint)


def _refusal(number: Any, reason: str, message: str, hint: str = "") -> dict[str, Any]:
    return {"id": number, "error": {"reason": reason, "message": message, "hint": hint}}


def _request_id(fields: JsonObject) -> str:
    """A UUID, or nothing. Raises ``SpecError``."""
    text = fields.text("request_id")
    try:
        return str(uuid.UUID(text)) if text else ""
    except ValueError as error:
        raise fields.value_error("request_id", "a UUID") from error


if __name__ == "__main__":
    sys.exit(main())
