"""`layert2v-engine`: the engine without a server. Each command family lives in its module under
`commands`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import layert2v
from layert2v_engine.cli import COMMAND_FAMILIES
from layert2v_engine.errors import EngineError

EXIT_ERROR, EXIT_INTERRUPTED = 2, 130


class Parser(argparse.ArgumentParser):
    """Says one sentence about a wrong option instead of the whole usage; so do its commands."""

    def error(self, message: str) -> NoReturn:
        """End the program with the sentence."""
        self.exit(EXIT_ERROR, f"{self.prog}: {message}. See {self.prog} --help.\n")


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; commands carry their function in `run`."""
    parser = Parser(
        prog="layert2v-engine", description="Generate, train, import and inspect layer stacks."
    )
    version = f"%(prog)s {layert2v.__version__}"
    parser.add_argument("--version", action="version", version=version)
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for family in COMMAND_FAMILIES:
        family.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success, 1 when a check found a problem, 2 on an error, 130 when
    interrupted.
    """
    # Before torch is loaded: threads that wait by spinning made a clip take 13.3 instead of 10.2 s
    # on two cores with one busy, and gained nothing on idle ones.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    args = build_parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except EngineError as error:
        print(f"layert2v-engine: {error}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        print("layert2v-engine: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
