"""The manifest of a layer stack: ``stack.json`` as frozen data, read strictly, written atomically.

Knows names, ranges, hashes and history; does not open an image. Paths in a manifest are always
relative to the stack folder, with forward slashes, and cannot leave it.

A stack has states, numbered from 1: one entry of its history each. ``stack.json`` is the newest;
every state's whole manifest is also kept as ``history/v001.json``, ``history/v002.json``, ...
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from layert2v.atomic_write import atomic_write
from layert2v.errors import ManifestError
from layert2v.limits import MAX_MANIFEST_BYTES
from layert2v.stack.model import (
    COMMERCIAL_USES,
    FileRecord,
    FlattenedSequence,
    HistoryEntry,
    Layer,
    NetworkRecord,
    Role,
    Stack,
    StackFormat,
    frame_path,
    is_safe_path,
    latents_path,
    layer_folder,
    layer_pattern,
    next_version,
    state_path,
)
from layert2v.stack.reader import SCHEMA, SCHEMA_VERSION, loads

__all__ = [
    "COMMERCIAL_USES",
    "MANIFEST_NAME",
    "SCHEMA",
    "SCHEMA_VERSION",
    "FileRecord",
    "FlattenedSequence",
    "HistoryEntry",
    "Layer",
    "ManifestError",
    "NetworkRecord",
    "Role",
    "Stack",
    "StackFormat",
    "dumps",
    "frame_path",
    "is_safe_path",
    "latents_path",
    "layer_folder",
    "layer_pattern",
    "loads",
    "next_version",
    "read",
    "read_start",
    "read_state",
    "read_states",
    "slug",
    "start_of",
    "state_path",
    "write",
]

MANIFEST_NAME = "stack.json"

SLUG_LENGTH = 40

_STORED_NAMES = {"prompt_interpretation": "understood"}  # fields whose key has an older name
_HINT = f"Make the stack again, or restore its {MANIFEST_NAME}."


def dumps(stack: Stack) -> str:
    """Return the manifest as text. Raises ``ManifestError`` if the stack breaks its own rules."""
    fields = {_STORED_NAMES.get(name, name): value for name, value in asdict(stack).items()}
    for entry in fields["history"]:
        for key in ("networks", "measures"):
            if not entry[key]:  # said where there is something to say
                del entry[key]
    document = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **fields}
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=True) + "\n"
    loads(text)  # the reader is the one definition of a right manifest
    return text


def read(folder: Path) -> Stack:
    """Read ``folder/stack.json``. Raises ``ManifestError``."""
    path = folder / MANIFEST_NAME
    if not path.exists():
        raise ManifestError(
            "MANIFEST_NOT_FOUND",
            f"There is no {MANIFEST_NAME} in {folder}.",
            "Choose the folder of a finished layer stack.",
        )
    return _read(path)


def read_state(folder: Path, state: int = 0) -> Stack:
    """Return a state of the stack in ``folder`` as it was; 0 is the newest.

    Raises ``ManifestError``.
    """
    return _read_archived(folder, read(folder), state)


def read_start(folder: Path, state: int = 0) -> Stack:
    """Return what a new state starts from: the layers of ``state`` (0: the newest), all history.

    Raises ``ManifestError``.
    """
    newest = read(folder)
    return replace(_read_archived(folder, newest, state), history=newest.history)


def read_states(folder: Path, newest: Stack | None = None) -> tuple[Stack, ...]:
    """Return all states whose manifests are in ``folder``, oldest first, the newest one last.

    A folder that holds a part of a stack, or one of the first release, lacks some of them.
    ``newest`` is the newest state, where the caller has read it. Raises ``ManifestError``.
    """
    if newest is None:
        newest = read(folder)
    paths = (folder / state_path(number) for number in range(1, newest.state))
    return (*(_read(path) for path in paths if path.exists()), newest)


def start_of(newest: Stack, at: int, read_archived: Callable[[int], Stack]) -> Stack:
    """Return what a new state starts from: the layers of state ``at`` and the whole history.

    ``read_archived`` gives an earlier state by its number. For 0, and for a state that does not
    exist, that is ``newest``: ``validate_rerender`` reports the latter together with the rest.
    """
    if not 0 < at < newest.state:
        return newest
    return replace(read_archived(at), history=newest.history)


def slug(prompt: str) -> str:
    """Return the first words of a prompt as a name that files and nodes can carry."""
    words = re.sub(r"[^a-z0-9]+", "_", prompt.lower()).strip("_")
    return words[:SLUG_LENGTH].strip("_") or "stack"


def write(stack: Stack, folder: Path) -> Path:
    """Write ``folder/stack.json`` and the same in ``history``, and return the path of the first.

    Both appear whole or not at all, ``stack.json`` last. Raises ``ManifestError`` for a wrong
    stack and ``OSError`` where the folder cannot be written.
    """
    path, archived = folder / MANIFEST_NAME, folder / state_path(stack.state)
    text, was_archived = dumps(stack), archived.exists()
    _archive_previous(stack, folder)
    try:
        archived.parent.mkdir(exist_ok=True)
        atomic_write(archived, text)
        atomic_write(path, text)
    except BaseException:
        if not was_archived:
            archived.unlink(missing_ok=True)
        with suppress(OSError):  # the manifests of other states are there
            archived.parent.rmdir()
        raise
    return path


def _read_archived(folder: Path, newest: Stack, state: int) -> Stack:
    if state in (0, newest.state):
        return newest
    if not 0 < state < newest.state:
        raise ManifestError(
            "STATE_NOT_FOUND",
            f"There is no state v{state:03d} in {folder}; the newest is v{newest.state:03d}.",
            "Choose one that its history names.",
        )
    path = folder / state_path(state)
    if not path.exists():
        raise ManifestError(
            "STATE_NOT_FOUND",
            f"State v{state:03d} is not kept in {folder}, which holds a part of the stack.",
            "Open it where it was made, or choose one that the folder history has.",
        )
    return _read(path)


def _archive_previous(stack: Stack, folder: Path) -> None:
    """Write the previous state to ``history`` if a version without states wrote it."""
    path = folder / state_path(stack.state - 1)
    if stack.state > 1 and not path.exists() and (folder / MANIFEST_NAME).exists():
        previous = read(folder)
        if previous.state == stack.state - 1:
            path.parent.mkdir(exist_ok=True)
            atomic_write(path, dumps(previous))


def _read(path: Path) -> Stack:
    try:
        info = path.stat()
        if not stat.S_ISREG(info.st_mode):  # a pipe or a device would be read for ever
            raise ManifestError("MANIFEST_UNREADABLE", "It is no file.")
        if info.st_size > MAX_MANIFEST_BYTES:
            raise ManifestError("MANIFEST_TOO_LARGE", "It is larger than a manifest can be.")
        return loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        message = f"{path} cannot be read: {why}."
        raise ManifestError("MANIFEST_UNREADABLE", message, _HINT) from error
    except ManifestError as error:
        message = f"{path} cannot be used. {error.message}"
        raise ManifestError(error.reason, message, error.hint or _HINT) from error
