"""A file that is here, in the data folder or in the bucket, and how it is read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from layert2v_server.errors import ArtifactDamaged, ArtifactNotFound
from layert2v_server.store.bucket.index import StoredObject
from layert2v_server.store.database import convert_os_errors
from layert2v_server.store.regular_file import open_regular


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredFile:
    """A file at ``path``, or ``stored`` in the bucket.

    ``untrusted`` where a client uploaded it and it was not decoded yet. A job that published an
    upload without opening it does not make it trusted: as which kind of file it comes next is for
    the next request to say.
    """

    size_bytes: int
    untrusted: bool
    path: Path | None = None
    stored: StoredObject | None = None


class Readable(Protocol):
    """A file that is read by ranges; ``is_remote`` where a read may wait for a network."""

    is_remote: bool

    def limit(self, end: int) -> None: ...
    def read_into(self, data: memoryview, offset: int) -> None: ...
    def close(self) -> None: ...


class LocalFile:
    """A file of the data folder, open only while it is read: a slow reader holds no descriptor."""

    is_remote = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def limit(self, end: int) -> None:
        """Do nothing: the system reads ahead as it likes."""

    def read_into(self, data: memoryview, offset: int) -> None:
        """Fill ``data`` from ``offset`` on.

        Raises ``ArtifactNotFound``, ``ArtifactDamaged`` where the file is shorter than it should
        be, and ``StorageFailed`` where it cannot be opened at the moment.
        """
        with convert_os_errors():
            try:
                with open_regular(self._path) as descriptor:
                    _read_at(descriptor, data, offset)
            except FileNotFoundError as error:
                raise ArtifactNotFound(self._path.name) from error

    def close(self) -> None:
        """Do nothing: it is not open."""


def _read_at(descriptor: int, data: memoryview, offset: int) -> None:
    try:
        size = os.preadv(descriptor, [data], offset)
    except OSError as error:  # of the disk
        raise ArtifactDamaged from error
    if size != len(data):
        raise ArtifactDamaged
