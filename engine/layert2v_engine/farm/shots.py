"""A list of shots: read from the TOML that a person writes, and kept as JSON for the tasks.

A shot is a command of the engine that makes a new stack, and the folder of that stack.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from layert2v_engine.cli.main import build_parser
from layert2v_engine.errors import EngineError
from layert2v_engine.image.atomic import atomic_write

COMMANDS = ("generate", "decompose")
# What the farm itself says, or what would make a task depend on the machine it runs on.
RESERVED = ("--out", "--progress", "--models", "--weights")
SEVERAL_STACKS = "--split-at-cuts"
MAX_SHOTS = 1024  # values of one parameter of an OpenJD task
FORMAT = "layert2v-shots-1"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_EXAMPLE = (
    'Write it as name = "seq010", and for each shot a table [[shot]] with name, out and '
    'command = ["generate", "a red fox"].'
)


class ShotsError(EngineError):
    """A list of shots that cannot be used."""

    reason = "BAD_SHOTS"


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """One task: ``command`` makes the stack ``out``, an absolute folder that every worker sees."""

    name: str
    command: tuple[str, ...]
    out: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ShotList:
    """All tasks of a job; ``models`` and ``weights`` are absolute, or empty for the default."""

    name: str
    shots: tuple[Shot, ...]
    models: str = ""
    weights: str = ""

    def find(self, name: str, index: int) -> Shot:
        """Return a shot by its name, or without one by its number from 1 on."""
        for number, shot in enumerate(self.shots, 1):
            if shot.name == name or (not name and number == index):
                return shot
        raise ShotsError(
            f"The list has no shot {name or index!r}.", f"It has {len(self.shots)} shots."
        )


def read_shots(path: Path, *, models: Path | None = None, weights: Path | None = None) -> ShotList:
    """Read the TOML of a list of shots; relative folders start from where it lies.

    Raises ``ShotsError``, also where the engine would not understand a command.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ShotsError(
            f"The list of shots {path} cannot be read: {error.strerror}.", "Name another file."
        ) from error
    except ValueError as error:
        raise ShotsError(f"The list of shots {path} is not TOML: {error}.", _EXAMPLE) from error
    unknown = sorted(table.keys() - {"name", "shot"})
    if unknown:
        raise ShotsError(f"A list of shots has no entry {unknown[0]!r}.", _EXAMPLE)
    name, shots = table.get("name", path.stem), table.get("shot")
    if not isinstance(shots, list) or not shots:
        raise ShotsError(f"The list {path.name} has no [[shot]].", _EXAMPLE)
    if len(shots) > MAX_SHOTS:
        raise ShotsError(f"A job has at most {MAX_SHOTS} shots, not {len(shots)}.", "Split it.")
    base = path.resolve().parent
    read = tuple(_read_shot(shot, base) for shot in shots)
    _check_unique(read)
    return ShotList(
        name=_check_name(name, "job"),
        shots=read,
        models="" if models is None else str(models.expanduser().resolve()),
        weights="" if weights is None else str(weights.expanduser().resolve()),
    )


def write_json(shots: ShotList, path: Path) -> None:
    """Write what the tasks read."""
    plain = {"format": FORMAT, **asdict(shots)}
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(plain, indent=1, ensure_ascii=False), encoding="utf-8")


def read_json(path: Path) -> ShotList:
    """Read what ``write_json`` wrote. Raises ``ShotsError``."""
    hint = "Make it again with layert2v-farm submit."
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain.pop("format") != FORMAT:
            raise ValueError("it was written by another version")
        shots = tuple(
            Shot(**{**shot, "command": tuple(shot["command"])}) for shot in plain.pop("shots")
        )
        return ShotList(**plain, shots=shots)
    except OSError as error:
        raise ShotsError(f"{path} cannot be read: {error.strerror}.", hint) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ShotsError(f"{path} is no list of shots: {error}.", hint) from error


def _read_shot(shot: Any, base: Path) -> Shot:
    if not isinstance(shot, dict):
        raise ShotsError("A [[shot]] must be a table.", _EXAMPLE)
    name = _check_name(shot.get("name"), "shot")
    unknown = sorted(shot.keys() - {"name", "out", "command"})
    if unknown:
        raise ShotsError(f"The shot {name} has an unknown entry {unknown[0]!r}.", _EXAMPLE)
    out, command = shot.get("out"), shot.get("command")
    if not isinstance(out, str) or not out:
        raise ShotsError(f"The shot {name} does not say out.", _EXAMPLE)
    if not isinstance(command, list) or not all(isinstance(word, str) for word in command):
        raise ShotsError(f"The command of the shot {name} must be a list of texts.", _EXAMPLE)
    _check_command(name, command)
    return Shot(name=name, command=tuple(command), out=str(base / Path(out).expanduser()))


def _check_name(name: Any, what: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ShotsError(
            f"{name!r} is no name of a {what}.",
            "Use up to 64 letters, digits and the signs _ . - in it.",
        )
    return name


def _check_unique(shots: Sequence[Shot]) -> None:
    for field in ("name", "out"):
        seen: set[str] = set()
        for shot in shots:
            value = getattr(shot, field)
            if value in seen:
                raise ShotsError(
                    f"Two shots have the same {field} {value!r}.", f"Give each its own {field}."
                )
            seen.add(value)


def _check_command(name: str, command: Sequence[str]) -> None:
    """Raise ``ShotsError`` where the engine does not understand a command, or may not run it."""
    if not command or command[0] not in COMMANDS:
        raise ShotsError(
            f"The shot {name} starts with {command[0]!r}." if command else f"{name} says nothing.",
            f"A task of a farm is one of: {', '.join(COMMANDS)}.",
        )
    if SEVERAL_STACKS in command:
        raise ShotsError(
            f"The command of the shot {name} has {SEVERAL_STACKS}, but a shot is one stack.",
            "Cut the footage into shots first: one [[shot]] with --frames for each.",
        )
    for word in command:
        if any(word == option or word.startswith(f"{option}=") for option in RESERVED):
            raise ShotsError(
                f"The command of the shot {name} has {word.partition('=')[0]}.",
                "The farm says that: give out in the list, the rest to layert2v-farm submit.",
            )
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            build_parser().parse_args([*command, "--out", "x"])
    except (SystemExit, argparse.ArgumentError) as error:
        reason = said.getvalue().strip().partition(": ")[2] or "it asks for help"
        raise ShotsError(f"The command of the shot {name} is wrong: {reason}") from error
