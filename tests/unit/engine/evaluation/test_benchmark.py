"""The request and the size that a benchmark reports."""

from __future__ import annotations

from layert2v_engine.evaluation.benchmark import benchmark_request, checkpoint_size
from layert2v_engine.evaluation.samples import selection_of
from layert2v_engine.model.checkpoint import read_index
from layert2v_engine.pipeline import find_model


def test_the_shipped_model_says_what_can_be_measured() -> None:
    folder = find_model("mini")
    info = read_index(folder).info
    assert set(selection_of(info).subjects) == set(info.vocabulary["subject"])
    request = benchmark_request(info, "a fox")
    assert request.width <= info.width_range[1]
    assert request.frames <= info.frames_range[1]
    size = checkpoint_size(folder)
    assert size["size_mb"] < 60
    assert size["largest_file_mb"] < 15
