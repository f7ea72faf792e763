"""What a node shows about its request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fakes.example_stack import example_stack
from layert2v.spec import GenerateSpec
from layert2v_nuke import status_text
from layert2v_nuke.project import ProjectSettings

EVENT = {
    "state": "running", "stage": "denoise", "done": 1, "total": 4, "fraction": 0.25, "eta_s": 90.0,
    "queue_position": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "status", "label", "progress"),
    [
        ({}, "Running", "Running 25 %", "25 %, denoising 1/4, 1:30 left"),
        ({"stage": "[new]"}, "Running", "Running 25 %", "25 %, (new) 1/4, 1:30 left"),
        ({"state": "queued", "queue_position": 2, "eta_s": None}, "Queued", "Queued 2 ahead",
         "2 ahead"),
        ({"state": "queued", "queue_position": 2}, "Queued", "Queued 2 ahead, starts in 1:30",
         "2 ahead, starts in 1:30"),
        ({"state": "queued", "queue_position": 0, "eta_s": None}, "Queued", "Queued", ""),
        ({"state": "uploading", "done": 500, "total": 2000}, "Uploading", "Uploading",
         "uploading 500 B of 2.0 kB"),
        ({"state": "waiting", "total": 0}, "Waiting for the server", "Waiting for the server", ""),
    ],
)  # fmt: skip
def test_progress_in_the_words_of_every_host(
    changed: dict[str, Any], status: str, label: str, progress: str
) -> None:
    values = status_text.job_progress({**EVENT, **changed})
    assert (values["status"], values["label"], values["progress"]) == (status, label, progress)


def test_the_output_size_names_the_project_s_where_it_differs() -> None:
    spec = GenerateSpec(prompt="a fox", width=320, height=180, frames=9)
    same, other = (ProjectSettings(320, 180, 1001, last, 24.0) for last in (1009, 1020))
    assert status_text.output_size(spec, same) == {"size_note": "320 x 180, 9 frames"}
    assert status_text.output_size(spec, other) == {
        "size_note": "320 x 180, 9 frames (project: 320 x 180, 20 frames)"
    }


@pytest.mark.parametrize(("path", "shown"), [("/cache/p.png", True), ("/cache/[exec].png", False)])
def test_a_preview_whose_path_nuke_would_run_is_left_out(path: str, shown: bool) -> None:
    assert bool(status_text.preview_image(path)) == shown


@pytest.mark.parametrize(
    ("action", "origin"), [("generate", "seed 7"), ("decompose", "of footage")]
)
def test_a_stack_says_where_it_comes_from(action: str, origin: str) -> None:
    stack = example_stack()
    made = replace(stack, seed=7, history=(replace(stack.history[0], action=action),))
    assert f"3 layers, 2 frames, {origin}." in str(status_text.stack_summary(made)["status"])
