"""Fields and buttons have the labels that every host has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.fake_engine import MODEL
from hosts.blenders import Blender
from layert2v.labels import LABELS
from layert2v.spec import model_to_json

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]


def test_labels_are_those_of_the_one_table_and_presets_fill_fields(
    blender: Blender, tmp_path: Path
) -> None:
    model = tmp_path / "model.json"
    model.write_text(json.dumps(model_to_json(MODEL)))
    seen = blender.run("blender_labels.py", model)
    labels = seen["labels"]
    assert seen["preset"] == [False, 128, 96, 9, True, 8, 5.0]
    assert labels == [[field, LABELS[field].text] for field, _ in labels]
    # What Blender has no field of its own for: the scene's rate, or a line of text.
    absent = {"foreground_prompt", "fps", "output_size", "status", "progress", "account"}
    assert {field for field, _ in labels} == set(LABELS) - absent
