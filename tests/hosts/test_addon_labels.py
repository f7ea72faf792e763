"""Fields and buttons have the labels that every host has."""

from __future__ import annotations

import pytest

from hosts.blenders import Blender
from layert2v.labels import LABELS

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]


def test_labels_are_those_of_the_one_table(blender: Blender) -> None:
    labels = blender.run("blender_labels.py")["labels"]
    assert labels == [[field, LABELS[field].text] for field, _ in labels]
    # What Blender has no field of its own for: the scene's rate, or a line of text.
    absent = {"foreground_prompt", "fps", "output_size", "status", "progress"}
    assert {field for field, _ in labels} == set(LABELS) - absent
