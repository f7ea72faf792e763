"""The trash folder: what is put there stays for its grace time."""

from __future__ import annotations

from pathlib import Path

from layert2v_server.store.trash import Trash


def test_what_is_put_there_stays_for_a_while(tmp_path: Path) -> None:
    now = [100.0]
    trash = Trash(tmp_path / "trash", clock=lambda: now[0])
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("x")
    (tmp_path / "note.txt").write_text("y")
    trash.put(tmp_path / "folder")
    now[0] = 200.0
    trash.put(tmp_path / "note.txt")
    trash.put(tmp_path / "nothing")
    assert (trash.root / "100_folder" / "file").read_text() == "x"
    for path in trash.older(than=150.0):
        trash.remove(path)
    assert [path.name for path in trash.root.iterdir()] == ["200_note.txt"]
    for path in trash.older(than=250.0):
        trash.remove(path)
    assert list(trash.root.iterdir()) == []


def test_what_somebody_else_keeps_there_is_left_alone(tmp_path: Path) -> None:
    trash = Trash(tmp_path / "trash")
    for path in trash.older(than=1e12):
        trash.remove(path)
    trash.root.mkdir()
    (trash.root / "my_notes").write_text("z")
    for path in trash.older(than=1e12):
        trash.remove(path)
    assert (trash.root / "my_notes").exists()
