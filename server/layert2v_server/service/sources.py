"""What a re-render starts from: stacks and pictures that are found, checked against the wish, and
laid ready for the worker.

Blocking; the submission calls it in threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from layert2v.errors import ManifestError
from layert2v.rerender import (
    donor_files,
    input_keys,
    source_files,
    validate_donor,
    validate_rerender,
)
from layert2v.spec import FieldViolation, ModelInfo
from layert2v.stack import (
    MANIFEST_NAME,
    FileRecord,
    Stack,
    is_safe_path,
    loads,
    start_of,
    state_path,
)
from layert2v_server.domain.request import Brought, OwnJob, Pictures, RerenderWish, Source
from layert2v_server.domain.state import JobState
from layert2v_server.errors import FilesMissing, InvalidSource, JobNotFound, SourceNotFound
from layert2v_server.store.artifacts import ArtifactStore, StagedSource
from layert2v_server.store.content_index import ContentIndex
from layert2v_server.store.jobs import JobStore

Manifests = dict[str, str]  # path in the stack's folder -> text
MAX_MANIFEST_BYTES = 64 << 20  # of one state: 150 bytes for each file


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A wish whose stacks were read. `start` is what the new state starts from, `states` are all
    that came along."""

    wish: RerenderWish
    start: Stack
    states: Sequence[Stack]
    name: str
    manifests: Manifests
    donors: Mapping[str, tuple[Stack, Manifests]]

    def violations(self, model: ModelInfo | None) -> list[FieldViolation]:
        """Everything that keeps `model` from doing it."""
        found = [*self._inputs(), *validate_rerender(self.wish.spec, self.start, model)]
        if not found and self.wish.spec.donor is not None:
            other, _ = self.donors[self.wish.spec.donor.input]
            found = validate_donor(self.wish.spec, self.start, other)
        return found

    def needed(self) -> dict[str, FileRecord]:
        """The files that must be here, by their place."""
        spec = self.wish.spec
        files = {f"stack/{file.path}": file for file in source_files(spec, self.start)}
        if spec.donor is not None:
            key = spec.donor.input
            stack, _ = self.donors[key]
            files |= {f"inputs/{key}/{f.path}": f for f in donor_files(spec.donor, stack)}
        for key, source in self.wish.inputs.items():
            if isinstance(source, Pictures):
                files |= {f"inputs/{key}/{file.path}": file for file in source.files}
        return files

    def welcome(self) -> dict[str, FileRecord]:
        """The files that are taken along where they are here: those of every state."""
        return {f"stack/{file.path}": file for state in self.states for file in state.files()}

    def texts(self) -> dict[str, str]:
        """The manifests, by their place."""
        texts = {f"stack/{path}": text for path, text in self.manifests.items()}
        for key, (_, manifests) in self.donors.items():
            texts[f"inputs/{key}/{MANIFEST_NAME}"] = manifests[MANIFEST_NAME]
        return texts

    def _inputs(self) -> Iterator[FieldViolation]:
        spec, given = self.wish.spec, self.wish.inputs
        wanted = input_keys(spec)
        for key in dict.fromkeys((*wanted, *given)):
            where = f"inputs[{key}]"
            source, is_donor = given.get(key), spec.donor is not None and key == spec.donor.input
            if source is None:
                yield FieldViolation(where, f"The request names the input {key!r}, but has none.")
            elif key not in wanted:
                yield FieldViolation(where, f"Nothing in the request names the input {key!r}.")
            elif is_donor == isinstance(source, Pictures):
                what = "a stack" if is_donor else "pictures"
                yield FieldViolation(where, f"The input {key!r} must be {what}.")
            elif isinstance(source, Pictures):
                yield from _pictures(where, source)


