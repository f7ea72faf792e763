"""The sources of jobs: stacks and images, found, checked and staged for the worker.

Blocking; the submission calls it in threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from layert2v.errors import ManifestError
from layert2v.limits import (
    MAX_INPUT_FILES,
    MAX_INPUTS,
    MAX_MANIFEST_BYTES,
    MAX_MANIFESTS_BYTES,
    MAX_STATES,
)
from layert2v.rerender import (
    AffectedLayers,
    RerenderSpec,
    affected_layers,
    check_lengths,
    donor_files,
    resolve_rerender,
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
from layert2v_server.domain.request import (
    DecomposeRequest,
    ImageSequence,
    JobStack,
    RefineRequest,
    RerenderRequest,
    Source,
    UploadedStack,
)
from layert2v_server.domain.state import JobState
from layert2v_server.errors import (
    FilesMissing,
    InvalidSource,
    JobNotFound,
    SourceNotFound,
    SpecRejected,
)
from layert2v_server.store.artifacts import ArtifactStore, StagedSource
from layert2v_server.store.content_index import ContentIndex
from layert2v_server.store.jobs import JobStore
from layert2v_server.store.stored_file import StoredFile

Manifests = dict[str, str]  # path in the stack's folder -> text


@dataclass(frozen=True, kw_only=True, slots=True)
class ResolvedRerender:
    """A request whose stacks were read.

    ``start`` is what the new state starts from, ``affected`` what the request affects there,
    ``states`` are all that came along. ``name`` is the source's, for people.
    """

    request: RerenderRequest
    start: Stack
    affected: AffectedLayers
    states: Sequence[Stack]
    name: str
    manifests: Manifests
    donors: Mapping[str, tuple[Stack, str]]

    def violations(self, model: ModelInfo | None) -> list[FieldViolation]:
        """Return everything that keeps ``model`` from carrying out the request."""
        spec = self.request.spec
        found = [
            *self._check_inputs(),
            *validate_rerender(spec, self.start, self.affected, model),
        ]
        if not found and spec.donor is not None:
            other, _ = self.donors[spec.donor.input]
            found = validate_donor(spec, self.start, other)
        return found

    def complete_spec(self, model: ModelInfo | None, seed: int) -> RerenderSpec:
        """Return the request's spec with every default filled in."""
        return resolve_rerender(self.request.spec, self.start, self.affected, model, seed)

    def required_files(self) -> dict[str, FileRecord]:
        """Return the files that must be here, by their path in the staged folder."""
        donor = self.request.spec.donor
        files = {f"stack/{f.path}": f for f in source_files(self.start, self.affected)}
        if donor is not None:
            stack, _ = self.donors[donor.input]
            files |= {f"inputs/{donor.input}/{f.path}": f for f in donor_files(donor, stack)}
        for key, source in self.request.inputs.items():
            if isinstance(source, ImageSequence):
                files |= {f"inputs/{key}/{file.path}": file for file in source.files}
        return files

    def optional_files(self) -> dict[str, FileRecord]:
        """Return the files of every state, by path; those that are here are taken along."""
        return {f"stack/{file.path}": file for state in self.states for file in state.files()}

    def unopened_files(self) -> set[str]:
        """Return the paths in the staged folder that nothing opens as an image.

        These are latents, which hold numbers that the engine checks, and previews but for contact
        sheets; by what the manifests say of them and not by what their names end in.
        """
        stacks = [("stack", state) for state in self.states]
        stacks += [(f"inputs/{key}", stack) for key, (stack, _) in self.donors.items()]
        return unopened_files(stacks)

    def texts(self) -> dict[str, str]:
        """Return the manifests by their path in the staged folder."""
        texts = {f"stack/{path}": text for path, text in self.manifests.items()}
        for key, (_, text) in self.donors.items():
            texts[f"inputs/{key}/{MANIFEST_NAME}"] = text
        return texts

    def _check_inputs(self) -> Iterator[FieldViolation]:
        spec, given = self.request.spec, self.request.inputs
        wanted = spec.input_keys
        for key in dict.fromkeys((*wanted, *given)):
            where = f"inputs[{key}]"
            source, is_donor = given.get(key), spec.donor is not None and key == spec.donor.input
            if source is None:
                yield FieldViolation(where, f"The request names the input {key!r}, but has none.")
            elif key not in wanted:
                yield FieldViolation(where, f"Nothing in the request names the input {key!r}.")
            elif is_donor == isinstance(source, ImageSequence):
                what = "a stack" if is_donor else "pictures"
                yield FieldViolation(where, f"The input {key!r} must be {what}.")
            elif isinstance(source, ImageSequence):
                yield from check_images(where, source)


