"""The command ``layert2v-engine evaluate``: a model measured, as table, pictures and JSON."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from layert2v.command_options import positive_int, seed_number
from layert2v_engine.cli import evaluate_decompose
from layert2v_engine.cli.train import DEVICE_HELP, duration

GENERATED, RERENDERED = 64, 32  # prompts


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    evaluate = subparsers.add_parser(
        "evaluate",
        help="measure a model: prompts, classifiers, a table, contact sheets",
        description="The first time a small world is rendered and classifiers are trained on it; "
        "both are kept in the folder, or taken from the training run that --run names.",
        epilog="example: layert2v-engine evaluate mini --out out/evaluation",
    )
    evaluate.add_argument(
        "model",
        nargs="?",
        default="mini",
        help="name of a model, a model folder, or decompose: layers of footage",
    )
    evaluate.add_argument("--out", metavar="DIR", type=Path, required=True)
    evaluate.add_argument(
        "--prompts", metavar="FILE", type=Path,
        help="one prompt a line, instead of prompts sampled from the world",
    )  # fmt: skip
    evaluate.add_argument(
        "--rerender", action="store_true", help="measure re-rendered layers instead"
    )
    evaluate.add_argument(
        "--run", dest="run_folder", metavar="DIR", type=Path,
        help="folder of a training run, for its world and classifiers",
    )  # fmt: skip
    evaluate.add_argument(
        "--count", type=positive_int, help="prompts; default: 64, or 32 with --rerender"
    )
    evaluate.add_argument("--seed", type=seed_number, default=0)
    evaluate.add_argument(
        "--classifier-clips",
        type=positive_int,
        default=1400,
        help="clips that new classifiers are trained on; default: 1400",
    )
    evaluate.add_argument(
        "--classifier-budget",
        default="600s",
        help="training time of new classifiers, in seconds of one core; default: 600s",
    )
    evaluate.add_argument("--device", default="auto", help=DEVICE_HELP)
    evaluate_decompose.add_options(evaluate)
    evaluate.set_defaults(run=_evaluate)


def _evaluate(args: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if args.model == evaluate_decompose.TARGET:
        return evaluate_decompose.evaluate(args)
    from layert2v_engine.devices import pick_device  # torch: heavy, and not needed for a help text
    from layert2v_engine.engine import Engine
    from layert2v_engine.evaluation import reference_data, report, rerender
    from layert2v_engine.evaluation.samples import read_prompt_cases
    from layert2v_engine.pipeline import LayeredPipeline, find_model

    cases = read_prompt_cases(args.prompts) if args.prompts is not None else None
    device, folder = str(pick_device(args.device)), find_model(args.model)
    pipeline = LayeredPipeline.from_pretrained(folder, device=device)
    args.out.mkdir(parents=True, exist_ok=True)
    reference = reference_data.prepare(
        args.run_folder or args.out / reference_data.FOLDER,
        pipeline.info,
        clip_count=args.classifier_clips,
        train_s=duration(args.classifier_budget),
    )
    if args.rerender:
        engine, name = Engine(folder.parent, device), pipeline.info.name
        count = args.count or RERENDERED
        metrics = rerender.report(
            engine, name, reference.classifiers, args.out, count=count, seed=args.seed
        )
        print(json.dumps(metrics, indent=2))
        return 0
    count = args.count or GENERATED
    print(
        report.report(
            pipeline, reference, args.out, model=folder, cases=cases, count=count, seed=args.seed
        )
    )
    return 0
