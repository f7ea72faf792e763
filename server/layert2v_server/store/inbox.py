"""Files that callers who see the data folder offer as uploads, so that nothing is sent.

    <root>/<owner>-<upload id>    the whole file

They are copied and not taken: whoever put one there may still write to it, and what was checked
must stay what it was. Blocking; the server calls it in threads.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from layert2v.wire import CHUNK_BYTES
from layert2v_server.errors import OffsetOutOfRange
from layert2v_server.store.database import convert_os_errors
from layert2v_server.store.regular_file import open_regular
from layert2v_server.store.uploads import Upload, UploadStore, owner_key

INBOX = "inbox"  # the folder's name in the data folder
TURN_BYTES = 8 << 20  # then it is somebody else's turn: 10 ms


class Inbox:
    """The files offered under ``root``, for uploads of ``uploads``."""

    def __init__(self, root: Path, uploads: UploadStore) -> None:
        self.root = root
        self._uploads = uploads

    def open(self) -> Inbox:
        """Make the folder where it is missing; return this. Raises ``StorageFailed``."""
        with convert_os_errors():
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self

    def place(self, upload_id: str, owner: str) -> Path:
        """Return where a caller may put the file of an upload."""
        return self.root / f"{owner_key(owner)}-{upload_id}"

    def copy(self, upload: Upload) -> int | None:
        """Copy what is missing of an upload, at most ``TURN_BYTES`` of it.

        Returns how many of its bytes are here then; None where no file is offered, or none that
        the server may read. Raises ``OffsetOutOfRange`` where the file has another size,
        ``DiskFull`` and ``StorageFailed``.
        """
        with contextlib.ExitStack() as stack:
            try:
                opening = open_regular(self.place(upload.id, upload.owner))
                descriptor = stack.enter_context(opening)
            except OSError:
                return None
            writer = stack.enter_context(contextlib.closing(self._uploads.writer(upload)))
            at = self._uploads.committed_bytes(upload.id, upload.owner)
            for data in _blocks(descriptor, upload.size_bytes, at):
                at = writer.append(at, data)
        return at

    def remove(self, upload: Upload) -> None:
        """Remove an offered file; one that cannot be removed goes by its age."""
        with contextlib.suppress(OSError):
            self.place(upload.id, upload.owner).unlink(missing_ok=True)

    def older(self, than: float) -> list[Path]:
        """Return what was offered before ``than``, in seconds since 1970, and is still here."""
        found = []
        for path in self.root.glob("*"):
            with contextlib.suppress(OSError):  # it has just been removed
                if path.lstat().st_ctime < than:  # a link has the time of its file's last change
                    found.append(path)
        return found


def _blocks(descriptor: int, size_bytes: int, start: int) -> Iterator[memoryview]:
    """Yield a turn's bytes of an open file from ``start`` on, in two memories in turn.

    So each block is still there while the next one is read.
    """
    with (
        convert_os_errors(),
        os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file,
    ):
        if os.fstat(descriptor).st_size != size_bytes:
            raise OffsetOutOfRange(f"The offered file does not have {size_bytes} bytes.")
        memories = itertools.cycle([memoryview(bytearray(CHUNK_BYTES)) for _ in range(2)])
        file.seek(start)
        left = min(TURN_BYTES, size_bytes - start)
        while left > 0:
            memory = next(memories)
            read = file.readinto(memory[: min(left, CHUNK_BYTES)])
            if not read:
                raise OffsetOutOfRange("The offered file became shorter while it was copied.")
            left -= read
            yield memory[:read]
