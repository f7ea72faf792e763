"""Regular files: nothing else is opened, and none that is too large is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.special_files import SPECIAL_FILES, make_special
from layert2v_server.store.regular_file import (
    is_regular,
    open_regular,
    read_regular,
    write_regular,
)


def test_regular_files_are_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for offset, text in ((0, b"one"), (3, b" two")):
        with write_regular(path) as file:
            file.seek(offset)
            file.write(text)
    assert read_regular(path, 7) == b"one two"
    with pytest.raises(OSError, match="too large"):
        read_regular(path, 6)
    assert path.stat().st_mode & 0o077 == 0
    assert is_regular(path)


@pytest.mark.parametrize("kind", SPECIAL_FILES)
def test_nothing_else_is_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    make_special(path, kind)
    assert not is_regular(path)
    with pytest.raises(FileNotFoundError), open_regular(path):
        pass
    if kind != "device":  # one can be written to, and the server never has one
        with pytest.raises(OSError, match=r".+"):
            write_regular(path)
