"""The files of a stack on disk with their hashes: what a job publishes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from layert2v.stack import MANIFEST_NAME, FileRecord, Stack, read_states


def list_stack_files(stack: Stack, folder: Path) -> Iterator[FileRecord]:
    """Yield every file of the stack with its hash.

    First the files of the newest state in manifest order, then those that only earlier states have,
    then the manifests of all states, the newest last.
    """
    files = {file.path: file for file in stack.files()}
    earlier = reversed(read_states(folder, stack)[:-1])
    for file in (file for state in earlier for file in state.files()):
        if file.path not in files and (folder / file.path).is_file():
            files[file.path] = file
    yield from files.values()
    for path in (*sorted(folder.glob("history/v*.json")), folder / MANIFEST_NAME):
        data = path.read_bytes()
        yield FileRecord(
            path=path.relative_to(folder).as_posix(),
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
