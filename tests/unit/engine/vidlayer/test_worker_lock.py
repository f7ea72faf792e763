from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.worker_lock import (
    hold_worker_lock,
    remove_worker_lock,
    wait_for_workers,
    write_worker_lock,
)


def test_a_build_waits_for_the_actors_of_an_ended_one(tmp_path: Path) -> None:
    write_worker_lock(tmp_path, "token")
    first, second = (hold_worker_lock(tmp_path, "token") for _ in range(2))
    with first, second, pytest.raises(EngineError, match="still at work"):
        wait_for_workers(tmp_path, timeout_s=0.0)
    wait_for_workers(tmp_path, timeout_s=0.0)
    remove_worker_lock(tmp_path)
    assert not list(tmp_path.iterdir())
    wait_for_workers(tmp_path, timeout_s=0.0)


@pytest.mark.parametrize("token", ["token", None])
def test_another_folder_at_the_same_path_is_reported(tmp_path: Path, token: str | None) -> None:
    if token:
        write_worker_lock(tmp_path, token)
    other = hold_worker_lock(tmp_path, "another")
    with pytest.raises(EngineError, match="does not see"), other:
        pass
