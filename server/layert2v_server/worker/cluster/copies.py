"""The files of a job on a node that does not see the server's folder: there before, back after.

Pieces go through Ray's object store. What comes back is compared with the hashes that the worker
reported, and replaces files: those of an attempt are hard links that other jobs share.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from layert2v.atomic_write import atomic_write
from layert2v.stack import is_safe_path
from layert2v.wire import MAX_PREVIEW_BYTES
from layert2v_server.errors import WorkerLost
from layert2v_server.worker.messages import Finished, RunJob

PIECE_BYTES = 8 << 20
_STACK, _SOURCE, _PREVIEW = "stack", "source", "preview.png"


class JobCopies:
    """The copies of the job of ``command``, whose folders are on this machine."""

    def __init__(self, actor: Any, command: RunJob) -> None:
        self._actor, self._command = actor, command

    async def send(self) -> RunJob:
        """Copy the inputs to the node; return the command with the folders there."""
        command = self._command
        folder = Path(await self._actor.job_folder.remote(command.job))
        for name, place in ((_STACK, command.folder), (_SOURCE, command.source)):
            for path in _files_in(Path(place)):
                await self._send_file(path, f"{name}/{path.relative_to(place).as_posix()}")
        return dataclasses.replace(
            command,
            folder=str(folder / _STACK),
            source=str(folder / _SOURCE),
            preview=str(folder / _PREVIEW),
        )

    async def fetch_preview(self) -> None:
        """Copy the newest preview to its place here."""
        data = await self._actor.read_piece.remote(self._place(_PREVIEW), 0, MAX_PREVIEW_BYTES)
        atomic_write(Path(self._command.preview), data, durable=False)

    async def fetch_stack(self, outcome: Finished) -> None:
        """Copy the files of a finished stack here, but for those that did not change.

        Raises ``WorkerLost`` where one is not what the worker reported.
        """
        folder = Path(self._command.folder)
        for file in outcome.files:
            if not is_safe_path(file["path"]):
                raise WorkerLost("The worker reported a file that is not there.")
            target = folder / file["path"]
            if await asyncio.to_thread(_sha256, target) != file["sha256"]:
                await self._fetch_file(f"{_STACK}/{file['path']}", target, file["sha256"])

    async def delete(self) -> None:
        """Delete the copies on the node."""
        await self._actor.delete_job.remote(self._command.job)

    def _place(self, path: str) -> str:
        return f"{self._command.job}/{path}"

    async def _send_file(self, path: Path, place: str) -> None:
        is_first = True
        with path.open("rb") as file:
            while (piece := file.read(PIECE_BYTES)) or is_first:
                await self._actor.write_piece.remote(self._place(place), piece, is_first=is_first)
                is_first = False

    async def _fetch_file(self, place: str, target: Path, sha256: str) -> None:
        partial = target.with_name(f".{target.name}.part")
        partial.parent.mkdir(parents=True, exist_ok=True)
        digest, offset = hashlib.sha256(), 0
        with partial.open("wb") as file:
            while piece := await self._actor.read_piece.remote(
                self._place(place), offset, PIECE_BYTES
            ):
                file.write(piece)
                digest.update(piece)
                offset += len(piece)
        if digest.hexdigest() != sha256:
            raise WorkerLost("A file of the worker changed on its way to the server.")
        partial.replace(target)


def _files_in(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder, none where there is no folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield path


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
