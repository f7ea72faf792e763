"""Stack folders on this machine: merge new states into them, restore old ones, list the history.

A state is a manifest; its files are shared with other states. Nothing that is there is changed:
a state that is merged takes the next number, and versions whose numbers others have taken meanwhile
get new ones. Knows manifests and files; asks a server only for what is missing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from layert2v import stack as manifests
from layert2v.atomic_write import atomic_create
from layert2v.stack import (
    MANIFEST_NAME,
    FileRecord,
    FlattenedSequence,
    HistoryEntry,
    Layer,
    Stack,
    latents_path,
    layer_folder,
    layer_pattern,
    state_path,
)
from layert2v_client.connection import Connection
from layert2v_client.errors import NotPossible, TransferFailed
from layert2v_client.transfer import (
    DownloadItem,
    TransferOptions,
    discard,
    download_files,
    finished_artifacts,
    has_content,
    target_path,
)
from layert2v_client.types import Artifact, JobStatus

OPEN_ACTION = "open"
MERGE_ATTEMPTS = 20  # each is lost only to somebody else's state that was merged first


def history(folder: Path) -> tuple[HistoryEntry, ...]:
    """Return what was done to the stack, oldest first; the place is the state's number, from 1.

    Raises ``ManifestError``.
    """
    return manifests.read(folder).history


def missing_states(folder: Path) -> tuple[int, ...]:
    """Return the states that cannot be opened in ``folder``, because files of them are not here.

    Raises ``ManifestError``.
    """
    newest = manifests.read(folder)
    exists: dict[str, bool] = {}

    def file_exists(path: str) -> bool:
        if path not in exists:  # states share most of their files
            exists[path] = (folder / path).exists()
        return exists[path]

    complete = {
        state.state
        for state in manifests.read_states(folder, newest)
        if all(file_exists(file.path) for file in state.files())
    }
    return tuple(state for state in range(1, newest.state + 1) if state not in complete)


def restore(folder: Path, state: int) -> Stack:
    """Open an earlier state again, so that it becomes the newest, and return the new state.

    Raises ``ManifestError`` where there is none such, ``NotPossible`` where its files are gone.
    """
    former = manifests.read_state(folder, state)
    missing = [file.path for file in former.files() if not (folder / file.path).exists()]
    if missing:
        raise NotPossible(
            "FILES_MISSING",
            f"State v{former.state:03d} lacks {len(missing)} of its files, such as {missing[0]}.",
            "Bring them back, or open another state.",
        )

    def next_state(newest: Stack) -> Stack:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        note = f"opened v{former.state:03d} again"
        entry = HistoryEntry(OPEN_ACTION, now, {}, {"at": former.state}, note, former.state)
        return replace(former, history=(*newest.history, entry))

    return _write_next(folder, next_state)


def clone(folder: Path, target: Path) -> None:
    """Copy the stack with all its states to ``target``, new or empty, by hard links.

    Raises ``ManifestError`` for a wrong stack, ``OSError`` where the copy cannot be made.
    """
    kept = manifests.read_states(folder)
    paths = {file.path for state in kept for file in state.files()}
    paths.update(state_path(state.state) for state in kept)
    for path in (*sorted(paths), MANIFEST_NAME):
        copy = target / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        if (folder / path).exists():  # a state whose files are gone stays one
            _link_or_copy(folder / path, copy)


def merge_job_result(
    connection: Connection, status: JobStatus, folder: Path, options: TransferOptions | None = None
) -> Stack:
    """Merge the state that a re-render made into the stack it was made from.

    Only missing files are downloaded. Where the state was merged already it is only looked up.
    Returns the state as it is in ``folder``. Raises ``NotPossible`` where the folder holds another
    stack, ``TransferFailed``, ``ManifestError`` or another ``ClientError``.
    """
    options = options or TransferOptions()
    artifacts = finished_artifacts(connection, status)
    result = _job_manifest(connection, status, artifacts, options)
    for _ in range(MERGE_ATTEMPTS):
        plan = _plan_merge(result, folder)
        if plan.is_merged:
            return plan.state
        items = _download_items(plan, artifacts, folder)
        try:
            download_files(connection, status, artifacts, items, options)
        except TransferFailed as error:
            if error.reason != "FILE_EXISTS":
                raise
            continue  # somebody took the same version: the next plan sees their files
        state = plan.state
        with suppress(FileExistsError):
            return _claim_state(folder, state)
        discard([item for item in items if item.target.parent.parent.name == "preview"])
    raise NotPossible(
        "LANDING_LOST",
        f"Others write into {folder} all the time.",
        "Try again when they have finished.",
    )


def job_manifest(connection: Connection, status: JobStatus) -> Stack:
    """Return the manifest that a finished job has written.

    Raises ``ManifestError`` or a ``ClientError``.
    """
    artifacts = finished_artifacts(connection, status)
    return _job_manifest(connection, status, artifacts, TransferOptions())


def discard_partial_download(
    connection: Connection, status: JobStatus, folder: Path, options: TransferOptions | None = None
) -> None:
    """Remove what a merge that was cancelled has downloaded. Raises ``ClientError``."""
    artifacts = finished_artifacts(connection, status)
    result = _job_manifest(connection, status, artifacts, options or TransferOptions())
    plan = _plan_merge(result, folder)
    if not plan.is_merged:
        discard(_download_items(plan, artifacts, folder))


@dataclass(frozen=True)
class _MergePlan:
    """A state as it will be here, and the files it lacks; ``origin`` has their paths in the job."""

    state: Stack
    origin: Mapping[str, str]
    wanted: tuple[FileRecord, ...]
    is_merged: bool = False


def _plan_merge(result: Stack, folder: Path) -> _MergePlan:
    newest = _read_newest(folder)
    *before, entry = result.history
    if list(newest.history[: len(before)]) != before:
        raise NotPossible(
            "STACK_OTHER",
            f"{folder} does not hold the stack that the job started from.",
            "Fetch the job into a folder of its own.",
        )
    for number, known in enumerate(newest.history[len(before) :], len(before) + 1):
        if replace(known, versions=entry.versions) == entry:
            return _MergePlan(manifests.read_state(folder, number), {}, (), is_merged=True)
    held = {
        file.path: file for state in manifests.read_states(folder, newest) for file in state.files()
    }
    renumbered = _RenumberedState(result, newest, folder, held)
    wanted = tuple(
        file
        for file in renumbered.state.files()
        if held.get(file.path) != file or not (folder / file.path).exists()
    )
    return _MergePlan(renumbered.state, renumbered.origin, wanted)


class _RenumberedState:
    """The ``result`` of a job under the state and version numbers that are free here.

    ``held`` are the files that the states here name, by path; ``origin`` has the path in the job
    for each path that is other here.
    """

    def __init__(
        self, result: Stack, newest: Stack, folder: Path, held: Mapping[str, FileRecord]
    ) -> None:
        self.origin: dict[str, str] = {}
        self._folder = folder
        self._held = held
        self._number = newest.state + 1
        self._result = result
        layers = tuple(
            replace(layer, **self._renumber(layer)) if self._is_new(layer) else layer
            for layer in result.layers
        )
        flats = tuple(
            replace(flat, **self._renumber(flat)) if self._is_new(flat) else flat
            for flat in result.flats
        )
        sequences: tuple[Layer | FlattenedSequence, ...] = (*layers, *flats)
        versions = {each.name: each.version for each in sequences}
        *_, entry = result.history
        here = {name: versions.get(name, version) for name, version in entry.versions.items()}
        self.state = replace(
            result,
            layers=layers,
            flats=flats,
            latents=tuple(self._move_latents(file, versions) for file in result.latents),
            previews=tuple(self._move_preview(file) for file in result.previews),
            history=(*newest.history, replace(entry, versions=here)),
        )

    def _is_new(self, sequence: Layer | FlattenedSequence) -> bool:
        return any(self._held.get(file.path) != file for file in sequence.files)

    def _renumber(self, sequence: Layer | FlattenedSequence) -> dict[str, Any]:
        """Return version, pattern and files of a new sequence in the first version that is free."""
        version, files = sequence.version, sequence.files
        while any(self._is_taken(file) for file in files):
            version += 1
            there = f"{layer_folder(sequence.name, sequence.version)}/"
            here = f"{layer_folder(sequence.name, version)}/"
            old, new = (f"{sequence.name}_v{each:03d}." for each in (sequence.version, version))
            files = tuple(
                self._move(file, file.path.replace(there, here, 1).replace(old, new, 1))
                for file in sequence.files
            )
        if version == sequence.version:
            return {}
        pattern = layer_pattern(sequence.name, version)
        return {"version": version, "pattern": pattern, "files": files}

    def _is_taken(self, file: FileRecord) -> bool:
        known = self._held.get(file.path)
        if known is not None:
            return known != file
        path = self._folder / file.path
        return path.exists() and not has_content(path, file.size_bytes, file.sha256)

    def _move_latents(self, file: FileRecord, versions: Mapping[str, int]) -> FileRecord:
        for sequence in self._result.sequences():
            if file.path == latents_path(sequence.name, sequence.version):
                path = latents_path(sequence.name, versions[sequence.name])
                # Two jobs may have encoded the same frozen layer: whoever was first is kept.
                return self._held.get(path) or self._move(file, path)
        return file

    def _move_preview(self, file: FileRecord) -> FileRecord:
        there, here = (f"/v{number:03d}/" for number in (self._result.state, self._number))
        return self._move(file, file.path.replace(there, here, 1))

    def _move(self, file: FileRecord, path: str) -> FileRecord:
        self.origin[path] = file.path
        return replace(file, path=path)


def _download_items(
    plan: _MergePlan, artifacts: list[Artifact], folder: Path
) -> list[DownloadItem]:
    by_path = {artifact.path: artifact for artifact in artifacts}
    items = []
    for file in plan.wanted:
        artifact = by_path.get(plan.origin.get(file.path, file.path))
        if artifact is not None:
            items.append(DownloadItem(artifact, target_path(folder, file.path)))
        elif not (folder / file.path).exists():
            raise TransferFailed(
                "FILE_MISSING",
                f"The server's new state names {file.path}, which it does not have.",
                "Run the job again.",
            )
    return items


def _job_manifest(
    connection: Connection, status: JobStatus, artifacts: list[Artifact], options: TransferOptions
) -> Stack:
    wanted = [artifact for artifact in artifacts if artifact.path == MANIFEST_NAME]
    with tempfile.TemporaryDirectory() as name:
        items = [DownloadItem(artifact, Path(name, MANIFEST_NAME)) for artifact in wanted]
        download_files(
            connection, status, artifacts, items, replace(options, report=None, link=False)
        )
        return manifests.read(Path(name))


def _read_newest(folder: Path) -> Stack:
    """Return the newest state, also where its writer has not come to ``stack.json`` yet."""
    newest = manifests.read(folder)
    while (path := folder / state_path(newest.state + 1)).exists():
        newest = manifests.loads(path.read_text(encoding="utf-8"))
    return newest


def _write_next(folder: Path, make: Callable[[Stack], Stack]) -> Stack:
    """Write the state that ``make`` returns for the newest, and return it."""
    while True:
        with suppress(FileExistsError):
            return _claim_state(folder, make(_read_newest(folder)))


def _claim_state(folder: Path, state: Stack) -> Stack:
    """Write ``state`` as the newest. Raises ``FileExistsError`` where its number is taken.

    Whoever creates the manifest in ``history`` has the number: that holds among machines, too.
    """
    kept = folder / state_path(state.state)
    text = manifests.dumps(state)
    try:
        kept.parent.mkdir(exist_ok=True)
        atomic_create(kept, text)
        try:
            manifests.write(state, folder)
        except BaseException:
            kept.unlink(missing_ok=True)
            raise
        later = _read_newest(folder)
        if later.state > state.state:  # somebody was faster: stack.json must not fall back
            manifests.write(later, folder)
    except FileExistsError:
        raise
    except OSError as error:
        raise TransferFailed(
            "FILE_NOT_WRITTEN",
            f"The new state cannot be written into {folder}: {error.strerror or error}.",
            "Free some space, or make the folder writable.",
        ) from error
    return state


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without links
        shutil.copyfile(source, target)
