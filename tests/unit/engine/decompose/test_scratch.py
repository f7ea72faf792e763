from __future__ import annotations

from pathlib import Path

import numpy as np

from layert2v_engine.decompose.scratch import Scratch


def test_a_killed_run_is_taken_up_again(tmp_path: Path) -> None:
    first = Scratch(tmp_path, "request")
    first.array("source", (2, 3), np.float16)[:] = 4
    first.finish("read", frames=2)

    second = Scratch(tmp_path, "request")

    assert second.is_finished("read")
    assert second.facts("read") == {"frames": 2}
    assert (second.array("source", (2, 3), np.float16) == 4).all()


def test_another_request_begins_anew(tmp_path: Path) -> None:
    first = Scratch(tmp_path, "request")
    first.array("source", (2, 3), np.float16)[:] = 4
    first.finish("read")

    second = Scratch(tmp_path, "another")

    assert not second.is_finished("read")
    assert (second.array("source", (2, 3), np.float16) == 0).all()


def test_an_unreadable_index_is_no_index(tmp_path: Path) -> None:
    Scratch(tmp_path, "request").finish("read")
    (tmp_path / "finished.json").write_text("{")

    assert not Scratch(tmp_path, "request").is_finished("read")
