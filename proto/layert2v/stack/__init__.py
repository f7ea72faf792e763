"""The manifest of a layer stack: ``stack.json`` as frozen data, read strictly, written atomically.

Knows names, ranges, hashes and history; does not open a picture. Paths in a manifest are always
relative to the stack folder, with forward slashes, and cannot leave it.

A stack has states, numbered from 1: one entry of its history each. ``stack.json`` is the newest;
every state's whole manifest is also kept as ``history/v001.json``, ``history/v002.json``, ...
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from layert2v.errors import ManifestError
from layert2v.stack.model import (
    FileRecord,
    Flat,
    HistoryEntry,
    Layer,
    Role,
    Stack,
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
    "MANIFEST_NAME",
    "SCHEMA",
    "SCHEMA_VERSION",
    "FileRecord",
    "Flat",
    "HistoryEntry",
    "Layer",
    "ManifestError",
    "Role",
    "Stack",
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
    "state_path",
    "write",
]

MANIFEST_NAME = "stack.json"

_WAY_OUT = f"Make the stack again, or restore its {MANIFEST_NAME}."


def dumps(stack: Stack) -> str:
    """The manifest as text. Raises ``ManifestError`` where the stack breaks its own rules."""
    document = {"schema": SCHEMA, "schema_version": SCHEMA_VERSION, **asdict(stack)}
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
    """A state of the stack in ``folder`` as it was; 0 is the newest. Raises ``ManifestError``."""
    newest = read(folder)
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


def read_start(folder: Path, state: int = 0) -> Stack:
    """What a new state starts from: the layers of ``state`` (0 is the newest) and all history.

    Raises ``ManifestError``.
    """
    return replace(read_state(folder, state), history=read(folder).history)


def write(stack: Stack, folder: Path) -> Path:
    """Write ``folder/stack.json`` and keep it as the manifest of its state; returns its path.

    Both appear whole or not at all, ``stack.json`` last. Raises ``ManifestError`` for a wrong
    stack and ``OSError`` where the folder cannot be written.
    """
    path, kept = folder / MANIFEST_NAME, folder / state_path(stack.state)
    text, known = dumps(stack), kept.exists()
    _keep_former(stack, folder)
    try:
        _appear(kept, text)
        _appear(path, text)
    except BaseException:
        if not known:
            kept.unlink(missing_ok=True)
        with suppress(OSError):  # others are kept there
            kept.parent.rmdir()
        raise
    return path


def _keep_former(stack: Stack, folder: Path) -> None:
    """Keep the state before, where it was written before states were."""
    path = folder / state_path(stack.state - 1)
    if stack.state > 1 and not path.exists() and (folder / MANIFEST_NAME).exists():
        former = read(folder)
        if former.state == stack.state - 1:
            _appear(path, dumps(former))


def _appear(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".stack-", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp makes it private; a stack is shared like its pictures
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _read(path: Path) -> Stack:
    try:
        return loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8 text"
        message = f"{path} cannot be read: {why}."
        raise ManifestError("MANIFEST_UNREADABLE", message, _WAY_OUT) from problem
    except ManifestError as problem:
        message = f"{path} cannot be used. {problem.message}"
        raise ManifestError(problem.reason, message, problem.hint or _WAY_OUT) from problem
