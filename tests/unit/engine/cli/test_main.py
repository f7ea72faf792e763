"""The whole command line of the engine."""

from __future__ import annotations

from fakes.number_options import accept_hostile, are_sane, number_options
from layert2v_engine.cli.main import build_parser


def test_no_option_takes_a_number_that_is_none() -> None:
    options = dict(number_options(build_parser()))
    assert len(options) > 20
    wrong = {name: accept_hostile(read) for name, read in options.items()}
    assert {name: values for name, values in wrong.items() if not are_sane(values)} == {}
