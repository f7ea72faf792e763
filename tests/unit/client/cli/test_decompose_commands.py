"""Options about footage as requests."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v.decompose import Box, DecomposeSpec, Footage, Point, SubjectSpec
from layert2v.rerender import Plate
from layert2v_client.cli import main
from layert2v_client.cli.decompose_commands import decompose_request


def request(*options: str) -> tuple[DecomposeSpec, dict[str, object]]:
    args = main.parser().parse_args(["decompose", "dog.mov", *options])
    return decompose_request(args)  # type: ignore[return-value]


def test_nothing_but_footage() -> None:
    assert request() == (DecomposeSpec(), {"footage": Path("dog.mov")})


def test_subjects_are_named_nearest_first() -> None:
    spec, _ = request("--subject", "the dog", "--subject", "the ball")
    assert [each.words for each in spec.subjects] == ["the dog", "the ball"]


def test_options_belong_to_the_subject_before_them() -> None:
    hints = ("--box", "1001:-3,80.5,400,300", "--point", "1001:5,6", "--outside", "1002:7,8")
    spec, _ = request("--subject", "the ball", "--subject", "the dog", *hints)
    assert spec.subjects == (
        SubjectSpec("the ball"),
        SubjectSpec(
            "the dog",
            boxes=(Box(1001, -3, 80.5, 400, 300),),
            points=(Point(1001, 5, 6), Point(1002, 7, 8, is_subject=False)),
        ),
    )


def test_options_before_the_first_words_belong_to_the_first_subject() -> None:
    spec, _ = request("--point", "1:2,3", "--subject", "the dog")
    assert spec.subjects == (SubjectSpec("the dog", points=(Point(1, 2, 3),)),)


def test_mattes_make_subjects_and_inputs() -> None:
    spec, inputs = request("--matte", "a.####.exr", "--scribble", "s.png", "--matte", "b")
    assert spec.subjects == (
        SubjectSpec(matte="matte_1", scribble="scribble_1"),
        SubjectSpec(matte="matte_2"),
    )
    named = {"matte_1": "a.####.exr", "scribble_1": "s.png", "matte_2": "b"}
    assert inputs == {"footage": Path("dog.mov"), **{k: Path(v) for k, v in named.items()}}


def test_ranges_and_colors() -> None:
    spec, inputs = request(
        *("--frames", "1001-1048", "--handles", "8", "--scale", "0.5", "--start-frame", "1001"),
        *("--fps", "23.976", "--colorspace", "ACEScg", "--source-colorspace", "sRGB"),
        *("--alpha", "opaque", "--plate", "clean", "--plate-colorspace", "ACEScg"),
        *("--matrix", "bt601", "--range", "full", "--deinterlace"),
    )
    assert spec == DecomposeSpec(
        footage=Footage("footage", "sRGB", "opaque", 23.976, 1001, "bt601", "full", True),
        plate=Plate("plate", "ACEScg"),
        first=1001,
        last=1048,
        handles=8,
        scale=0.5,
        colorspace="ACEScg",
    )
    assert inputs["plate"] == Path("clean")


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--box", "120,80,400,300", "like 1001:120,80,400,300"),
        ("--box", "1001:120,80,400", "like 1001:120,80,400,300"),
        ("--point", "1001:5", "like 1001:320,200"),
        ("--frames", "1048-1001", "as FIRST-LAST"),
        ("--scale", "0", "above 0"),
    ],
)
def test_wrong_options(
    option: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        request(option, value)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
