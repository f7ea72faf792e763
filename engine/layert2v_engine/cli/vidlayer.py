"""``layert2v-engine vidlayer``: build, inspect, report and pack data sets of layered video."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from layert2v.command_options import non_negative_float, non_negative_int, positive_int

if TYPE_CHECKING:
    from collections.abc import Sequence

    from layert2v_engine.vidlayer.build import BuildProgress
    from layert2v_engine.vidlayer.plan import BuildPlan
    from layert2v_engine.vidlayer.sources import Source
    from layert2v_engine.vidlayer.vision import VisionConfig


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    family = subparsers.add_parser("vidlayer", help="layered data sets cut from ordinary video")
    commands = family.add_subparsers(dest="action", required=True, metavar="ACTION")
    build = commands.add_parser(
        "build",
        help="cut videos into inspected layered clips; a stopped run goes on where it was",
        epilog="example: layert2v-engine vidlayer build footage/ --out data/vidlayer",
    )
    build.add_argument(
        "sources", nargs="+", type=Path, metavar="SOURCE", help="videos, or folders of them"
    )
    build.add_argument("--out", type=Path, required=True, metavar="DATASET", help="folder to fill")
    build.add_argument(
        "--allow-unlicensed",
        action="store_true",
        help="take videos for which sources.toml has no licence",
    )
    build.add_argument(
        "--frames", type=positive_int, default=17, help="frames of a clip; default: 17"
    )
    build.add_argument(
        "--fps", type=non_negative_float, default=0.0, help="frame rate; default: as it is"
    )
    build.add_argument(
        "--height", type=positive_int, default=480, help="largest height; default: 480"
    )
    build.add_argument(
        "--per-shot", type=positive_int, default=2, help="most clips of a shot; default: 2"
    )
    build.add_argument(
        "--annotator", metavar="URL", help="OpenAI-compatible vision endpoint for captions"
    )
    build.add_argument(
        "--ray",
        nargs="?",
        const="",
        metavar="HOST:PORT",
        help="work on a Ray cluster; without an address on one of its own on this machine",
    )
    build.add_argument(
        "--ray-needs", type=Path, metavar="TOML", help="CPUs and GPUs of each stage's actors"
    )
    _add_inspector_options(build)
    build.set_defaults(run=_build)
    inspect = commands.add_parser(
        "inspect", help="judge a built data set again, with other thresholds or another judge"
    )
    inspect.add_argument("data_set", type=Path, metavar="DATASET")
    _add_inspector_options(inspect)
    inspect.set_defaults(run=_inspect)
    report = commands.add_parser("report", help="write an HTML page: kept, rejected, why")
    report.add_argument("data_set", type=Path, metavar="DATASET")
    report.set_defaults(run=_report)
    pack = commands.add_parser(
        "pack",
        help="write the kept clips as WebDataset shards; a stopped run goes on where it was",
        epilog="example: layert2v-engine vidlayer pack data/vidlayer --shards data/shards",
    )
    pack.add_argument("data_set", type=Path, metavar="DATASET")
    pack.add_argument("--shards", type=Path, required=True, metavar="FOLDER", help="folder to fill")
    pack.add_argument(
        "--per-shard", type=positive_int, default=500, help="clips of a shard; default: 500"
    )
    pack.set_defaults(run=_pack)


def _add_inspector_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--inspector", metavar="URL", help="OpenAI-compatible vision endpoint that judges"
    )
    parser.add_argument("--model", default="default", help="name of the model at the endpoints")
    parser.add_argument(
        "--votes", type=positive_int, default=3, help="questions per clip; default: 3"
    )
    parser.add_argument(
        "--max-requests",
        type=non_negative_int,
        default=10_000,
        help="most requests of this run; default: 10000",
    )
    parser.add_argument(
        "--thresholds", type=Path, metavar="TOML", help="numbers in place of the defaults"
    )


def _build(args: argparse.Namespace) -> int:
    from layert2v_engine.errors import EngineError
    from layert2v_engine.vidlayer.build import build
    from layert2v_engine.vidlayer.clips import ClipFormat
    from layert2v_engine.vidlayer.plan import BuildPlan
    from layert2v_engine.vidlayer.sources import find_sources
    from layert2v_engine.vidlayer.thresholds import Thresholds

    if args.ray_needs is not None and args.ray is None:
        raise EngineError(
            "--ray-needs is for a build on a cluster.",
            "Add --ray, or leave it out.",
            reason="BAD_VALUE",
        )
    sources = find_sources(args.sources, allow_unlicensed=args.allow_unlicensed)
    plan = BuildPlan(
        root=args.out.resolve(),
        thresholds=Thresholds.load(args.thresholds),
        clip_format=ClipFormat(
            frames=args.frames, fps=args.fps, height=args.height, per_shot=args.per_shot
        ),
        annotator=_endpoint(args.annotator, args),
        inspector=_endpoint(args.inspector, args),
        votes=args.votes,
    )
    counts = (
        build(plan, sources, _print_progress)
        if args.ray is None
        else _build_on_cluster(plan, sources, args)
    )
    _print_counts(counts, args.out)
    return 0


def _build_on_cluster(
    plan: BuildPlan, sources: Sequence[Source], args: argparse.Namespace
) -> dict[str, int]:
    from layert2v_engine.vidlayer.cluster.build import build_on_cluster
    from layert2v_engine.vidlayer.cluster.needs import default_needs, read_needs

    needs = default_needs(plan)
    if args.ray_needs is not None:
        needs = read_needs(args.ray_needs, needs)
    return build_on_cluster(plan, sources, _print_progress, address=args.ray or None, needs=needs)


def _inspect(args: argparse.Namespace) -> int:
    from layert2v_engine.vidlayer.build import inspect_again
    from layert2v_engine.vidlayer.plan import BuildPlan
    from layert2v_engine.vidlayer.thresholds import Thresholds

    root = _data_set(args.data_set)
    plan = BuildPlan(
        root=root,
        thresholds=Thresholds.load(args.thresholds),
        inspector=_endpoint(args.inspector, args),
        votes=args.votes,
    )
    _print_counts(inspect_again(root, plan.make_stage("inspect"), _print_progress), root)
    return 0


def _report(args: argparse.Namespace) -> int:
    from layert2v_engine.vidlayer.report import write_report

    print(write_report(_data_set(args.data_set)))
    return 0


def _pack(args: argparse.Namespace) -> int:
    from layert2v_engine.errors import EngineError
    from layert2v_engine.vidlayer.pack import pack

    if args.per_shard < 1:
        raise EngineError("--per-shard is at least 1.", "Leave it out for 500.", reason="BAD_VALUE")
    counts = pack(
        _data_set(args.data_set),
        args.shards,
        lambda progress: print(f"pack: {progress.done} of {progress.total}", file=sys.stderr),
        clips_per_shard=args.per_shard,
    )
    print(", ".join(f"{count} clips of {split}" for split, count in counts.items()))
    return 0


def _data_set(root: Path) -> Path:
    from layert2v_engine.errors import EngineError
    from layert2v_engine.vidlayer.readers.own import CATALOGUE

    if not (root / CATALOGUE).exists():
        raise EngineError(
            f"There is no built data set in {root}.",
            "Build one with `layert2v-engine vidlayer build`.",
            reason="NO_DATA_SET",
        )
    return root


def _endpoint(url: str | None, args: argparse.Namespace) -> VisionConfig | None:
    from layert2v_engine.vidlayer.vision import VisionConfig

    if not url:
        return None
    return VisionConfig(url=url, model=args.model, max_requests=args.max_requests)


def _print_progress(progress: BuildProgress) -> None:
    left = "" if progress.eta_s is None else f", {progress.eta_s:.0f} s left"
    print(f"{progress.stage}: {progress.done} of {progress.total}{left}", file=sys.stderr)


def _print_counts(counts: dict[str, int], root: Path) -> None:
    print(
        f"{counts['kept']} of {counts['clips']} clips kept, {counts['quarantine']} in quarantine: "
        f"{root}"
    )
