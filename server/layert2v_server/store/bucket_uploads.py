"""Uploads in a bucket: a file arrives in the data folder, and goes on once it is whole.

So an upload is resumed where it began, and used on every server.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Collection
from pathlib import Path

from layert2v_server.errors import (
    ArtifactNotFound,
    ChecksumMismatch,
    InvalidArgument,
    WorkerLost,
)
from layert2v_server.store.bucket.index import (
    UPLOAD,
    ObjectIndex,
    ObjectsReleased,
    StoredObject,
)
from layert2v_server.store.bucket.layout import UPLOADS
from layert2v_server.store.bucket.transfer import Transfers, keys_of
from layert2v_server.store.stored_file import Readable
from layert2v_server.store.uploads import StoredUpload, Upload, UploadStore, owner_key


class BucketUploads(UploadStore):
    """Uploads of which ``root`` has what is still arriving."""

    is_remote = True

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int,
        min_free_bytes: int = 0,
        transfers: Transfers,
        index: ObjectIndex,
    ) -> None:
        self._transfers = transfers
        self._index = index
        super().__init__(root, max_bytes=max_bytes, min_free_bytes=min_free_bytes)

    def begin(self, upload: Upload) -> int:
        """Begin or resume an upload, and return the number of bytes that are already here."""
        stored = self._find(upload.id, upload.owner)
        if stored is None:
            return super().begin(upload)
        if _to_upload(upload.id, stored) != upload:
            raise InvalidArgument("This upload id was already used for a different file.")
        return stored.size_bytes

    def get(self, upload_id: str, owner: str) -> Upload:
        """Return the announced upload. Raises ``ArtifactNotFound``."""
        stored = self._find(upload_id, owner)
        return super().get(upload_id, owner) if stored is None else _to_upload(upload_id, stored)

    def committed_bytes(self, upload_id: str, owner: str) -> int:
        """Return the number of bytes that are here; 0 for an unknown upload."""
        size = super().committed_bytes(upload_id, owner)
        stored = None if size else self._find(upload_id, owner)
        return size if stored is None else stored.size_bytes

    def is_announced(self, upload_id: str, owner: str) -> bool:
        """Tell if this upload has begun."""
        return super().is_announced(upload_id, owner) or self._find(upload_id, owner) is not None

    def is_complete(self, upload_id: str, owner: str) -> bool:
        """Tell if all of it is here."""
        return super().is_complete(upload_id, owner) or self._find(upload_id, owner) is not None

    def open(self, upload_id: str, owner: str) -> Readable:
        """Return a reader of a complete upload."""
        stored = self._find(upload_id, owner)
        return super().open(upload_id, owner) if stored is None else self._transfers.open(stored)

    def announced_bytes(self, owner: str) -> int:
        """Return the size of the uploads of ``owner``, with all that they will have in the end."""
        return super().announced_bytes(owner) + self._index.size_of(owner, UPLOAD)

    def finish(self, upload: Upload) -> None:
        """Check the complete file and bring it into the bucket.

        Raises ``ChecksumMismatch``, also where it was deleted or damaged meanwhile, and
        ``BucketFailed``: then the file is here, and the same call goes on.
        """
        if self._find(upload.id, upload.owner) is not None:
            super().delete(upload.owner, [upload.id])  # what was sent once more
            return
        super().finish(upload)
        holder = _holder(upload.id, upload.owner)
        known = self._index.find_by_hash(upload.owner, [upload.sha256]).get(upload.sha256)
        if known is not None and known.size_bytes == upload.size_bytes:
            same = _stored_object(upload, known.location)
            try:
                self._index.hold(holder, [same], shared={same.location})
            except ObjectsReleased:
                self._write(upload, holder)
        else:
            self._write(upload, holder)
        super().delete(upload.owner, [upload.id])

    def _write(self, upload: Upload, holder: str) -> None:
        # A key of its own each time: a deletion that still runs must not take what comes after it.
        place = f"{owner_key(upload.owner)}/{upload.id}/{uuid.uuid4().hex}"
        stored = _stored_object(upload, f"{UPLOADS}/{place}")
        path = self.path(upload.id, upload.owner)
        try:
            self._transfers.write_files([(path, stored)], threading.Event())
        except WorkerLost as error:  # deleted or damaged since it was checked
            super().delete(upload.owner, [upload.id])
            raise ChecksumMismatch(
                "The file that arrived is gone, or damaged on the server's disk.", "Send it again."
            ) from error
        self._index.hold(holder, [stored])

    def delete(self, owner: str, upload_ids: Collection[str] | None) -> int:
        """Delete uploads of ``owner``, None for all; return how many there were."""
        mine = f"{UPLOAD}{owner_key(owner)}-"
        held = self._index.holders(mine)
        wanted = held
        if upload_ids is not None:
            wanted = held & {_holder(upload_id, owner) for upload_id in upload_ids}
        count = super().delete(owner, upload_ids)
        self.release_stored(wanted)
        return count + len(wanted)

    def older_stored(self, than: float) -> list[StoredUpload]:
        """Return the complete uploads that came before ``than``, in seconds since 1970."""
        held = self._index.sizes(self._index.holders(UPLOAD, than))
        return [
            StoredUpload(
                name=holder.removeprefix(UPLOAD), holder=holder, size_bytes=size, created=created
            )
            for holder, (size, created) in held.items()
        ]

    def release_stored(self, holders: Collection[str]) -> None:
        """Delete uploads from the bucket, as far as no job has them as well."""
        freed = self._index.release(holders)
        self._transfers.bucket.delete(keys_of(freed))

    def _find(self, upload_id: str, owner: str) -> StoredObject | None:
        self._path(owner, upload_id, "bin")  # refuses what is no id
        found = self._index.list(_holder(upload_id, owner))
        if found and found[0].owner != owner:
            raise ArtifactNotFound(f"uploads/{upload_id}")
        return found[0] if found else None


def _holder(upload_id: str, owner: str) -> str:
    return f"{UPLOAD}{owner_key(owner)}-{upload_id}"


def _stored_object(upload: Upload, location: str) -> StoredObject:
    return StoredObject(
        place=upload.media_type,
        owner=upload.owner,
        location=location,
        size_bytes=upload.size_bytes,
        sha256=upload.sha256,
        untrusted=True,
    )


def _to_upload(upload_id: str, stored: StoredObject) -> Upload:
    return Upload(
        id=upload_id,
        owner=stored.owner,
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
        media_type=stored.place,
    )
