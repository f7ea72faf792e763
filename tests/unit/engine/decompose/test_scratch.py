from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from layert2v_engine.decompose.scratch import Scratch, request_key
from layert2v_engine.errors import DiskFull


def test_a_killed_run_is_taken_up_again(tmp_path: Path) -> None:
    first = Scratch(tmp_path, "request")
    first.frames("source", (2, 3), np.float16)[1] = 4
    first.finish("read", frames=2)

    second = Scratch(tmp_path, "request")

    assert second.is_finished("read")
    assert second.facts("read") == {"frames": 2}
    assert second.frames("source", (2, 3), np.float16)[0:2].tolist() == [[0] * 3, [4] * 3]


def test_another_request_begins_anew(tmp_path: Path) -> None:
    first = Scratch(tmp_path, "request")
    first.frames("source", (2, 3), np.float16)[1] = 4
    first.finish("read")

    second = Scratch(tmp_path, "another")

    assert not second.is_finished("read")
    assert (second.frames("source", (2, 3), np.float16)[0:2] == 0).all()


def test_an_unreadable_index_is_no_index(tmp_path: Path) -> None:
    Scratch(tmp_path, "request").finish("read")
    (tmp_path / "finished.json").write_text("{")

    assert not Scratch(tmp_path, "request").is_finished("read")


def test_frames_and_their_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    pictures = np.arange(5 * 4 * 3 * 2, dtype=np.float32).reshape(5, 4, 3, 2)
    frames = Scratch(tmp_path, "request").frames("pictures", pictures.shape, np.float32)

    for index, picture in enumerate(pictures):
        frames[index] = picture

    assert len(frames) == 5
    np.testing.assert_array_equal(frames[1:4], pictures[1:4])
    np.testing.assert_array_equal(frames[-1], pictures[-1])
    np.testing.assert_array_equal(frames.rows(2, 1, 3), pictures[2, 1:3])
    np.testing.assert_array_equal(np.stack(list(frames)), pictures)
    with pytest.raises(IndexError):
        frames[5]


def test_a_full_disk_is_an_error_and_not_the_end_of_the_process(tmp_path: Path) -> None:
    frames = Scratch(tmp_path, "request").frames("pictures", (2, 1024), np.float32)
    (tmp_path / "pictures.bin").unlink()
    (tmp_path / "pictures.bin").symlink_to("/dev/full")

    with pytest.raises(DiskFull):
        frames[1] = 1


def test_changed_files_are_another_request(tmp_path: Path) -> None:
    (tmp_path / "roto.1001.png").write_bytes(b"a")
    before = request_key("spec", {"matte": tmp_path})
    assert request_key("spec", {"matte": tmp_path}) == before
    assert request_key("other", {"matte": tmp_path}) != before
    (tmp_path / "roto.1001.png").write_bytes(b"changed")
    assert request_key("spec", {"matte": tmp_path}) != before
