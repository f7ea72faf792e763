"""Which files are the frames of a plate: both sides follow the same rules."""

from __future__ import annotations

import unicodedata
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


@pytest.mark.parametrize("pattern", ["Käfer.####.png", "Käfer.%04d.png", "Käfer.#.png"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_pattern_finds_every_form_of_its_name(tmp_path: Path, pattern: str, form: str) -> None:
    for number, own in enumerate(("NFC", "NFD", "NFC"), start=8):
        suffix = "PNG" if number == 9 else "png"
        (tmp_path / unicodedata.normalize(own, f"Käfer.{number}.{suffix}")).touch()
    (tmp_path / "Käfer.12.exr").touch()
    (tmp_path / "Kafer.11.png").touch()
    asked = tmp_path / unicodedata.normalize(form, pattern)
    assert image_sequence.is_pattern(asked)
    found = image_sequence.sort_naturally(image_sequence.find_pattern(asked))
    assert len(found) == 3
    assert image_sequence.sequence_error(found) == ""
    assert image_sequence.frame_number(found) == 8


def test_a_name_is_found_whichever_way_its_letters_are_composed(tmp_path: Path) -> None:
    stored = tmp_path / unicodedata.normalize("NFD", "Säge.mov")
    stored.touch()
    asked = tmp_path / unicodedata.normalize("NFC", "Säge.mov")
    assert image_sequence.find_existing(asked).samefile(stored)
    assert image_sequence.find_existing(tmp_path / "gone é.mov") == tmp_path / "gone é.mov"
    assert image_sequence.find_pattern(tmp_path / "none" / "a.#.png") == []
