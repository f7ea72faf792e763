"""Register finished stacks again whose rows are lost, from what lies on disk.

    <root>/<job id>/job.json    written before a stack is published: owner, request, times

Jobs of versions that wrote no such note come back as generations of the user of this machine.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from layert2v.errors import ContractError
from layert2v.spec import GenerateSpec
from layert2v.stack import FileRecord, Stack, read
from layert2v_server.auth import LOCAL_USER
from layert2v_server.domain.job import Job
from layert2v_server.domain.request import (
    JobKind,
    JobSpec,
    job_kind,
    job_spec_from_json,
    job_spec_to_json,
)
from layert2v_server.store.artifacts import ArtifactStore
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.regular_file import is_regular, read_regular
from layert2v_server.store.rows import new_row
from layert2v_server.worker.stack_files import list_stack_files

MAX_NOTE_BYTES = 16 << 20  # untrusted files are listed: 70 bytes each

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobNote:
    """What the row of a finished job holds and its stack does not."""

    owner: str
    spec: JobSpec
    source: str
    created: float
    untrusted: tuple[str, ...]  # SHA-256 of files that a caller brought and nobody checked


def note_text(job: Job, untrusted: Sequence[str]) -> str:
    """Return the text of the note of a job that is about to be published."""
    plain = {
        "owner": job.owner,
        "kind": job_kind(job.spec),
        "spec": job_spec_to_json(job.spec),
        "source": job.source,
        "created": job.created,
        "untrusted": list(untrusted),
    }
    return json.dumps(plain) + "\n"


def rebuild(store: JobStore, artifacts: ArtifactStore) -> int:
    """Register every published stack that the job store does not know; return their number."""
    count = 0
    for job_id in sorted(artifacts.unknown_stacks(store.list_ids())):
        folder = artifacts.stack_folder(job_id)
        try:
            stack = read(folder)
            files = [file for file in list_stack_files(stack, folder) if _is_there(folder, file)]
        except (ContractError, OSError) as error:
            _log.warning("job=%s cannot be registered again: %s", job_id, error)
            continue
        note = _read_note(artifacts.note_path(job_id)) or _note_of(stack, files, folder)
        row = new_row(job_id, note.spec, note.source, note.created)
        store.register(note.owner, row, files, note.untrusted)
        count += 1
    return count + _rebuild_stored(store, artifacts)


def _rebuild_stored(store: JobStore, artifacts: ArtifactStore) -> int:
    """Register every result in the bucket that the job store does not know."""
    count = 0
    for job_id, text, objects in artifacts.lost_results(store.list_ids()):
        note = _parse_note(text)
        if note is None:
            _log.warning("job=%s has a note that cannot be read", job_id)
            continue
        files = [
            FileRecord(path=each.place, size_bytes=each.size_bytes, sha256=each.sha256)
            for each in objects
        ]
        row = new_row(job_id, note.spec, note.source, note.created)
        store.register(note.owner, row, files, note.untrusted)
        artifacts.hold_again(job_id, objects)
        count += 1
    return count


def _is_there(folder: Path, file: FileRecord) -> bool:
    path = folder / file.path
    return is_regular(path) and path.stat().st_size == file.size_bytes


def _read_note(path: Path) -> JobNote | None:
    try:
        return _parse_note(read_regular(path, MAX_NOTE_BYTES))
    except OSError:
        return None


def _parse_note(text: str | bytes) -> JobNote | None:
    try:
        plain = json.loads(text)
        return JobNote(
            owner=str(plain["owner"]),
            spec=job_spec_from_json(JobKind(plain["kind"]), plain["spec"]),
            source=str(plain["source"]),
            created=float(plain["created"]),
            untrusted=tuple(map(str, plain["untrusted"])),
        )
    except (ValueError, KeyError, TypeError, ContractError):
        return None


def _note_of(stack: Stack, files: list[FileRecord], folder: Path) -> JobNote:
    """Return the note that a stack by itself allows: nothing in it is trusted."""
    spec = GenerateSpec(
        prompt=stack.prompt,
        negative_prompt=stack.negative_prompt,
        width=stack.width,
        height=stack.height,
        frames=stack.frames,
        fps=stack.fps,
        seed=stack.seed,
        model=stack.model,
        colorspace=stack.colorspace,
        start_frame=stack.start_frame,
        nearest=True,  # not recorded; it was carried out, so it can be again
    )
    return JobNote(
        owner=LOCAL_USER,
        spec=spec,
        source="",
        created=folder.stat().st_mtime,
        untrusted=tuple(file.sha256 for file in files),
    )
