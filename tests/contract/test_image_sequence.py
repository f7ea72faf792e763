"""Which files are the frames of a plate: both sides follow the same rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v import image_sequence


def paths(*names: str) -> tuple[Path, ...]:
    return image_sequence.sort_naturally(Path("plate", name) for name in names)


def test_numbers_count_as_numbers() -> None:
    names = [path.name for path in paths("p.10.png", "p.9.png", "p.100.png", "p.11.png")]
    assert names == ["p.9.png", "p.10.png", "p.11.png", "p.100.png"]


@pytest.mark.parametrize(
    "names",
    [
        ("still.exr",),
        ("p.9.png", "p.10.png", "p.11.png"),
        ("sh010_0999_v2.exr", "sh010_1000_v2.exr"),
        ("1.PNG", "2.png"),
    ],
)
def test_a_sequence_differs_in_one_number(names: tuple[str, ...]) -> None:
    assert image_sequence.sequence_error(paths(*names)) == ""


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("a.1.png", "b.2.png"), "a.1.png and b.2.png are not frames of one sequence."),
        (("a.1.png", "a.2.exr"), "a.2.exr and a.1.png are not frames of one sequence."),
        (("v1.1.png", "v2.2.png"), "v1.1.png and v2.2.png are not frames of one sequence."),
        (("a.1.png", "a.01.png"), "a.01.png and a.1.png are not frames of one sequence."),
        (("a.8.png", "a.10.png"), "A frame is missing between a.8.png and a.10.png."),
    ],
)
def test_what_is_no_sequence_is_said(names: tuple[str, ...], sentence: str) -> None:
    assert image_sequence.sequence_error(paths(*names)) == sentence


def test_hidden_and_other_files_are_no_pictures() -> None:
    assert image_sequence.is_image(Path("a.EXR"))
    assert not any(map(image_sequence.is_image, (Path(".a.exr"), Path("a.tga"), Path("a"))))
