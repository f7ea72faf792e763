"""The files that go with a request: which of them there are, and their upload.

Knows stack folders, images and movies, and the messages that name them; not what is asked for.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Union

from layert2v import image_sequence
from layert2v import stack as manifests
from layert2v.image_sequence import IMAGE_SUFFIXES
from layert2v.stack import FileRecord, Stack, is_safe_path, state_path
from layert2v.v1 import jobs_pb2
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


def find_images(given: Input, *, may_have_gaps: bool = False) -> list[Path]:
    """Return the files of a plate or a mask: a folder's in natural order, or those that are given.

    Raises ``InvalidRequest`` where there are none, or a folder holds no single sequence, or one
    with gaps where it may have none.
    """
    if isinstance(given, str) or not given:
        raise _no_images_error(given)
    if not isinstance(given, Path):
        return list(given) if len(given) > 1 else find_images(given[0], may_have_gaps=may_have_gaps)
    given = image_sequence.find_existing(given)
    try:
        paths = [given] if given.is_file() else given.iterdir()
        found = image_sequence.sort_naturally(filter(image_sequence.is_image, paths))
    except OSError as error:
        message = f"{given} cannot be read: {error.strerror}."
        raise InvalidRequest("INPUT_UNREADABLE", message) from error
    if not found:
        raise _no_images_error(given)
    wrong = image_sequence.sequence_error(found, may_have_gaps=may_have_gaps)
    if wrong:
        raise InvalidRequest(
            "INPUT_MIXED",
            f"{given} holds no single sequence: {wrong}",
            "Give a folder with the frames of one sequence, numbered without gaps.",
        )
    return list(found)


class RequestFiles:
    """Files by their hashes, and their descriptions in a request."""

    def __init__(self, connection: Connection, options: TransferOptions) -> None:
        self._connection = connection
        self._options = options
        self._required: dict[str, LocalFile] = {}
        self._optional: dict[str, LocalFile] = {}  # what the job can do without

    def add_stack(self, folder: Path, records: Sequence[FileRecord]) -> set[str]:
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

    def add_states(
        self,
        request: jobs_pb2.RerenderRequest | jobs_pb2.RefineRequest,
        folder: Path,
        newest: Stack,
        at: int,
    ) -> None:
        """Add all states of the stack of which ``at`` is changed, as far as they are here."""
        for state in manifests.read_states(folder, newest):
            for record in state.files():
                self._optional[record.sha256] = _local_record(folder, record)
            if state.state in (newest.state, at):
                continue  # the text goes with the request
            path = state_path(state.state)
            file = local_file(folder / path, self._options.stop)
            self._required[file.sha256] = file
            request.kept.add(path=path, size_bytes=file.size_bytes, sha256=file.sha256)

    def add_files(
        self, paths: Sequence[Path], names: Sequence[str]
    ) -> Iterable[jobs_pb2.InputFile]:
        """Add images or a movie, which the server knows by ``names``; yield what names them."""
        for path, name in zip(paths, names):
            file = local_file(path, self._options.stop)
            self._required[file.sha256] = file
            yield jobs_pb2.InputFile(path=name, size_bytes=file.size_bytes, sha256=file.sha256)

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


def _local_record(folder: Path, record: FileRecord) -> LocalFile:
    return LocalFile(folder / record.path, record.size_bytes, record.sha256)


def remote_names(paths: Sequence[Path]) -> list[str]:
    """Return the names of images on the server, where the names give the order.

    They keep the names that the artist knows, unless those might not travel or give another order.
    """
    plain = all(is_safe_path(path.name) for path in paths)
    if plain and not image_sequence.sequence_error(paths):
        return [path.name for path in paths]
    return [f"{number:06d}{path.suffix.lower()}" for number, path in enumerate(paths)]


def manifest_without(stack: Stack, lost: set[str]) -> str:
    """Return the manifest's text without the latents that were ``lost``."""
    latents = tuple(file for file in stack.latents if file.path not in lost)
    return manifests.dumps(replace(stack, latents=latents))


def _no_images_error(given: Input) -> InvalidRequest:
    return InvalidRequest(
        "INPUT_EMPTY",
        f"There are no pictures in {given}.",
        f"Give a folder with frames, or one picture: {', '.join(sorted(IMAGE_SUFFIXES))}.",
    )
