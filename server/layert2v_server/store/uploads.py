"""Files that clients upload: kept as they arrive, complete only when their checksum matches.

    <root>/<upload id>.json    what the client announced, and the owner
    <root>/<upload id>.part    the bytes that have arrived so far
    <root>/<upload id>.bin     the complete, checked file

Blocking; the server calls it in threads.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from layert2v_server.errors import (
    ArtifactNotFound,
    ChecksumMismatch,
    InvalidArgument,
    OffsetOutOfRange,
)
from layert2v_server.store.database import convert_os_errors

_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,64}/[a-z0-9.+-]{1,64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Upload:
    """One file as its client announced it."""

    id: str
    owner: str
    size_bytes: int
    sha256: str
    media_type: str


class UploadStore:
    """Uploads under ``root``, each of at most ``max_bytes``."""

    def __init__(self, root: Path, *, max_bytes: int) -> None:
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True)
        self.max_bytes = max_bytes
        self._id_by_hash: dict[tuple[str, str], str] = {}  # owner and SHA-256 -> upload id
        for metadata in self.root.glob("*.json"):
            if metadata.with_suffix(".bin").exists():
                self._index(Upload(**json.loads(metadata.read_text(encoding="utf-8"))))

    def begin(self, upload: Upload) -> int:
        """Begin or resume an upload, and return the number of bytes that are already here.

        Raises ``InvalidArgument`` where the id was announced before for another file.
        """
        self._check(upload)
        metadata = self._path(upload.id, "json")
        if metadata.exists():
            if self.get(upload.id, upload.owner) != upload:
                raise InvalidArgument("This upload id was already used for a different file.")
        else:
            with convert_os_errors():
                metadata.write_text(json.dumps(asdict(upload)), encoding="utf-8")
        return self.committed_bytes(upload.id, upload.owner)

    def get(self, upload_id: str, owner: str) -> Upload:
        """Return the announced upload. Raises ``ArtifactNotFound``, also for another owner's."""
        try:
            metadata = json.loads(self._path(upload_id, "json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError) as error:
            raise ArtifactNotFound(upload_id) from error
        upload = Upload(**metadata)
        if upload.owner != owner:
            raise ArtifactNotFound(upload_id)
        return upload

    def find_by_hash(self, owner: str, sha256: str) -> Path | None:
        """Return the path of a complete upload of ``owner`` with this content, if there is one."""
        upload_id = self._id_by_hash.get((owner, sha256))
        path = None if upload_id is None else self.path(upload_id)
        return path if path is not None and path.is_file() else None

    def committed_bytes(self, upload_id: str, owner: str) -> int:
        """Return the number of bytes that are here; 0 for an unknown upload."""
        try:
            self.get(upload_id, owner)
        except ArtifactNotFound:
            return 0
        complete, part = self.path(upload_id), self._path(upload_id, "part")
        present = complete if complete.exists() else part
        return present.stat().st_size if present.exists() else 0

    def append(self, upload: Upload, offset: int, data: bytes) -> int:
        """Append the next bytes, and return the new size. Raises ``OffsetOutOfRange``."""
        size = self.committed_bytes(upload.id, upload.owner)
        if offset != size or size + len(data) > upload.size_bytes:
            raise OffsetOutOfRange(
                f"The next byte of this upload is {size} of {upload.size_bytes}, not {offset}.",
                "Ask with QueryWrite where to go on.",
            )
        part = self._path(upload.id, "part")
        with convert_os_errors():
            try:
                with part.open("ab") as file:
                    file.write(data)
            except OSError:
                if part.exists():  # half a chunk must not count as one
                    with part.open("r+b") as file:
                        file.truncate(size)
                raise
        return size + len(data)

    def finish(self, upload: Upload) -> None:
        """Check the complete file and make it an artifact. Raises ``ChecksumMismatch``.

        A file that does not match is deleted, so that the client can send it again.
        """
        complete, part = self.path(upload.id), self._path(upload.id, "part")
        if complete.exists():
            self._index(upload)
            return
        part.touch()
        received = part.stat().st_size
        if received != upload.size_bytes:
            raise OffsetOutOfRange(f"Only {received} of {upload.size_bytes} bytes have arrived.")
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != upload.sha256:
            part.unlink()
            raise ChecksumMismatch(
                "The file that arrived is not the file that was sent.", "Send it again."
            )
        part.rename(complete)
        self._index(upload)

    def delete_older(self, than: float) -> None:
        """Delete uploads that were not modified since ``than``, in seconds since 1970."""
        for metadata in self.root.glob("*.json"):
            files = list(self.root.glob(f"{metadata.stem}.*"))
            if max(file.stat().st_mtime for file in files) < than:
                for file in files:
                    file.unlink()

    def path(self, upload_id: str) -> Path:
        """Return the path of the complete file; it exists once the upload is finished."""
        return self._path(upload_id, "bin")

    def _index(self, upload: Upload) -> None:
        self._id_by_hash[upload.owner, upload.sha256] = upload.id

    def _path(self, upload_id: str, suffix: str) -> Path:
        if not _UUID.fullmatch(upload_id):
            raise InvalidArgument("An upload id is a UUID in lower-case hexadecimal.")
        return self.root / f"{upload_id}.{suffix}"

    def _check(self, upload: Upload) -> None:
        if not 0 <= upload.size_bytes <= self.max_bytes:
            raise InvalidArgument(f"A file may have at most {self.max_bytes} bytes.")
        if not _SHA256.fullmatch(upload.sha256):
            raise InvalidArgument("The SHA-256 is 64 lower-case hexadecimal digits.")
        if not _MEDIA_TYPE.fullmatch(upload.media_type):
            raise InvalidArgument("The media type is two words such as image/x-exr.")
