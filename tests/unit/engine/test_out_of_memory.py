"""The end of memory in any library is one error; a broken request is not taken for it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from layert2v_engine.errors import DiskFull, OutOfMemory
from layert2v_engine.memory_limits import control_group_limits, memory_limit
from layert2v_engine.out_of_memory import is_out_of_memory, raise_out_of_memory

HUGE = 1 << 55


def _fail_in_opencv() -> None:
    with np.errstate(all="ignore"):
        cv2.copyMakeBorder(np.zeros((1, 1), np.uint8), 0, (1 << 31) - 9, 0, 1 << 30, 0)


def _fail_as_onednn() -> None:
    # What torch 2.13 raised in a matrix product under a limit of the process; no call forces it.
    raise RuntimeError("could not create a primitive")


@pytest.mark.parametrize(
    "fail",
    [
        lambda: torch.empty(HUGE),
        lambda: np.empty(HUGE),
        lambda: bytearray(HUGE),
        _fail_in_opencv,
        _fail_as_onednn,
    ],
    ids=["torch", "numpy", "python", "opencv", "onednn"],
)
def test_memory_that_cannot_be_had(fail: object) -> None:
    with pytest.raises(OutOfMemory) as caught, raise_out_of_memory("cpu", lambda: 3 << 30):
        fail()  # type: ignore[operator]
    assert "It takes about 3.0 GiB." in caught.value.message
    assert "cpu has" in caught.value.message


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shape mismatch"),
        RuntimeError("could not create a primitive descriptor for a matmul primitive"),
        DiskFull("full", "free some"),
    ],
)
def test_other_errors_stay(error: Exception) -> None:
    assert not is_out_of_memory(error)
    with pytest.raises(type(error)), raise_out_of_memory("cpu", lambda: None):
        raise error


def test_limits_of_control_groups(tmp_path: Path) -> None:
    root, membership = tmp_path / "cgroup", tmp_path / "membership"
    inner = root / "memory" / "jobs" / "one"
    inner.mkdir(parents=True)
    (root / "box").mkdir()
    (inner / "memory.limit_in_bytes").write_text("7000\n")
    (root / "memory" / "jobs" / "memory.limit_in_bytes").write_text("5000\n")
    (root / "box" / "memory.max").write_text("max\n")
    (root / "memory.max").write_text("9000\n")
    membership.write_text("4:memory:/jobs/one\n2:cpu:/\n0::/box\n")
    assert sorted(control_group_limits(root, membership)) == [5000, 7000, 9000]
    assert list(control_group_limits(root, tmp_path / "none")) == []
    assert memory_limit() > 0
