"""Which channels of a file are its picture: names as other tools write them."""

from __future__ import annotations

import pytest

from layert2v_engine.image.footage.channels import find_picture

STEREO = ["left.R", "left.G", "left.B", "right.R", "right.G", "right.B"]
FOUND = [
    ([("", "RGBA")], (0, (0, 1, 2), 3, "")),
    ([("", ["A", "B", "G", "R"])], (0, (3, 2, 1), 0, "")),
    ([("", ["Y"])], (0, (0,), None, "")),
    ([("", ["Y", "A"])], (0, (0,), 1, "")),
    ([("", ["A"])], (0, (), 0, "")),
    ([("depth", ["Z"]), ("rgba", "RGBA")], (1, (0, 1, 2), 3, "rgba")),
    ([("diffuse", "RGB"), ("beauty", "RGB")], (1, (0, 1, 2), None, "beauty")),
    ([("rgba", ["red", "green", "blue", "alpha"]), ("n", "XYZ")], (0, (0, 1, 2), 3, "rgba")),
    (
        [("", ["VL.Depth.Z", "VL.Combined.R", "VL.Combined.G", "VL.Combined.B"])],
        (0, (1, 2, 3), None, "VL.Combined"),
    ),
    ([("", ["R", "G", "B", "spec.R", "spec.G", "spec.B"])], (0, (0, 1, 2), None, "")),
    ([("", ["only.R", "only.G", "only.B", "Z"])], (0, (0, 1, 2), None, "only")),
    ([("", STEREO)], (0, (0, 1, 2), None, "left")),
    (
        [("VL.Combined.right", "RGB"), ("VL.Combined.left", "RGB")],
        (1, (0, 1, 2), None, "VL.Combined.left"),
    ),
    ([("left.spec", "RGB"), ("left.rgba", "RGB")], (1, (0, 1, 2), None, "left.rgba")),
]


@pytest.mark.parametrize(("parts", "expected"), FOUND)
def test_the_picture_is_found(
    parts: list[tuple[str, list[str]]], expected: tuple[int, tuple[int, ...], int | None, str]
) -> None:
    picture = find_picture([(name, list(channels)) for name, channels in parts])
    assert not isinstance(picture, str)
    assert (picture.part, picture.color, picture.alpha, picture.layer) == expected


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ([("", ["Z"])], "Z"),
        ([("", ["X", "Y", "Z"])], "X, Y, Z"),
        ([("", ["Y", "RY", "BY"])], "Y, RY, BY"),
        ([("spec", "RGB"), ("diffuse", "RGB")], "spec, diffuse"),
        ([], "nothing"),
    ],
)
def test_depth_and_passes_alone_are_no_picture(
    parts: list[tuple[str, list[str]]], what: str
) -> None:
    assert find_picture(parts) == what
