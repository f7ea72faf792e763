"""Small files that appear whole or not at all, also after a crash or on a shared disk."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def atomic_write(path: Path, data: str | bytes, *, mode: int = 0o644, durable: bool = True) -> None:
    """Write ``path`` (text as UTF-8), in the place of a file that may be there.

    ``durable`` waits until the data is on the disk; leave that out for what can be made again.
    The parent folder must exist. Raises ``OSError``; a file that was there is then unchanged.
    """
    temporary = _write_temporary(path, data, mode, durable)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink()
        raise


def atomic_create(
    path: Path, data: str | bytes, *, mode: int = 0o644, durable: bool = True
) -> None:
    """Write ``path`` like ``atomic_write``, but only where there is no such file.

    Of several writers, on whatever machines, one succeeds; for the others this raises
    ``FileExistsError``. Raises ``OSError`` where the file cannot be written.
    """
    temporary = _write_temporary(path, data, mode, durable)
    try:
        _link(temporary, path)
    finally:
        temporary.unlink()


def _write_temporary(path: Path, data: str | bytes, mode: int, durable: bool) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        temporary.chmod(mode)  # mkstemp makes the file private
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    return temporary


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a disk without hard links
        with path.open("xb") as file:
            file.write(temporary.read_bytes())
