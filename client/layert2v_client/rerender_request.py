"""Ask for a change of a stack: check it here, bring the server what it lacks, make the request.

Knows stack folders, the pictures that come along, and the message; not what is drawn.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Union

from layert2v import image_sequence
from layert2v import stack as manifests
from layert2v.image_sequence import IMAGE_SUFFIXES
from layert2v.rerender import (
    RerenderSpec,
    donor_files,
    input_keys,
    source_files,
    validate_donor,
    validate_rerender,
)
from layert2v.spec import FieldViolation
from layert2v.stack import FileRecord, Stack, is_safe_path, state_path
from layert2v.v1 import jobs_pb2
from layert2v.wire import rerender_to_message
from layert2v_client.connection import Connection
from layert2v_client.errors import InvalidRequest
from layert2v_client.transfer.download import TransferOptions
from layert2v_client.transfer.upload import LocalFile, find_missing, local_file, upload_files

# A folder or a job for a stack; a folder, a file or files for pictures. Text is a job's name.
Source = Union[Path, str]
Input = Union[Path, str, Sequence[Path]]


def prepare(
    connection: Connection,
    source: Source,
    spec: RerenderSpec,
    inputs: Mapping[str, Input],
    request_id: uuid.UUID,
    options: TransferOptions,
    with_states: bool = True,
) -> jobs_pb2.CreateJobRequest:
    """The request for a change of the stack, when the server has every file that it takes.

    ``with_states`` brings what else the other states of a folder have, so that the job's stack is
    the whole one; a server that ends with the call needs none of that.
    Raises ``InvalidRequest`` with the wrong fields before anything is sent, ``ManifestError``
    where a folder holds no stack, ``Cancelled`` or another ``ClientError``.
    """
    luggage = _Luggage(connection, spec, inputs, options)
    request = jobs_pb2.RerenderRequest(spec=_message(spec))
    if isinstance(source, Path):
        luggage.add_source(request, source)
        if with_states:
            luggage.add_states(request, source)
    else:
        request.job = source
    luggage.add_inputs(request)
    luggage.bring(request_id)
    return jobs_pb2.CreateJobRequest(request_id=str(request_id), rerender=request)


def check(spec: RerenderSpec, start: Stack) -> None:
    """Say what is wrong before anything travels; the server, which knows its models, says more.

    Raises ``InvalidRequest``.
    """
    violations = validate_rerender(spec, start, None)
    wrong = [violation for violation in violations if violation.field != "model"]
    if wrong:
        raise _invalid(wrong)


def pictures(given: Input) -> list[Path]:
    """The files of a plate or a mask: those of a folder in their order, or those that are given.

    Raises ``InvalidRequest`` where there are none, or a folder holds no single sequence.
    """
    if isinstance(given, str) or not given:
        raise _no_pictures(given)
    if not isinstance(given, Path):
        return list(given) if len(given) > 1 else pictures(given[0])
    try:
        there = [given] if given.is_file() else given.iterdir()
        found = image_sequence.sort_naturally(
            path for path in there if image_sequence.is_image(path)
        )
    except OSError as error:
        message = f"{given} cannot be read: {error.strerror}."
        raise InvalidRequest("INPUT_UNREADABLE", message) from error
    if not found:
        raise _no_pictures(given)
    wrong = image_sequence.sequence_error(found)
    if wrong:
        raise InvalidRequest(
            "INPUT_MIXED",
            f"{given} holds no single sequence: {wrong}",
            "Give a folder with the frames of one sequence, numbered without gaps.",
        )
    return list(found)


class _Luggage:
    """The files that go with a request, and their descriptions in it."""

    def __init__(
        self,
        connection: Connection,
        spec: RerenderSpec,
        inputs: Mapping[str, Input],
        options: TransferOptions,
    ) -> None:
        self._connection = connection
        self._spec = spec
        self._inputs = inputs
        self._options = options
        self._start: Stack | None = None
        self._files: dict[str, LocalFile] = {}
        self._spare: dict[str, LocalFile] = {}  # what the job can do without
        for key in input_keys(spec):
            if key not in inputs:
                violation = FieldViolation("inputs", f"There are no pictures for {key!r}.")
                raise _invalid([violation])

    def add_source(self, request: jobs_pb2.RerenderRequest, folder: Path) -> None:
        """The stack that is changed."""
        newest, at = manifests.read(folder), self._spec.at
        # A state that there is not is told with the other violations.
        start = manifests.start_of(newest, at, partial(manifests.read_state, folder))
        check(self._spec, start)
        self._start = start
        lost = self._add_stack(folder, source_files(self._spec, start))
        request.manifest = _text(newest, lost)
        if at not in (0, newest.state):
            request.state = _text(manifests.read_state(folder, at), lost)

    def add_states(self, request: jobs_pb2.RerenderRequest, folder: Path) -> None:
        """All states of the stack that is changed, as far as they are here."""
        newest = manifests.read(folder)
        for state in manifests.read_states(folder, newest):
            for record in state.files():
                self._spare[record.sha256] = _local_file(folder, record)
            if state.state in (newest.state, self._spec.at):
                continue  # the text goes with the request
            kept = local_file(folder / state_path(state.state), self._options.stop)
            self._files[kept.sha256] = kept
            request.kept.add(
                path=state_path(state.state), size_bytes=kept.size_bytes, sha256=kept.sha256
            )

    def add_inputs(self, request: jobs_pb2.RerenderRequest) -> None:
        """The pictures and the other stack."""
        donor = self._spec.donor
        for key in input_keys(self._spec):
            given = self._inputs[key]
            if donor is None or donor.input != key:
                request.inputs[key].list.files.extend(self._add_pictures(given))
            elif isinstance(given, str):
                request.inputs[key].job = given
            else:
                folder = given if isinstance(given, Path) else given[0]
                other = manifests.read(folder)
                # Without the stack here, the server says whether the layer fits into it.
                wrong = self._start and validate_donor(self._spec, self._start, other)
                if wrong:
                    raise _invalid(wrong)
                lost = self._add_stack(folder, donor_files(donor, other))
                request.inputs[key].manifest = _text(other, lost)

    def bring(self, request_id: uuid.UUID) -> None:
        """Upload what the server does not hold; of what it can do without, what is unchanged."""
        lacking = find_missing(self._connection, self._files.keys() | self._spare.keys())
        files = {
            sha256: file
            for sha256, file in {**self._spare, **self._files}.items()
            if sha256 in lacking and (sha256 in self._files or self._is_unchanged(file))
        }
        upload_files(self._connection, files, request_id, self._options)

    def _is_unchanged(self, file: LocalFile) -> bool:
        try:
            return local_file(file.path, self._options.stop) == file
        except InvalidRequest:  # it is gone
            return False

    def _add_stack(self, folder: Path, records: Sequence[FileRecord]) -> set[str]:
        """Add files of a stack; returns latents that nobody has, which the engine can do without.

        Raises ``InvalidRequest`` where pictures are neither here nor on the server.
        """
        gone = [record for record in records if not (folder / record.path).exists()]
        nowhere = (
            find_missing(self._connection, (record.sha256 for record in gone)) if gone else set()
        )
        lost = {record.path for record in gone if record.sha256 in nowhere}
        pictures_lost = sorted(path for path in lost if not path.startswith("latents/"))
        if pictures_lost:
            raise InvalidRequest(
                "FILES_MISSING",
                f"{folder} lacks {len(pictures_lost)} of its files, such as {pictures_lost[0]}.",
                "Bring them back, or start from another stack.",
            )
        for record in records:
            if record not in gone:
                self._files[record.sha256] = _local_file(folder, record)
        return lost

    def _add_pictures(self, given: Input) -> Iterable[jobs_pb2.InputFile]:
        found = pictures(given)
        for path, name in zip(found, _names(found)):
            file = local_file(path, self._options.stop)
            self._files[file.sha256] = file
            yield jobs_pb2.InputFile(path=name, size_bytes=file.size_bytes, sha256=file.sha256)


def _local_file(folder: Path, record: FileRecord) -> LocalFile:
    return LocalFile(folder / record.path, record.size_bytes, record.sha256)


def _names(found: Sequence[Path]) -> list[str]:
    """What pictures are called on the server, where their names give the order.

    They keep the names that the artist knows, unless those might not travel or say another order.
    """
    plain = all(is_safe_path(path.name) for path in found)
    if plain and not image_sequence.sequence_error(found):
        return [path.name for path in found]
    return [f"{number:06d}{path.suffix.lower()}" for number, path in enumerate(found)]


def _text(stack: Stack, lost: set[str]) -> str:
    """The manifest without the latents that were lost."""
    kept = tuple(file for file in stack.latents if file.path not in lost)
    return manifests.dumps(replace(stack, latents=kept))


def _message(spec: RerenderSpec) -> jobs_pb2.RerenderSpec:
    try:
        return rerender_to_message(spec)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(
            "SPEC_INVALID",
            f"The request holds a number that is too large or text that is not Unicode: {error}.",
        ) from error


def _invalid(violations: Sequence[FieldViolation]) -> InvalidRequest:
    message = "The stack cannot be changed so: " + " ".join(v.message for v in violations)
    return InvalidRequest("SPEC_REJECTED", message, "", tuple(violations))


def _no_pictures(given: Input) -> InvalidRequest:
    return InvalidRequest(
        "INPUT_EMPTY",
        f"There are no pictures in {given}.",
        f"Give a folder with frames, or one picture: {', '.join(sorted(IMAGE_SUFFIXES))}.",
    )
