"""Options that more than one command has, and numbers as people write them."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from layert2v_engine.cli.train import DEVICE_HELP
from layert2v_engine.errors import EngineError, InvalidSpec

if TYPE_CHECKING:
    from layert2v_engine.engine import Progress

BAR_WIDTH = 30


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Add what a run of a model can be told beside what to draw."""
    parser.add_argument("--seed", type=whole, metavar="N", help="default: chosen and recorded")
    parser.add_argument("--steps", type=positive, default=0, metavar="N")
    parser.add_argument("--guidance", type=number, default=-1.0, metavar="X")
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)
    add_models(parser)


def add_models(parser: argparse.ArgumentParser) -> None:
    """Add where models are."""
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of checkpoints")


def in_options(problem: InvalidSpec, options: Mapping[str, str]) -> EngineError:
    """The complaints about fields as one line per option; `options` has those that are not called
    like their field.
    """
    lines = ["The request cannot be met:"]
    for violation in problem.violations:
        field = violation.field.partition("[")[0]
        lines.append(f"  {options.get(field, f'--{field}')}: {violation.message}")
    return EngineError("\n".join(lines), reason=problem.reason)


def whole(text: str) -> int:
    """A whole number from 0 on."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 0 on")
    return int(text)


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def number(text: str) -> float:
    """A finite number from 0 on."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 0 on")
    return value


def show(progress: Progress) -> None:
    """A bar on a terminal, else a line wherever there is something to say."""
    if not sys.stderr.isatty():
        if progress.message:
            print(f"{progress.fraction:4.0%} {progress.message}", file=sys.stderr)
        return
    filled = round(BAR_WIDTH * progress.fraction)
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    step = f"{progress.stage} {progress.done}/{progress.total}"
    print(f"\r[{bar}] {progress.fraction:4.0%} {step:<16}", end="", file=sys.stderr, flush=True)
