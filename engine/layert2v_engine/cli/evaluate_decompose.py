"""The command ``layert2v-engine evaluate decompose``: layers of footage measured against truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from layert2v_engine.errors import EngineError

TARGET = "decompose"  # in place of a model's name


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what only this evaluation asks for."""
    group = parser.add_argument_group("of decompose")
    group.add_argument(
        "--samples", metavar="DIR", type=Path, help="folder of real clips with mattes"
    )
    group.add_argument(
        "--rendered", metavar="DIR", type=Path,
        help="test clips of scripts/rendered_clips; default: those of the run, if it has any",
    )  # fmt: skip
    group.add_argument(
        "--splitter", metavar="DIR", type=Path, help="weights instead of the shipped ones"
    )
    group.add_argument(
        "--only-splitter", action="store_true", help="leave out whole decompositions"
    )


def evaluate(args: argparse.Namespace) -> int:
    """Measure decompositions, print the table."""
    from layert2v_engine.engine import Engine
    from layert2v_engine.evaluation.decompose.run import WORLD_CLIPS, EvaluationSettings
    from layert2v_engine.evaluation.decompose.run import evaluate as run

    rendered = args.rendered
    if rendered is None and args.run_folder is not None:
        own = args.run_folder / "rendered" / "test"
        rendered = own if own.is_dir() else None
    if args.samples is not None and not args.samples.is_dir():
        raise EngineError(
            f"There is no folder {args.samples}.", "Name one, or leave out --samples.",
            reason="MISSING_SAMPLES",
        )  # fmt: skip
    settings = EvaluationSettings(
        run=args.run_folder,
        rendered=rendered,
        samples=args.samples,
        weights=args.splitter,
        count=args.count or WORLD_CLIPS,
        only_splitter=args.only_splitter,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    print(run(Engine(args.out), args.out, settings))
    return 0