class Sources:
    """Finds and lays ready what re-renders start from."""

    def __init__(
        self, jobs: JobStore, artifacts: ArtifactStore, content_index: ContentIndex
    ) -> None:
        self._jobs = jobs
        self._artifacts = artifacts
        self._content_index = content_index

    def open(self, owner: str, wish: RerenderWish) -> Opened:
        """Read the stacks of a wish. Raises `SourceNotFound`, `InvalidSource`, `FilesMissing`."""
        manifests = self._manifests(owner, wish.source, wish.spec.at)
        states = _states(manifests)
        start = _start(states, wish.spec.at)
        donors = {}
        for key, source in wish.inputs.items():
            if not isinstance(source, Pictures):
                own = self._manifests(owner, source, 0)
                donors[key] = (_parsed(own[MANIFEST_NAME]), own)
        return Opened(
            wish=wish,
            start=start,
            states=list(states.values()),
            name=f"jobs/{wish.source.id}" if isinstance(wish.source, OwnJob) else start.name,
            manifests=manifests,
            donors=donors,
        )

    def stage(self, owner: str, opened: Opened, job_id: str) -> None:
        """Lay everything ready in the folder of the new job; unchanged files take no new room.

        Raises `FilesMissing` and `DiskFull`; the folder is then for the caller to remove.
        """
        needed = opened.needed()
        files = {**opened.welcome(), **needed}
        held = self._content_index.find(owner, {file.sha256 for file in files.values()})
        here = {
            place: held[file.sha256]
            for place, file in files.items()
            if file.sha256 in held and held[file.sha256].path.stat().st_size == file.size_bytes
        }
        missing = [str(PurePosixPath(place)) for place in needed if place not in here]
        if missing:
            raise FilesMissing(missing)
        self._artifacts.stage_source(
            job_id,
            StagedSource(
                files={place: found.path for place, found in here.items()},
                texts=opened.texts(),
                untrusted=[place for place, found in here.items() if found.untrusted],
            ),
        )

    def _manifests(self, owner: str, source: Source, at: int) -> Manifests:
        if isinstance(source, Brought):
            older = {state_path(at): source.state} if source.state else {}
            return {**self._kept(owner, source), **older, MANIFEST_NAME: source.manifest}
        folder = self._own_stack(owner, source.id)
        try:
            paths = (folder / MANIFEST_NAME, *sorted(folder.glob("history/v*.json")))
            return {p.relative_to(folder).as_posix(): p.read_text("utf-8") for p in paths}
        except OSError as error:
            raise SourceNotFound(f"jobs/{source.id}") from error

    def _kept(self, owner: str, source: Brought) -> Manifests:
        """The texts of manifests that were brought as files."""
        held = self._content_index.find(owner, {file.sha256 for file in source.kept})
        missing = [file.path for file in source.kept if file.sha256 not in held]
        if missing:
            raise FilesMissing(missing)
        paths = {file.path: held[file.sha256].path for file in source.kept}
        if any(path.stat().st_size > MAX_MANIFEST_BYTES for path in paths.values()):
            raise InvalidSource("NOT_A_STACK", "A kept manifest of the stack is too large.")
        return {place: path.read_text("utf-8", errors="replace") for place, path in paths.items()}

    def _own_stack(self, owner: str, job_id: str) -> Path:
        try:
            job = self._jobs.get(job_id)
        except JobNotFound as error:
            raise SourceNotFound(f"jobs/{job_id}") from error
        if job.owner != owner:
            raise SourceNotFound(f"jobs/{job_id}")
        if job.state is not JobState.SUCCEEDED:
            raise InvalidSource(
                "SOURCE_NOT_READY",
                f"There is no layer stack of 'jobs/{job_id}' yet: the job is {job.state.lower()}.",
                "Start from a job that has succeeded.",
            )
        return self._artifacts.stack_folder(job_id)


def _states(manifests: Manifests) -> dict[int, Stack]:
    """The states that texts tell, by their numbers. Raises `InvalidSource`."""
    newest = _parsed(manifests[MANIFEST_NAME])
    states = {}
    for path in sorted(manifests.keys() - {MANIFEST_NAME}):
        state = _parsed(manifests[path])
        if path != state_path(state.state) or state.state > newest.state:
            message = f"{path!r} is not the manifest of a state of this stack."
            raise InvalidSource("STATE_INVALID", message, "Bring the manifests as they are kept.")
        states[state.state] = state
    return {**states, newest.state: newest}


def _start(states: Mapping[int, Stack], at: int) -> Stack:
    """Return what a change of state ``at`` starts from. Raises ``InvalidSource``."""

    def kept(state: int) -> Stack:
        if state in states:
            return states[state]
        raise InvalidSource(
            "STATE_NOT_FOUND",
            f"The manifest of state v{state:03d} is not here.",
            "Start from the folder that has this state, or from a newer state.",
        )

    return start_of(states[max(states)], at, kept)


def _parsed(text: str) -> Stack:
    try:
        return loads(text)
    except ManifestError as problem:
        raise InvalidSource(problem.reason, problem.message, problem.hint) from problem


def _pictures(where: str, pictures: Pictures) -> Iterator[FieldViolation]:
    paths = [file.path for file in pictures.files]
    if not paths:
        yield FieldViolation(where, "There are no pictures in this input.")
    for path in paths:
        if not is_safe_path(path):
            yield FieldViolation(where, f"{path!r} is no plain relative path.")
    if len(set(paths)) != len(paths):
        yield FieldViolation(where, "Two pictures have the same path.")
