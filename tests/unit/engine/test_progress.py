"""What a run tells while it is at work."""

from __future__ import annotations

import pytest

from layert2v_engine.progress import should_preview


@pytest.mark.parametrize(
    ("total", "shown"),
    [(1, []), (2, [1]), (4, [1, 2, 3]), (8, [1, 4, 6]), (20, [2, 10, 15]), (50, [5, 24, 36, 48])],
)
def test_a_preview_comes_early_and_then_seldom(total: int, shown: list[int]) -> None:
    assert [step for step in range(1, total + 1) if should_preview(step, total)] == shown
