"""What the server and a worker process say to each other, one JSON object a line.

To the worker, on its standard input: `Run`, `Cancel`; the end of the input means "end yourself".
From the worker: `Ready` once (or `Broken` and the end), then for each job any number of `Alive` and
`Progressed`, then exactly one of `Finished`, `Failed`, `Stopped`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

# In the source folder of a re-render: a JSON list of the files that a client uploaded.
UNTRUSTED_LIST = "brought.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """Do the job of `spec`, JSON of a spec of the kind `work`; `preview` is a file name.

    A generation makes its stack in `folder`. A re-render finds one there and changes it in place;
    `source` has its other inputs.
    """

    job: str
    work: str
    spec: dict[str, Any]
    folder: str
    source: str
    preview: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Cancel:
    """Stop the job if it is the running one."""

    job: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """The engine is loaded; `models` are JSON of ModelInfo, `device` is named for people."""

    models: list[dict[str, Any]]
    device: str
    memory_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """The engine cannot be loaded; the process ends after this."""

    reason: str
    message: str
    hint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Alive:
    """Nothing new, but the worker is well."""

    job: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progressed:
    """How far the job is; `preview` says that the preview file is new."""

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
    """The stack is whole. `files` are JSON of FileRecord, the manifest last."""

    job: str
    files: list[dict[str, Any]]
    preview: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """The engine gave up, and would again. The process ends after this if `last`."""

    job: str
    reason: str
    message: str
    hint: str
    last: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """The job was cancelled and nothing of it is left."""

    job: str


Command = Run | Cancel
Ending = Finished | Failed | Stopped
Report = Alive | Progressed | Ending
Message = Command | Ready | Broken | Report

_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (Run, Cancel, Ready, Broken, Alive, Progressed, Finished, Failed, Stopped)
}


def encode(message: Message) -> bytes:
    """One line. Raises `ValueError` for a number that JSON does not know."""
    plain = {"kind": type(message).__name__, **asdict(message)}
    return json.dumps(plain, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Read one line. Raises `ValueError` for anything else than a message of this module."""
    try:
        plain = json.loads(line)
        kind = _KINDS[plain.pop("kind")]
        if plain.keys() != {field.name for field in fields(kind)}:
            raise ValueError(f"{kind.__name__} has other fields")
        return kind(**plain)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("not a worker's message") from error
