"""Files that clients upload: kept as they arrive, complete only when their checksum matches.

    <root>/<owner>-<upload id>.json    what the client announced, and the owner
    <root>/<owner>-<upload id>.part    the bytes that have arrived so far
    <root>/<owner>-<upload id>.bin     the complete, checked file

The owner in a name is a hash: the ids of one say nothing about those of another. Blocking; the
server calls it in threads.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import re
import shutil
from collections import OrderedDict
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from layert2v_server.errors import (
    ArtifactNotFound,
    ChecksumMismatch,
    DiskFull,
    InvalidArgument,
    OffsetOutOfRange,
)
from layert2v_server.store.database import convert_os_errors
from layert2v_server.store.regular_file import SHORTAGES, is_regular, read_regular
from layert2v_server.store.stored_file import LocalFile, Readable
from layert2v_server.store.upload_writer import UploadWriter, upload_deleted

HASHING_THREADS = 2
MAX_OPEN_HASHES = 256  # of uploads that are arriving: 200 bytes each
MAX_NOTE_BYTES = 64 << 10

_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,64}/[a-z0-9.+-]{1,64}")
_SUFFIXES = ("json", "part", "bin")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """One file as its client announced it."""

    id: str
    owner: str
    size_bytes: int
    sha256: str
    media_type: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredUpload:
    """A complete upload in a bucket, held by ``holder`` since ``created``, seconds since 1970."""

    name: str
    holder: str
    size_bytes: int
    created: float


class UploadStore:
    """Uploads under ``root``, each of at most ``max_bytes``.

    None is taken that would leave less than ``min_free_bytes`` of the disk.
    """

    is_remote = False  # whether the end of an upload waits for a network

    def __init__(self, root: Path, *, max_bytes: int, min_free_bytes: int = 0) -> None:
        self.root = root.resolve()
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._by_hash: dict[tuple[str, str], Upload] = {}  # by owner and SHA-256
        # The hash of what has arrived, so that the end need not read it all again.
        self._hashes: OrderedDict[Path, tuple[int, Any]] = OrderedDict()
        self._hashing = ThreadPoolExecutor(HASHING_THREADS, "hash")
        self._loaded: set[str] = set()
        self.refresh()

    def refresh(self) -> None:
        """Index the uploads that are new here, as those that another server has taken."""
        for metadata in self.root.glob("*.json"):
            if metadata.name not in self._loaded:
                self._load(metadata)

    def begin(self, upload: Upload) -> int:
        """Begin or resume an upload, and return the number of bytes that are already here.

        Raises ``InvalidArgument`` where the id was announced before for another file, and
        ``DiskFull``.
        """
        self._check(upload)
        metadata = self._path(upload.owner, upload.id, "json")
        with convert_os_errors():
            if metadata.exists():
                if self.get(upload.id, upload.owner) != upload:
                    raise InvalidArgument("This upload id was already used for a different file.")
                return self.committed_bytes(upload.id, upload.owner)
            self._require_space(upload.size_bytes)
            # Announced again after a crash, an empty note would be another file.
            partial = metadata.with_suffix(".new")
            partial.write_text(json.dumps(asdict(upload)), encoding="utf-8")
            partial.replace(metadata)
        return 0

    def get(self, upload_id: str, owner: str) -> Upload:
        """Return the announced upload. Raises ``ArtifactNotFound``."""
        with convert_os_errors():
            upload = _read(self._path(owner, upload_id, "json"))
        if upload is None or upload.owner != owner:
            raise ArtifactNotFound(f"uploads/{upload_id}")
        return upload

    def find_by_hash(self, owner: str, sha256: str) -> Path | None:
        """Return the path of a complete upload of ``owner`` with this content, if there is one."""
        upload = self._by_hash.get((owner, sha256))
        path = None if upload is None else self.path(upload.id, owner)
        return path if path is not None and is_regular(path) else None

    def committed_bytes(self, upload_id: str, owner: str) -> int:
        """Return the number of bytes that are here; 0 for an unknown upload."""
        for suffix in ("bin", "part"):
            with contextlib.suppress(FileNotFoundError):
                return self._path(owner, upload_id, suffix).stat().st_size
        return 0

    def is_announced(self, upload_id: str, owner: str) -> bool:
        """Tell if this upload has begun."""
        return self._path(owner, upload_id, "json").exists()

    def is_complete(self, upload_id: str, owner: str) -> bool:
        """Tell if all of it is here."""
        return self.path(upload_id, owner).exists()

    def open(self, upload_id: str, owner: str) -> Readable:
        """Return a reader of a complete upload."""
        return LocalFile(self.path(upload_id, owner))

    def announced_bytes(self, owner: str) -> int:
        """Return the size of the uploads of ``owner``, with all that they will have in the end.

        Raises ``StorageFailed``.
        """
        total = 0
        with convert_os_errors():
            for metadata in self.root.glob(f"{owner_key(owner)}-*.json"):
                try:
                    total += metadata.with_suffix(".bin").stat().st_size
                except OSError:  # it is still arriving
                    upload = _read(metadata)
                    total += 0 if upload is None else upload.size_bytes
        return total

    def append(self, upload: Upload, offset: int, data: bytes | memoryview) -> int:
        """Append the next bytes, and return the new size. Raises what ``UploadWriter`` does."""
        with contextlib.closing(self.writer(upload)) as writer:
            return writer.append(offset, data)

    def writer(self, upload: Upload) -> UploadWriter:
        """Return what appends many pieces to an announced upload, in one thread after another."""
        return UploadWriter(
            self._path(upload.owner, upload.id, "json"),
            self._path(upload.owner, upload.id, "part"),
            self.path(upload.id, upload.owner),
            upload.size_bytes,
            require_space=self._require_space,
            add_to_hash=self._hash,
            hashing=self._hashing,
        )

    def finish(self, upload: Upload) -> None:
        """Check the complete file and make it an artifact.

        Raises ``ChecksumMismatch``, and ``OffsetOutOfRange`` where it is not whole or was deleted.
        A file that does not match is deleted, so that the client can send it again.
        """
        complete = self.path(upload.id, upload.owner)
        part = self._path(upload.owner, upload.id, "part")
        note = self._path(upload.owner, upload.id, "json")
        with convert_os_errors():
            if not complete.exists():
                if not note.exists():
                    raise upload_deleted()
                part.touch()
                received = part.stat().st_size
                if received != upload.size_bytes:
                    message = f"Only {received} of {upload.size_bytes} bytes have arrived."
                    raise OffsetOutOfRange(message)
                if self._digest(part, received) != upload.sha256:
                    part.unlink()
                    raise ChecksumMismatch(
                        "The file that arrived is not the file that was sent.", "Send it again."
                    )
                part.rename(complete)
            if not note.exists():  # it was deleted just now: nobody would count the file
                complete.unlink(missing_ok=True)
                raise upload_deleted()
        self._by_hash[upload.owner, upload.sha256] = upload

    def delete(self, owner: str, upload_ids: Collection[str] | None) -> int:
        """Delete uploads of ``owner``, complete or not, None for all; return how many there were.

        Ids that there are not are no error. A job that took a file has a link of its own.
        """
        if upload_ids is None:
            with convert_os_errors():
                stems = {path.stem for path in self.root.glob(f"{owner_key(owner)}-*")}
            upload_ids = [stem.partition("-")[2] for stem in stems]
        count = 0
        for upload_id in upload_ids:
            paths = [self._path(owner, upload_id, suffix) for suffix in reversed(_SUFFIXES)]
            upload = _read(paths[-1])
            if upload is not None and self._by_hash.get((owner, upload.sha256)) == upload:
                self._by_hash.pop((owner, upload.sha256), None)
            with convert_os_errors():
                there = [path for path in paths if path.exists()]
                # Twice: bytes that are just arriving may come after the first, and look for the
                # note before the second.
                for path in (*there, *paths[:-1]) if there else ():
                    path.unlink(missing_ok=True)
            count += bool(there)
        return count

    def older(self, than: float) -> list[list[Path]]:
        """Return the files of each upload that was not modified since ``than``, seconds since 1970.

        ``than`` is compared with the newest of its files.
        """
        stems: dict[str, list[Path]] = {}
        for path in self.root.iterdir():
            stems.setdefault(path.stem, []).append(path)
        found = []
        for files in stems.values():
            with contextlib.suppress(OSError):  # it has just been deleted, or finished
                if max(file.stat().st_mtime for file in files) < than:
                    found.append(files)
        return found

    def older_stored(self, than: float) -> list[StoredUpload]:
        """Return the complete uploads in a bucket that came before ``than``; there are none."""
        return []

    def release_stored(self, holders: Collection[str]) -> None:
        """Delete uploads from a bucket; there are none."""

    def path(self, upload_id: str, owner: str) -> Path:
        """Return the path of the complete file; it exists once the upload is finished."""
        return self._path(owner, upload_id, "bin")

    def _load(self, metadata: Path) -> None:
        """Index a complete upload at the start; one that cannot be read is left to its age."""
        upload = _read(metadata)
        if upload is None:
            _log.warning("upload %s cannot be read and is ignored", metadata.stem)
            return
        for suffix in reversed(_SUFFIXES):  # version 0.4 had no owner in the names
            old, new = (
                metadata.with_suffix(f".{suffix}"),
                self._path(upload.owner, upload.id, suffix),
            )
            if old != new and old.exists():
                old.rename(new)
        if self.path(upload.id, upload.owner).exists():
            self._by_hash[upload.owner, upload.sha256] = upload
            self._loaded.add(metadata.name)

    def _hash(self, part: Path, offset: int, data: bytes | memoryview) -> None:
        """Add bytes to the hash of an upload, so that its end need not read them again."""
        hashed, digest = self._hashes.pop(part, (0, None))
        if offset == 0:
            hashed, digest = 0, hashlib.sha256()
        if digest is not None and hashed == offset:
            digest.update(data)
            self._hashes[part] = (hashed + len(data), digest)
            while len(self._hashes) > MAX_OPEN_HASHES:
                self._hashes.popitem(last=False)

    def _digest(self, part: Path, size: int) -> str:
        hashed, digest = self._hashes.pop(part, (0, None))
        if digest is not None and hashed == size:
            return str(digest.hexdigest())
        with part.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _require_space(self, size_bytes: int) -> int:
        """Return how many bytes may be written now. Raises ``DiskFull`` where it is fewer."""
        with convert_os_errors():
            left = shutil.disk_usage(self.root).free - self._min_free_bytes
        if left < size_bytes:
            raise DiskFull
        return left

    def _path(self, owner: str, upload_id: str, suffix: str) -> Path:
        if not _UUID.fullmatch(upload_id):
            raise InvalidArgument("An upload id is a UUID in lower-case hexadecimal.")
        return self.root / f"{owner_key(owner)}-{upload_id}.{suffix}"

    def _check(self, upload: Upload) -> None:
        if not 0 <= upload.size_bytes <= self.max_bytes:
            raise InvalidArgument(f"A file may have at most {self.max_bytes} bytes.")
        if not _SHA256.fullmatch(upload.sha256):
            raise InvalidArgument("The SHA-256 is 64 lower-case hexadecimal digits.")
        if not _MEDIA_TYPE.fullmatch(upload.media_type):
            raise InvalidArgument("The media type is two words such as image/x-exr.")


def owner_key(owner: str) -> str:
    """Return the hash that stands for an owner in names."""
    return hashlib.sha256(owner.encode()).hexdigest()[:16]


def _read(metadata: Path) -> Upload | None:
    """Return what was announced; None where there is nothing that can be read."""
    try:
        upload = Upload(**json.loads(read_regular(metadata, MAX_NOTE_BYTES)))
        return upload if _UUID.fullmatch(upload.id) and upload.owner else None
    except OSError as error:
        if error.errno in SHORTAGES:  # it may be there all the same
            raise
        return None
    except (ValueError, TypeError):
        return None
