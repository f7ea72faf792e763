"""`layert2v-engine train` and `evaluate`."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from layert2v_engine.errors import EngineError

STAGE_NAMES = ("autoencoder", "matte", "joint")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands."""
    train = subparsers.add_parser(
        "train",
        help="train a model, stage by stage; a stopped run goes on where it was",
        description="Train in the paper's stages. Progress goes to the log and to TensorBoard files in the run.",
        epilog="example: layert2v-engine train autoencoder matte joint --run runs/mini --budget 20m",
    )
    train.add_argument(
        "stages", nargs="+", choices=STAGE_NAMES, metavar="STAGE", help=", ".join(STAGE_NAMES)
    )
    train.add_argument(
        "--run",
        dest="run_folder",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder of the run; made, or gone on with",
    )
    train.add_argument(
        "--configs", type=Path, help="folder of <stage>.toml files; default: the Mini's"
    )
    train.add_argument(
        "--budget", help="training time per phase instead of the file's, such as 90s, 20m or 1h"
    )
    train.add_argument("--threads", type=int, default=0, help="CPU threads; default: all")
    train.set_defaults(run=_train)


def duration(text: str) -> float:
    """Seconds of `90s`, `20m`, `1h` or a plain number of seconds."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        return float(number) * _UNITS[unit]
    except ValueError:
        raise EngineError(
            f"{text!r} is not a duration.",
            "Write for example 90s, 20m or 1h.",
            reason="BAD_DURATION",
        ) from None


def _train(args: argparse.Namespace) -> int:
    import torch  # heavy, and not needed to print a help text

    from layert2v_engine.training.config import load_config
    from layert2v_engine.training.stages import STAGES
    from layert2v_engine.training.trainer import Stopped

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.threads:
        torch.set_num_threads(args.threads)
    budget_s = duration(args.budget) if args.budget else None
    args.run_folder.mkdir(parents=True, exist_ok=True)
    for name in args.stages:
        kind, run_stage = STAGES[name]
        try:
            run_stage(args.run_folder, load_config(kind, name, args.configs), budget_s)
        except Stopped as stopped:
            logging.info("%s; call the same command again to go on", stopped)
            return 130
    return 0
