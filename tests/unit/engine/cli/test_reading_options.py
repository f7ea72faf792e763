"""Clips are read with the same options, words and defaults at every entrance.

The parsers themselves are compared, so that an option that one of them gets is missed elsewhere.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from layert2v.command_options import add_reading_options
from layert2v.decompose import Footage
from layert2v.rerender import AUTO
from layert2v_client.cli.decompose_commands import decompose_request, refine_request
from layert2v_client.cli.main import parser as client_parser
from layert2v_engine.cli import decompose
from layert2v_engine.cli.main import build_parser as engine_parser

Option = tuple[tuple[str, ...], object, object, object]
ENTRANCES = (("engine", "import"), ("engine", "decompose"), ("client", "decompose"))
# Options of import that are not about how clips are read.
OTHERS = frozenset(
    ("--help", "--out", "--name", "--background", "--foreground", "--matte", "--shadow", "--full")
) | {"--start-frame", "--colorspace", "--config", "--compression"}
# What import asks of foregrounds that footage has none of: how their color and matte are made.
OF_LAYERS = frozenset(("--edges", "--no-levels", "--shadow-domain"))
PLATES = (("engine", "rerender"), ("client", "swap"), ("client", "add"))


def options_of(program: str, command: str) -> dict[str, Option]:
    """Return spelling, default, choices and help of a command's options, by their long name."""
    root = engine_parser() if program == "engine" else client_parser()
    commands = next(a for a in root._actions if isinstance(a, argparse._SubParsersAction))
    return read_options(commands.choices[command])


def read_options(parser: argparse.ArgumentParser) -> dict[str, Option]:
    return {
        action.option_strings[-1]: (
            tuple(action.option_strings),
            action.default,
            tuple(action.choices) if action.choices else None,
            action.help,
        )
        for action in parser._actions
        if action.option_strings
    }


def reading_options() -> dict[str, Option]:
    parser = argparse.ArgumentParser(add_help=False)
    add_reading_options(parser)
    return read_options(parser)


@pytest.mark.parametrize(("program", "command"), ENTRANCES)
def test_each_entrance_has_the_same_reading_options(program: str, command: str) -> None:
    wanted, found = reading_options(), options_of(program, command)
    assert {name: found.get(name) for name in wanted} == wanted


def test_import_has_no_reading_option_that_others_lack() -> None:
    own = options_of("engine", "import").keys() - OTHERS - OF_LAYERS
    assert own == reading_options().keys()


@pytest.mark.parametrize(("program", "command"), PLATES)
def test_plates_are_read_alike(program: str, command: str) -> None:
    """They are images: matrix, range, fields and rate are of movies."""
    options = options_of(program, command)
    wanted = options_of("engine", "rerender")
    for name in ("--colorspace", "--alpha"):
        assert options[name][1:3] == wanted[name][1:3]
    assert options.keys().isdisjoint({"--matrix", "--range", "--deinterlace"})


@pytest.mark.parametrize("program", ["engine", "client"])
def test_mattes_of_a_refinement_are_read_alike(program: str) -> None:
    """Its movies have no rate of their own, and their colors are those of a matte."""
    options, wanted = options_of(program, "refine"), reading_options()
    movies = ("--matrix", "--range", "--deinterlace")
    assert {name: options[name] for name in movies} == {name: wanted[name] for name in movies}
    assert options.keys().isdisjoint(wanted.keys() - set(movies))


def test_shots_are_split_alike() -> None:
    engine, client = (options_of(program, "decompose") for program in ("engine", "client"))
    assert engine["--split-at-cuts"] == client["--split-at-cuts"]
    assert engine["--ignore-cuts"] == client["--ignore-cuts"]


def test_both_programs_make_the_same_request() -> None:
    words = ["--matrix", "bt2020", "--range", "full", "--deinterlace", "--fps", "25"]
    expected = Footage(
        fps=25.0, matrix="bt2020", color_range="full", deinterlace=True, colorspace=AUTO
    )
    client = client_parser().parse_args(["decompose", "a.mov", *words])
    engine = engine_parser().parse_args(["decompose", "a.mov", "--out", "s", *words])
    assert decompose_request(client)[0].footage == expected
    assert decompose._spec(engine)[0].footage == expected
    assert decompose._spec(engine)[1]["footage"] == Path("a.mov")


def test_both_programs_make_the_same_refinement() -> None:
    words = ["refine", "s", "--layer", "fg_01", "--matte", "m.mov", "--plate", "p/"]
    reading = ["--matrix", "bt2020", "--range", "full", "--deinterlace", "--at", "v002"]
    client = refine_request(client_parser().parse_args([*words, *reading]))
    assert client == decompose._refine_spec(engine_parser().parse_args([*words, *reading]))
    spec = client[0]
    assert (spec.matrix, spec.color_range, spec.deinterlace) == ("bt2020", "full", True)
