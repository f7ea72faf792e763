"""``layert2v-farm``: write a job for a farm manager, and run one of its tasks."""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import layert2v
from layert2v.command_options import EXIT_USAGE, CommandParser
from layert2v.interrupts import EXIT_INTERRUPTED
from layert2v_engine.cli.options import PROGRESS_FORMS, progress_line
from layert2v_engine.errors import EngineError
from layert2v_engine.farm.bundle import SHOTS_FILE, Bundle, Job, farm_program
from layert2v_engine.farm.deadline import write_deadline
from layert2v_engine.farm.flamenco import write_flamenco
from layert2v_engine.farm.opencue import write_opencue
from layert2v_engine.farm.openjd import STEP, TEMPLATE, write_openjd
from layert2v_engine.farm.requirements import Requirements
from layert2v_engine.farm.run import run_shot
from layert2v_engine.farm.shots import ShotsError, read_json, read_shots, write_json

MANAGERS: dict[str, Callable[[Job], Bundle]] = {
    "openjd": write_openjd,
    "deadline": write_deadline,
    "opencue": write_opencue,
    "flamenco": write_flamenco,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code, which for ``run`` is that of the shot.

    0 on success, 2 on an error, 130 when interrupted.
    """
    args = _parser().parse_args(argv)
    try:
        return int(args.run(args) or 0)
    except EngineError as error:
        print(f"layert2v-farm: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("layert2v-farm: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


def _submit(args: argparse.Namespace) -> int:
    needs = Requirements(
        gpus=args.gpus,
        gpu_memory_gib=args.gpu_memory,
        memory_gib=args.memory,
        cores=args.cores,
        priority=args.priority,
        pool=args.pool,
        group=args.group,
        limits=tuple(args.limit),
    ).check()
    if args.run_here and args.to != "openjd":
        raise ShotsError(f"--run runs openjd alone, not {args.to}.", "Leave it out.")
    shots = read_shots(args.shots, models=args.models, weights=args.weights)
    job = Job(
        shots=shots,
        requirements=needs,
        folder=args.out.expanduser().resolve(),
        program=args.program or farm_program(),
        user=getpass.getuser(),
        show=args.show,
    )
    bundle = MANAGERS[args.to](job)
    try:
        job.folder.mkdir(parents=True, exist_ok=True)
        write_json(shots, job.folder / SHOTS_FILE)
        for name, text in bundle.files.items():
            (job.folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ShotsError(
            f"The job cannot be written to {job.folder}: {error.strerror}.",
            "Name a folder that every worker sees with --out.",
        ) from error
    print(f"wrote {len(shots.shots)} shot(s) for {args.to} to {job.folder}", file=sys.stderr)
    if args.run_here:
        return _run_openjd(job.folder / TEMPLATE)
    print(bundle.next_step)
    return 0


def _run_openjd(template: Path) -> int:
    """Run every task of a template on this machine, one after the other."""
    beside = Path(sys.executable).with_name("openjd")
    program = str(beside) if beside.exists() else shutil.which("openjd")
    if program is None:
        raise ShotsError("openjd is not installed.", "Install LayerT2V with its farm extra.")
    command = [program, "run", str(template), "--step", STEP]
    return subprocess.run(command, check=False).returncode  # noqa: S603  no shell, our own words


def _run(args: argparse.Namespace) -> int:
    shots = read_json(args.shots)
    is_openjd = args.progress == "openjd"

    def report(sentence: str) -> None:
        print(f"openjd_status: {sentence}" if is_openjd else sentence, flush=True)

    shot = shots.find(args.shot, args.index)
    code = run_shot(shots, shot, progress=args.progress, again=args.again, report=report)
    if code == 0:
        print(progress_line(args.progress, 100), flush=True)
    elif is_openjd:
        print(f"openjd_fail: {shot.name} failed with exit code {code}", flush=True)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="layert2v-farm", description="Layer stacks as jobs of a farm.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {layert2v.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    submit = commands.add_parser(
        "submit",
        help="write a job for a farm manager",
        epilog="example: layert2v-farm submit shots.toml --to openjd --out jobs/seq010 --gpus 1",
    )
    submit.set_defaults(run=_submit)
    submit.add_argument("shots", type=Path, metavar="SHOTS", help="TOML; see docs/farm.md")
    submit.add_argument("--to", required=True, choices=tuple(MANAGERS), help="the farm manager")
    submit.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="where workers see it"
    )
    submit.add_argument(
        "--run", dest="run_here", action="store_true", help="openjd: run the tasks on this machine"
    )
    submit.add_argument("--program", help="layert2v-farm on the workers; default: this one's path")
    _add_requirements(submit)
    run = commands.add_parser("run", help="run one shot, as a task of a farm does")
    run.set_defaults(run=_run)
    run.add_argument("shots", type=Path, metavar="SHOTS", help="shots.json of a job")
    which = run.add_mutually_exclusive_group(required=True)
    which.add_argument("--shot", default="", metavar="NAME")
    which.add_argument("--index", type=int, default=0, metavar="N", help="number, from 1 on")
    run.add_argument("--progress", choices=PROGRESS_FORMS[1:], default="percent")
    run.add_argument("--again", action="store_true", help="also where the stack is complete")
    return parser


def _add_requirements(submit: argparse.ArgumentParser) -> None:
    default = Requirements()
    add = submit.add_argument
    add("--models", type=Path, metavar="DIR", help="folder of checkpoints, on every worker")
    add("--weights", type=Path, metavar="DIR", help="networks of others, on every worker")
    add("--gpus", type=int, default=default.gpus, help="of a task")
    add("--gpu-memory", type=float, default=default.gpu_memory_gib, metavar="GIB")
    add("--memory", type=float, default=default.memory_gib, metavar="GIB")
    add("--cores", type=int, default=default.cores)
    add("--priority", type=int, default=default.priority, help="0 to 100")
    add("--pool", default="", help="of Deadline; of OpenCue the tags")
    add("--group", default="", help="of Deadline")
    add("--limit", action="append", default=[], metavar="NAME", help="a licence or other limit")
    add("--show", default=os.environ.get("SHOW", "layert2v"), help="of OpenCue")


if __name__ == "__main__":
    sys.exit(main())
