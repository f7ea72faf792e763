"""Run one shot as a task: a whole stack or none, again as often as the manager wants.

The stack is made beside its place and moved there when it is complete, so that what lies there is
always whole. A task whose stack is there already ends at once.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import layert2v
from layert2v_engine.cli.main import main as run_engine
from layert2v_engine.errors import EngineError
from layert2v_engine.farm.shots import Shot, ShotList, ShotsError
from layert2v_engine.image.atomic import atomic_write

MANIFEST = "stack.json"
_UNFINISHED = ".layert2v-{name}"  # beside the place of the stack
_RESUMABLE = frozenset({"decompose"})  # commands that go on from what they had finished


def run_shot(
    shots: ShotList,
    shot: Shot,
    *,
    progress: str,
    again: bool = False,
    report: Callable[[str], None] = lambda _: None,
    engine: Callable[[Sequence[str]], int] = run_engine,
) -> int:
    """Make the stack of a shot; return the exit code of the engine's command.

    ``again`` makes a stack anew that is there; the old one stays until the new one is complete.
    ``report`` gets what happens as sentences. Raises ``ShotsError`` where there is no place for it.
    """
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")  # nothing is fetched by a task
    out = Path(shot.out)
    if (out / MANIFEST).exists() and not again:
        report(f"{shot.name} is complete already")
        return 0
    if out.exists() and not (out / MANIFEST).exists() and any(out.iterdir()):
        raise ShotsError(
            f"The folder of the shot {shot.name} has files that are no stack.",
            "Empty it, or give the shot another out.",
        )
    unfinished = out.parent / _UNFINISHED.format(name=out.name)
    if shot.command[0] not in _RESUMABLE:
        shutil.rmtree(unfinished, ignore_errors=True)
    started = time.time()
    report(f"{shot.name} on {platform.node()}")
    code = engine(_command(shots, shot, unfinished / out.name, progress))
    if code == 0:
        _publish(unfinished / out.name, out)
        shutil.rmtree(unfinished, ignore_errors=True)
    _write_report(out, shot, code, started)
    report(f"{shot.name} {'is complete' if code == 0 else f'failed with exit code {code}'}")
    return code


def _command(shots: ShotList, shot: Shot, folder: Path, progress: str) -> list[str]:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ShotsError(
            f"The folder {folder.parent.parent} of the shot {shot.name} cannot be used: "
            f"{error.strerror}.",
            "It must exist on every worker, and the task must be allowed to write there.",
        ) from error
    command = [*shot.command, "--out", str(folder), "--progress", progress]
    if shots.models and shot.command[0] == "generate":
        command += ["--models", shots.models]
    if shots.weights:
        command += ["--weights", shots.weights]
    return command


def _publish(made: Path, out: Path) -> None:
    """Move a complete stack to its place. Raises ``EngineError``."""
    replaced = out.with_name(f"{_UNFINISHED.format(name=out.name)}-replaced")
    try:
        if out.exists():
            shutil.rmtree(replaced, ignore_errors=True)
            out.rename(replaced)
        made.rename(out)
    except OSError as error:
        raise EngineError(
            f"The stack cannot be moved to {out}: {error.strerror}.", "It waits beside it."
        ) from error
    shutil.rmtree(replaced, ignore_errors=True)


def _write_report(out: Path, shot: Shot, code: int, started: float) -> None:
    plain = {
        "shot": shot.name,
        "command": list(shot.command),
        "exit_code": code,
        "seconds": round(time.time() - started, 3),
        "host": platform.node(),
        "version": layert2v.__version__,
    }
    with atomic_write(out.with_name(f"{out.name}.farm.json")) as temporary:
        temporary.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
