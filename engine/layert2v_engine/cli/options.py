"""Options that more than one command of the engine has, and how a command reports."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layert2v.command_options import non_negative_float, non_negative_int
from layert2v.status_text import stage_text
from layert2v_engine.cli.train import DEVICE_HELP
from layert2v_engine.errors import EngineError, InvalidSpec

if TYPE_CHECKING:
    from layert2v_engine.engine import Progress
    from layert2v_engine.model.memory import MemoryOptions
    from layert2v_engine.model.speed import SpeedOptions

BAR_WIDTH = 30
PROGRESS_FORMS = ("auto", "percent", "openjd")


def add_model_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that runs a model, besides those of the request."""
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)
    add_models_option(parser)


def add_progress_option(parser: argparse.ArgumentParser) -> None:
    """Add how progress is printed."""
    parser.add_argument(
        "--progress",
        choices=PROGRESS_FORMS,
        default=PROGRESS_FORMS[0],
        help="auto: for people, on stderr; percent and openjd: lines for a farm, on stdout",
    )


def add_memory_options(parser: argparse.ArgumentParser) -> None:
    """Add what saves memory of the device. Without any of them the engine chooses."""
    group = parser.add_argument_group(
        "memory", "Without these, what makes a request fit is switched on, as far as it is exact."
    )
    group.add_argument(
        "--one-stream-decode",
        action="store_true",
        help="decode one stream after another: the same pixels, frames wait in the CPU's memory",
    )
    group.add_argument(
        "--offload",
        choices=("none", "model", "group"),
        help="keep in the CPU's memory whole networks that are not at work, or all blocks of the "
        "transformer that are not; the same pixels, slower",
    )
    group.add_argument(
        "--float8",
        action="store_true",
        help="hold the transformer's matrices in 8 bits; not quite the same pixels",
    )


def add_speed_options(parser: argparse.ArgumentParser) -> None:
    """Add what saves time."""
    group = parser.add_argument_group("speed")
    group.add_argument(
        "--attention",
        default="",
        metavar="NAME",
        help="a backend of diffusers, such as flash or _native_cudnn, which is checked first",
    )
    group.add_argument(
        "--compile", action="store_true", help="compile the transformer's blocks: for many requests"
    )
    group.add_argument(
        "--parallel",
        choices=("guidance", "ulysses", "ring"),
        help="share one run among the processes of torchrun: both passes of guidance, or the "
        "tokens; the same pixels up to rounding",
    )
    group.add_argument(
        "--skip-blocks",
        type=non_negative_float,
        default=0.0,
        metavar="SHARE",
        help="leave blocks out in steps at which the first one changes less than this share, such "
        "as 0.1; not the same pixels",
    )
    group.add_argument(
        "--predict-steps",
        type=non_negative_int,
        default=0,
        metavar="N",
        help="run the transformer at every N-th step and predict its output in between, such as 2; "
        "not the same pixels",
    )


def speed_options(args: argparse.Namespace) -> SpeedOptions:
    """Return what was asked for."""
    from layert2v_engine.model.parallel import Parallelism  # torch: not for a help text
    from layert2v_engine.model.speed import SpeedOptions

    parallel = Parallelism(args.parallel) if args.parallel else None
    return SpeedOptions(
        attention=args.attention,
        compile=args.compile,
        skip=args.skip_blocks,
        predict=args.predict_steps,
        parallel=parallel,
    )


def memory_options(args: argparse.Namespace) -> MemoryOptions | None:
    """Return what was asked for, None for nothing."""
    from layert2v_engine.model.memory import MemoryOptions, Offload  # torch: not for a help text

    if not (args.one_stream_decode or args.offload or args.float8):
        return None
    return MemoryOptions(
        one_stream_decode=args.one_stream_decode,
        offload=Offload(args.offload or "none"),
        float8=args.float8,
    )


def add_models_option(parser: argparse.ArgumentParser) -> None:
    """Add the folder of checkpoints."""
    parser.add_argument("--models", type=Path, metavar="DIR", help="folder of checkpoints")


def add_weights_options(parser: argparse.ArgumentParser) -> None:
    """Add where networks of others lie, and on which terms they may be used."""
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="DIR",
        help="folder with networks of others; default: weights in the user's data folder",
    )
    parser.add_argument(
        "--commercial-only",
        action="store_true",
        help="refuse networks whose licence does not simply allow commercial use",
    )


def weights_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the options of ``add_weights_options`` say, as the engine takes it."""
    return {"weights": args.weights, "commercial_only": args.commercial_only}


def options_error(error: InvalidSpec, options: Mapping[str, str]) -> EngineError:
    """Return the violations of fields as one line per option.

    ``options`` has those that are not called like their field.
    """
    lines = ["The request cannot be met:"]
    for violation in error.violations:
        field = violation.field.partition("[")[0]
        lines.append(f"  {options.get(field, f'--{field}')}: {violation.message}")
    return EngineError("\n".join(lines), reason=error.reason)


class ProgressPrinter:
    """Draws a bar on a terminal; elsewhere prints each message, or the stage where it changes.

    For a farm it prints each new percent on stdout, in one of ``PROGRESS_FORMS``.
    """

    def __init__(self, form: str = PROGRESS_FORMS[0]) -> None:
        self._form = form
        self._stage = ""
        self._percent = -1

    def __call__(self, progress: Progress) -> None:
        """Show progress."""
        is_new, self._stage = progress.stage != self._stage, progress.stage
        if self._form != PROGRESS_FORMS[0]:
            self._print_percent(progress, is_new)
        elif sys.stderr.isatty():
            _draw_bar(progress)
        elif progress.message or is_new:
            text = progress.message or stage_text(progress.stage)
            print(f"{progress.fraction:4.0%} {text}", file=sys.stderr)

    def _print_percent(self, progress: Progress, is_new: bool) -> None:
        percent = int(100 * progress.fraction)
        is_openjd = self._form == "openjd"
        if is_new and is_openjd:
            print(f"openjd_status: {stage_text(progress.stage)}", flush=True)
        if percent > self._percent:
            self._percent = percent
            print(progress_line(self._form, percent), flush=True)


def progress_line(form: str, percent: int) -> str:
    """Return the line in which a farm manager reads progress."""
    # The second is what Deadline's CommandLine plug-in looks for, and people can read.
    return f"openjd_progress: {percent}" if form == "openjd" else f"Progress: {percent}%"


def _draw_bar(progress: Progress) -> None:
    filled = round(BAR_WIDTH * progress.fraction)
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    step = f"{progress.stage} {progress.done}/{progress.total}"
    print(f"\r[{bar}] {progress.fraction:4.0%} {step:<16}", end="", file=sys.stderr, flush=True)
