"""Status texts: stages, states, durations and sizes in words."""

from __future__ import annotations

import pytest

from layert2v import status_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (185, "3:05"), (3785, "1:03:05")],
)
def test_durations(seconds: float, text: str) -> None:
    assert status_text.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1_400_000, "1.4 MB"), (10**16, "10000.0 TB")],
)
def test_file_sizes(count: int, text: str) -> None:
    assert status_text.file_size(count) == text


def test_progress() -> None:
    assert status_text.progress_text("denoise", 3, 20, 70) == "denoising 3/20, 1:10 left"
    assert status_text.progress_text("load") == "loading the model"
    assert status_text.progress_text("") == "starting"
    assert status_text.progress_text("polish", 1, 2) == "polish 1/2"


def test_states() -> None:
    assert status_text.state_text("cancelling") == "cancelling"
    assert status_text.state_text("paused") == "paused"
    assert status_text.queue_text(2) == "queued, 2 ahead"
    assert status_text.queue_text(0) == status_text.queue_text(None) == "queued"
    assert status_text.queue_text(2, 70.4) == "queued, 2 ahead, starts in 1:10"
    assert status_text.queue_text(0, 9.0) == "queued, starts in 9 s"
    assert status_text.transfer_text("fetching", 0, 2_000_000) == "downloading 0 B of 2.0 MB"
