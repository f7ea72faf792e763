"""Messages between the server and a worker process, one JSON object a line.

To the worker, on its standard input: ``RunJob``, ``CancelJob``; the end of the input ends the
worker. From the worker: ``Ready`` once (or ``LoadFailed`` and the end), then for each job any
number of ``Heartbeat`` and ``ProgressReport``, then exactly one of ``Finished``, ``Failed``,
``Stopped``. A process that speaks for a worker elsewhere sends ``WorkerEnded`` before it ends where
that worker has ended.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

# In the source folder of a re-render: the files that a client uploaded, as a JSON object of paths;
# the value tells if anything opens the file as an image. (A list, as 0.4 wrote it: all of them.)
UNTRUSTED_LIST = "brought.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class RunJob:
    """Run the job of ``spec``, the JSON of a spec of ``job_kind``; ``preview`` is a file name.

    A new stack is written to ``folder``. A change of a stack finds that there and changes it in
    place. ``source`` is the folder of other inputs. ``request`` is the id that the worker logs.
    """

    job: str
    job_kind: str
    spec: dict[str, Any]
    folder: str
    source: str
    preview: str
    request: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CancelJob:
    """Cancel the job if it is the running one."""

    job: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """The engine is loaded; ``models`` are JSON of ModelInfo, ``device`` is a name for people."""

    models: list[dict[str, Any]]
    device: str
    memory_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadFailed:
    """The engine cannot be loaded; the process ends after this."""

    reason: str
    message: str
    hint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Heartbeat:
    """The worker is alive; there is no new progress."""

    job: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProgressReport:
    """Progress of the job; ``preview`` is true where the preview file is new."""

    job: str
    stage: str
    done: int
    total: int
    message: str
    fraction: float
    eta_s: float | None
    preview: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Finished:
    """The stack is complete. ``files`` are JSON of FileRecord, the manifest last.

    ``untrusted`` are the SHA-256 of those that a caller brought and nobody checked.
    """

    job: str
    files: list[dict[str, Any]]
    untrusted: list[str]
    preview: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """The job failed and would fail again. The process ends after this if ``worker_exits``."""

    job: str
    reason: str
    message: str
    hint: str
    worker_exits: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """The job was cancelled and its files are deleted."""

    job: str


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerEnded:
    """The worker that this process speaks for has ended by itself; see ``Popen.returncode``."""

    exit_code: int


Command = RunJob | CancelJob
Outcome = Finished | Failed | Stopped
Report = Heartbeat | ProgressReport | Outcome
Message = Command | Ready | LoadFailed | Report | WorkerEnded

_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (
        RunJob,
        CancelJob,
        Ready,
        LoadFailed,
        Heartbeat,
        ProgressReport,
        Finished,
        Failed,
        Stopped,
        WorkerEnded,
    )
}


def encode(message: Message) -> bytes:
    """Return the message as one line. Raises ``ValueError`` for a number that JSON has not."""
    plain = {"kind": type(message).__name__, **asdict(message)}
    return json.dumps(plain, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Read one line. Raises ``ValueError`` for anything else than a message of this module."""
    try:
        plain = json.loads(line)
        kind = _KINDS[plain.pop("kind")]
        if plain.keys() != {field.name for field in fields(kind)}:
            raise ValueError(f"{kind.__name__} has other fields")
        return kind(**plain)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a worker's message") from error
