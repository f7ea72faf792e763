"""``layert2v-engine``: the engine without a server. Each family of commands has a module here."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import layert2v
from layert2v.command_options import EXIT_USAGE, CommandParser
from layert2v.interrupts import EXIT_INTERRUPTED
from layert2v_engine.cli import COMMAND_FAMILIES
from layert2v_engine.errors import EngineError


def build_parser() -> argparse.ArgumentParser:
    """Return the whole command line; each command has its function in ``run``."""
    parser = CommandParser(
        prog="layert2v-engine", description="Generate, train, import and inspect layer stacks."
    )
    version = f"%(prog)s {layert2v.__version__}"
    parser.add_argument("--version", action="version", version=version)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for family in COMMAND_FAMILIES:
        family.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code.

    0 on success, 1 when a check found a problem, 2 on an error, 130 when interrupted.
    """
    # Before torch is loaded: threads that wait by spinning made a clip take 13.3 instead of 10.2 s
    # on two cores with one busy, and gained nothing on idle ones.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except EngineError as error:
        print(f"layert2v-engine: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("layert2v-engine: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
