"""The options that both command lines share."""

from __future__ import annotations

from dataclasses import fields

import pytest

from layert2v.command_options import (
    GENERATE_OPTIONS,
    CommandParser,
    add_generate_options,
    generate_spec,
)
from layert2v.spec import GenerateSpec


def parse(*arguments: str) -> GenerateSpec:
    parser = CommandParser(prog="tool")
    add_generate_options(parser)
    return generate_spec(parser.parse_args(arguments))


def test_options_that_are_not_given_stay_the_defaults() -> None:
    assert parse("a fox") == GenerateSpec(prompt="a fox")


def test_every_field_has_an_option() -> None:
    parser = CommandParser(prog="tool")
    add_generate_options(parser)
    options = parser.format_help()
    for field in fields(GenerateSpec):
        assert GENERATE_OPTIONS.get(field.name, f"--{field.name}") in options


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--frames", "0"], "--frames: '0' must be a whole number from 1 on"),
        (["--size", "1x2x3"], "--size: write '1x2x3' as WIDTHxHEIGHT"),
        (["--seed", "9" * 5000], "must be at most"),
        (["--guidance", "nan"], "--guidance: 'nan' must be a number from 0 on"),
    ],
)
def test_a_wrong_option_is_one_sentence(
    capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse("a fox", *options)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.endswith("See tool --help.\n")