class StageableFiles(Protocol):
    """The files of a request, by their path in the staged folder."""

    def required_files(self) -> dict[str, FileRecord]: ...
    def optional_files(self) -> dict[str, FileRecord]: ...
    def unopened_files(self) -> set[str]: ...
    def texts(self) -> dict[str, str]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceStates:
    """The stack that a request changes: all its states, the one to start from, its name."""

    start: Stack
    states: Sequence[Stack]
    name: str
    manifests: Manifests


class SourceResolver:
    """Finds and stages what jobs start from."""

    def __init__(
        self, jobs: JobStore, artifacts: ArtifactStore, content_index: ContentIndex
    ) -> None:
        self._jobs = jobs
        self._artifacts = artifacts
        self._content_index = content_index

    def resolve(self, owner: str, request: RerenderRequest) -> ResolvedRerender:
        """Read the stacks of a request.

        Raises ``SourceNotFound``, ``InvalidSource`` and ``FilesMissing``.
        """
        spec = request.spec
        check_amounts(request, check_lengths(spec))
        source = self.read_source(owner, request.source, spec.at)
        donors = {}
        donor = None if spec.donor is None else request.inputs.get(spec.donor.input)
        if spec.donor is not None and isinstance(donor, JobStack | UploadedStack):
            text = self._newest_manifest(owner, donor)
            donors[spec.donor.input] = (_parse(text), text)
        return ResolvedRerender(
            request=request,
            start=source.start,
            affected=affected_layers(spec, source.start),
            states=source.states,
            name=source.name,
            manifests=source.manifests,
            donors=donors,
        )

    def read_source(self, owner: str, source: Source, at: int) -> SourceStates:
        """Read the states of the stack that a request changes.

        Raises ``SourceNotFound``, ``InvalidSource`` and ``FilesMissing``.
        """
        manifests = self._manifests(owner, source, at)
        states = _read_states(manifests)
        start = _start(states, at)
        name = f"jobs/{source.id}" if isinstance(source, JobStack) else start.name
        return SourceStates(
            start=start, states=list(states.values()), name=name, manifests=manifests
        )

    def stage(self, owner: str, source: StageableFiles, job_id: str) -> None:
        """Put everything into the folder of the new job; unchanged files take no disk space.

        Raises ``FilesMissing`` and ``DiskFull``; the folder is then for the caller to remove.
        """
        required = source.required_files()
        files = {**source.optional_files(), **required}
        _check_places([*files, *source.texts()])
        held = self._content_index.find(owner, {file.sha256 for file in files.values()})
        here = {
            path: held[file.sha256]
            for path, file in files.items()
            if file.sha256 in held and held[file.sha256].size_bytes == file.size_bytes
        }
        missing = [str(PurePosixPath(path)) for path in required if path not in here]
        if missing:
            raise FilesMissing(missing)
        unopened = source.unopened_files()
        self._artifacts.stage_source(
            job_id,
            StagedSource(
                owner=owner,
                files=here,
                texts=source.texts(),
                untrusted={
                    path: path not in unopened for path, found in here.items() if found.untrusted
                },
            ),
        )

    def _manifests(self, owner: str, source: Source, at: int) -> Manifests:
        if isinstance(source, UploadedStack):
            older = {state_path(at): source.state} if source.state else {}
            return {**self._read_kept(owner, source), **older, MANIFEST_NAME: source.manifest}
        return self._stored_manifests(owner, source.id)

    def _newest_manifest(self, owner: str, source: Source) -> str:
        if isinstance(source, UploadedStack):
            return source.manifest
        return self._stored_manifests(owner, source.id, only=MANIFEST_NAME)[MANIFEST_NAME]

    def _stored_manifests(self, owner: str, job_id: str, *, only: str = "") -> Manifests:
        """Return the manifests of a finished job, or one of them."""
        self._require_stack(owner, job_id)
        try:
            files = self._artifacts.manifest_files(job_id)
            if MANIFEST_NAME not in files:
                raise FileNotFoundError
            return self._read_manifests({only: files[only]} if only else files)
        except OSError as error:
            raise SourceNotFound(f"jobs/{job_id}") from error

    def _read_kept(self, owner: str, source: UploadedStack) -> Manifests:
        """Return the texts of manifests that were uploaded as files."""
        held = self._content_index.find(owner, {file.sha256 for file in source.kept})
        missing = [file.path for file in source.kept if file.sha256 not in held]
        if missing:
            raise FilesMissing(missing)
        return self._read_manifests({file.path: held[file.sha256] for file in source.kept})

    def _read_manifests(self, files: Mapping[str, StoredFile]) -> Manifests:
        """Return the texts of manifests by their places. Raises ``InvalidSource`` and ``OSError``.

        Their sizes are summed before the first is read: the same file may stand at many places.
        """
        sizes = [file.size_bytes for file in files.values()]
        if max(sizes, default=0) > MAX_MANIFEST_BYTES or sum(sizes) > MAX_MANIFESTS_BYTES:
            raise InvalidSource("NOT_A_STACK", "The manifests of the stack are too large.")
        read = self._artifacts.read_stored
        return {place: read(file).decode(errors="replace") for place, file in files.items()}

    def _require_stack(self, owner: str, job_id: str) -> None:
        """Raise ``SourceNotFound`` or ``InvalidSource`` where ``owner`` has no such stack."""
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


