"""Files that clients bring: kept as they arrive, whole only when their checksum says so.

    <root>/<upload id>.json    what was announced, and by whom
    <root>/<upload id>.part    what has arrived so far
    <root>/<upload id>.bin     the whole, checked file

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
    ChecksumWrong,
    InvalidArgument,
    OffsetOutOfRange,
)
from layert2v_server.store.database import disk_full_as_error

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
    """Uploads under `root`, each of at most `max_bytes`."""

    def __init__(self, root: Path, *, max_bytes: int) -> None:
        self.root = root.resolve()
        self.root.mkdir(parents=True, exist_ok=True)
        self.max_bytes = max_bytes
        self._whole: dict[tuple[str, str], str] = {}  # owner and SHA-256 -> upload id
        for note in self.root.glob("*.json"):
            if note.with_suffix(".bin").exists():
                self._remember(Upload(**json.loads(note.read_text(encoding="utf-8"))))

    def begin(self, upload: Upload) -> int:
        """Announce a file, or go on with it; returns the bytes that are already here.

        Raises `InvalidArgument` where the id was announced before with other words.
        """
        self._check(upload)
        note = self._path(upload.id, "json")
        if note.exists():
            if self.find(upload.id, upload.owner) != upload:
                raise InvalidArgument("This upload id was already used for a different file.")
        else:
            with disk_full_as_error():
                note.write_text(json.dumps(asdict(upload)), encoding="utf-8")
        return self.committed(upload.id, upload.owner)

    def find(self, upload_id: str, owner: str) -> Upload:
        """What was announced. Raises `ArtifactNotFound`, also for somebody else's upload."""
        try:
            note = json.loads(self._path(upload_id, "json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError) as error:
            raise ArtifactNotFound(upload_id) from error
        upload = Upload(**note)
        if upload.owner != owner:
            raise ArtifactNotFound(upload_id)
        return upload

    def held(self, owner: str, sha256: str) -> Path | None:
        """A whole file of `owner` with this content, if there is one."""
        upload_id = self._whole.get((owner, sha256))
        path = None if upload_id is None else self.path(upload_id)
        return path if path is not None and path.is_file() else None

    def committed(self, upload_id: str, owner: str) -> int:
        """How many bytes are here; 0 for an unknown upload."""
        try:
            self.find(upload_id, owner)
        except ArtifactNotFound:
            return 0
        whole, part = self.path(upload_id), self._path(upload_id, "part")
        present = whole if whole.exists() else part
        return present.stat().st_size if present.exists() else 0

    def append(self, upload: Upload, offset: int, data: bytes) -> int:
        """Add the next bytes; returns how many are here now. Raises `OffsetOutOfRange`."""
        here = self.committed(upload.id, upload.owner)
        if offset != here or here + len(data) > upload.size_bytes:
            raise OffsetOutOfRange(
                f"The next byte of this upload is {here} of {upload.size_bytes}, not {offset}.",
                "Ask with QueryWrite where to go on.",
            )
        part = self._path(upload.id, "part")
        with disk_full_as_error():
            try:
                with part.open("ab") as file:
                    file.write(data)
            except OSError:
                if part.exists():  # half a chunk must not count as one
                    with part.open("r+b") as file:
                        file.truncate(here)
                raise
        return here + len(data)

    def finish(self, upload: Upload) -> None:
        """Check the whole file; it is an artifact from now on. Raises `ChecksumWrong`.

        A file that does not match is thrown away, so that the client can send it again.
        """
        whole, part = self.path(upload.id), self._path(upload.id, "part")
        if whole.exists():
            self._remember(upload)
            return
        part.touch()
        here = part.stat().st_size
        if here != upload.size_bytes:
            raise OffsetOutOfRange(f"Only {here} of {upload.size_bytes} bytes have arrived.")
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != upload.sha256:
            part.unlink()
            raise ChecksumWrong(
                "The file that arrived is not the file that was sent.", "Send it again."
            )
        part.rename(whole)
        self._remember(upload)

    def forget_older(self, than: float) -> None:
        """Remove uploads that nobody touched since the time `than`, in seconds since 1970."""
        for note in self.root.glob("*.json"):
            files = list(self.root.glob(f"{note.stem}.*"))
            if max(file.stat().st_mtime for file in files) < than:
                for file in files:
                    file.unlink()

    def path(self, upload_id: str) -> Path:
        """Where the whole file is, once it is whole."""
        return self._path(upload_id, "bin")

    def _remember(self, upload: Upload) -> None:
        self._whole[upload.owner, upload.sha256] = upload.id

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
