"""Request a change of a stack: check it here, upload what the server lacks, build the message.

Knows stack folders, the images that come along, and the message; not what is generated.
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
    AffectedLayers,
    RerenderSpec,
    affected_layers,
    donor_files,
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
from layert2v_client.transfer import (
    LocalFile,
    TransferOptions,
    find_missing,
    local_file,
    upload_files,
)

# A folder or a job for a stack; a folder, a file or files for images. Text is a job's name.
Source = Union[Path, str]
Input = Union[Path, str, Sequence[Path]]


def prepare_request(
    connection: Connection,
    source: Source,
    spec: RerenderSpec,
    inputs: Mapping[str, Input],
    request_id: uuid.UUID,
    options: TransferOptions,
    with_states: bool = True,
) -> jobs_pb2.CreateJobRequest:
    """Return the request for a change of the stack, once the server has every file that it takes.

    ``with_states`` uploads what else the other states of a folder have, so that the job's stack is
    the whole one; a server that ends with the call needs none of that.
    Raises ``InvalidRequest`` with the wrong fields before anything is sent, ``ManifestError``
    where a folder holds no stack, ``Cancelled`` or another ``ClientError``.
    """
    uploads = _RerenderUploads(connection, spec, inputs, options)
    request = jobs_pb2.RerenderRequest(spec=_message(spec))
    if isinstance(source, Path):
        uploads.add_source(request, source, with_states)
    else:
        request.job = source
    uploads.add_inputs(request)
    uploads.upload_missing(request_id)
    return jobs_pb2.CreateJobRequest(request_id=str(request_id), rerender=request)


def check_request(spec: RerenderSpec, start: Stack) -> AffectedLayers:
    """Return what the request affects in the state it starts from, or say what is wrong with it.

    The server, which knows its models, may say more. Raises ``InvalidRequest``.
    """
    affected = affected_layers(spec, start)
    violations = validate_rerender(spec, start, affected, None)
    wrong = [violation for violation in violations if violation.field != "model"]
    if wrong:
        raise _invalid_error(wrong)
    return affected


def find_images(given: Input) -> list[Path]:
    """Return the files of a plate or a mask: a folder's in natural order, or those that are given.

    Raises ``InvalidRequest`` where there are none, or a folder holds no single sequence.
    """
    if isinstance(given, str) or not given:
        raise _no_images_error(given)
    if not isinstance(given, Path):
        return list(given) if len(given) > 1 else find_images(given[0])
    try:
        paths = [given] if given.is_file() else given.iterdir()
        found = image_sequence.sort_naturally(filter(image_sequence.is_image, paths))
    except OSError as error:
        message = f"{given} cannot be read: {error.strerror}."
        raise InvalidRequest("INPUT_UNREADABLE", message) from error
    if not found:
        raise _no_images_error(given)
    wrong = image_sequence.sequence_error(found)
    if wrong:
        raise InvalidRequest(
            "INPUT_MIXED",
            f"{given} holds no single sequence: {wrong}",
            "Give a folder with the frames of one sequence, numbered without gaps.",
        )
    return list(found)


class _RerenderUploads:
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
        self._required: dict[str, LocalFile] = {}  # by hash
        self._optional: dict[str, LocalFile] = {}  # what the job can do without
        for key in spec.input_keys:
            if key not in inputs:
                violation = FieldViolation("inputs", f"There are no pictures for {key!r}.")
                raise _invalid_error([violation])

    def add_source(
        self, request: jobs_pb2.RerenderRequest, folder: Path, with_states: bool
    ) -> None:
        """Add the stack that is changed."""
        newest, at = manifests.read(folder), self._spec.at
        start = manifests.start_of(newest, at, partial(manifests.read_state, folder))
        affected = check_request(self._spec, start)
        self._start = start
        lost = self._add_stack(folder, source_files(start, affected))
        request.manifest = _manifest_without(newest, lost)
        if at not in (0, newest.state):
            request.state = _manifest_without(manifests.read_state(folder, at), lost)
        if with_states:
            self._add_states(request, folder, newest)

    def add_inputs(self, request: jobs_pb2.RerenderRequest) -> None:
        """Add the images and the other stack."""
        donor = self._spec.donor
        for key in self._spec.input_keys:
            given = self._inputs[key]
            if donor is None or donor.input != key:
                request.inputs[key].list.files.extend(self._add_images(given))
            elif isinstance(given, str):
                request.inputs[key].job = given
            else:
                folder = given if isinstance(given, Path) else given[0]
                other = manifests.read(folder)
                # Without the stack here, the server says whether the layer fits into it.
                wrong = self._start and validate_donor(self._spec, self._start, other)
                if wrong:
                    raise _invalid_error(wrong)
                lost = self._add_stack(folder, donor_files(donor, other))
                request.inputs[key].manifest = _manifest_without(other, lost)

    def upload_missing(self, request_id: uuid.UUID) -> None:
        """Upload what the server does not hold; of optional files, what is unchanged here."""
        missing = find_missing(self._connection, self._required.keys() | self._optional.keys())
        files = {
            sha256: file
            for sha256, file in {**self._optional, **self._required}.items()
            if sha256 in missing and (sha256 in self._required or self._is_unchanged(file))
        }
        upload_files(self._connection, files, request_id, self._options)

    def _is_unchanged(self, file: LocalFile) -> bool:
        try:
            return local_file(file.path, self._options.stop) == file
        except InvalidRequest:  # it is gone
            return False

    def _add_states(self, request: jobs_pb2.RerenderRequest, folder: Path, newest: Stack) -> None:
        """Add all states of the stack that is changed, as far as they are here."""
        for state in manifests.read_states(folder, newest):
            for record in state.files():
                self._optional[record.sha256] = _local_record(folder, record)
            if state.state in (newest.state, self._spec.at):
                continue  # the text goes with the request
            path = state_path(state.state)
            file = local_file(folder / path, self._options.stop)
            self._required[file.sha256] = file
            request.kept.add(path=path, size_bytes=file.size_bytes, sha256=file.sha256)

    def _add_stack(self, folder: Path, records: Sequence[FileRecord]) -> set[str]:
        """Add files of a stack; return latents that nobody has, which the engine can do without.

        Raises ``InvalidRequest`` where images are neither here nor on the server.
        """
        gone = [record for record in records if not (folder / record.path).exists()]
        nowhere = (
            find_missing(self._connection, (record.sha256 for record in gone)) if gone else set()
        )
        lost = {record.path for record in gone if record.sha256 in nowhere}
        images_lost = sorted(path for path in lost if not path.startswith("latents/"))
        if images_lost:
            raise InvalidRequest(
                "FILES_MISSING",
                f"{folder} lacks {len(images_lost)} of its files, such as {images_lost[0]}.",
                "Bring them back, or start from another stack.",
            )
        for record in records:
            if record not in gone:
                self._required[record.sha256] = _local_record(folder, record)
        return lost

    def _add_images(self, given: Input) -> Iterable[jobs_pb2.InputFile]:
        paths = find_images(given)
        for path, name in zip(paths, _remote_names(paths)):
            file = local_file(path, self._options.stop)
            self._required[file.sha256] = file
            yield jobs_pb2.InputFile(path=name, size_bytes=file.size_bytes, sha256=file.sha256)


def _local_record(folder: Path, record: FileRecord) -> LocalFile:
    return LocalFile(folder / record.path, record.size_bytes, record.sha256)


def _remote_names(paths: Sequence[Path]) -> list[str]:
    """Return the names of images on the server, where the names give the order.

    They keep the names that the artist knows, unless those might not travel or give another order.
    """
    plain = all(is_safe_path(path.name) for path in paths)
    if plain and not image_sequence.sequence_error(paths):
        return [path.name for path in paths]
    return [f"{number:06d}{path.suffix.lower()}" for number, path in enumerate(paths)]


def _manifest_without(stack: Stack, lost: set[str]) -> str:
    """Return the manifest's text without the latents that were ``lost``."""
    latents = tuple(file for file in stack.latents if file.path not in lost)
    return manifests.dumps(replace(stack, latents=latents))


def _message(spec: RerenderSpec) -> jobs_pb2.RerenderSpec:
    try:
        return rerender_to_message(spec)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(
            "SPEC_INVALID",
            f"The request holds a number that is too large or text that is not Unicode: {error}.",
        ) from error


def _invalid_error(violations: Sequence[FieldViolation]) -> InvalidRequest:
    message = "The stack cannot be changed so: " + " ".join(v.message for v in violations)
    return InvalidRequest("SPEC_REJECTED", message, "", tuple(violations))


def _no_images_error(given: Input) -> InvalidRequest:
    return InvalidRequest(
        "INPUT_EMPTY",
        f"There are no pictures in {given}.",
        f"Give a folder with frames, or one picture: {', '.join(sorted(IMAGE_SUFFIXES))}.",
    )