def unopened_files(stacks: Iterable[tuple[str, Stack]]) -> set[str]:
    """Return the paths of files that nothing opens as an image, of stacks by their folders."""
    frames, others = set(), set()
    for folder, stack in stacks:
        shown = [file for file in stack.previews if not file.path.endswith(".png")]
        frames |= {f"{folder}/{f.path}" for each in stack.sequences() for f in each.files}
        others |= {f"{folder}/{file.path}" for file in (*stack.latents, *shown)}
    return others - frames


def check_amounts(
    request: RerenderRequest | DecomposeRequest | RefineRequest, found: list[FieldViolation]
) -> None:
    """Raise ``SpecRejected`` for more than may come along, before anything is looked for.

    ``found`` is what is wrong already.
    """
    kept = getattr(getattr(request, "source", None), "kept", ())
    images = [given for given in request.inputs.values() if isinstance(given, ImageSequence)]
    count = sum(len(each.files) for each in images)
    for field, number, maximum in (
        ("kept", len(kept), MAX_STATES),
        ("inputs", len(request.inputs), MAX_INPUTS),
        ("inputs", count, MAX_INPUT_FILES),
    ):
        if number > maximum:
            message = f"There may be at most {maximum} of them, not {number}."
            found.append(FieldViolation(field, message))
    if found:
        raise SpecRejected(found)


def _check_places(places: Sequence[str]) -> None:
    """Raise ``InvalidSource`` where a file has the place of a folder that another file needs."""
    files = set(places)
    for place in places:
        taken = next((f for f in PurePosixPath(place).parents if f.as_posix() in files), None)
        if taken is not None:
            raise InvalidSource(
                "NOT_A_STACK", f"{taken.name!r} is a file and a folder in this stack."
            )


def _read_states(manifests: Manifests) -> dict[int, Stack]:
    """Return the states that manifests hold, by their numbers. Raises ``InvalidSource``."""
    newest = _parse(manifests[MANIFEST_NAME])
    states = {}
    for path in sorted(manifests.keys() - {MANIFEST_NAME}):
        state = _parse(manifests[path])
        if path != state_path(state.state) or state.state > newest.state:
            message = f"{path!r} is not the manifest of a state of this stack."
            raise InvalidSource("STATE_INVALID", message, "Bring the manifests as they are kept.")
        states[state.state] = state
    return {**states, newest.state: newest}


def _start(states: Mapping[int, Stack], at: int) -> Stack:
    """Return what a change of state ``at`` starts from. Raises ``InvalidSource``."""

    def read_kept(state: int) -> Stack:
        if state in states:
            return states[state]
        raise InvalidSource(
            "STATE_NOT_FOUND",
            f"The manifest of state v{state:03d} is not here.",
            "Start from the folder that has this state, or from a newer state.",
        )

    return start_of(states[max(states)], at, read_kept)


def _parse(text: str) -> Stack:
    try:
        return loads(text)
    except ManifestError as error:
        raise InvalidSource(error.reason, error.message, error.hint) from error


def check_images(where: str, images: ImageSequence) -> Iterator[FieldViolation]:
    """Yield what is wrong with the files of an input, as far as their names tell."""
    paths = [file.path for file in images.files]
    if not paths:
        yield FieldViolation(where, "There are no pictures in this input.")
    for path in paths:
        if not is_safe_path(path):
            yield FieldViolation(where, f"{path!r} is no plain relative path.")
    if len(set(paths)) != len(paths):
        yield FieldViolation(where, "Two pictures have the same path.")
