"""Every option of a command line that reads a number, and what it makes of hostile ones."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import Any

HOSTILE = ("nan", "inf", "-inf", "-1", "-0.5", "0", "1e9", "1e400", "\u00b2", "", "9" * 5000)


def number_options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, Any]]:
    """Yield ``command --option`` and the function that reads it, of all commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in set(action.choices.values()):
                yield from number_options(each)
        elif action.type is not None and _reads_numbers(action.type):
            yield f"{parser.prog} {'/'.join(action.option_strings)}", action.type


def accept_hostile(read: Any) -> list[Any]:
    """Return what ``read`` makes of hostile texts that it does not refuse with a sentence."""
    values = []
    for text in HOSTILE:
        try:
            values.append(read(text))
        except argparse.ArgumentTypeError:
            continue
    return values


def are_sane(values: list[Any]) -> bool:
    """Tell whether numbers are finite, not negative and of a size that can be computed with."""
    return all(math.isfinite(value) and 0 <= value < 2**63 for value in values)


def _reads_numbers(read: Any) -> bool:
    try:
        return isinstance(read("3"), int | float)
    except (argparse.ArgumentTypeError, TypeError, ValueError):
        return False
