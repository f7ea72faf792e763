"""``layert2v-engine vidlayer``: build, inspect, report and pack data sets of layered video."""

from __future__ import annotations

import argparse
import hashlib
import shlex
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
        "sources",
        nargs="+",
        type=Path,
        metavar="SOURCE",
        help="videos, folders of them or of numbered images, patterns such as shot.####.png",
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
        "--subjects", type=positive_int, default=1, help="most subjects of a clip; default: 1"
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
        help="write the kept clips as shards; a stopped run goes on where it was",
        description="WebDataset shards of lossless layers; with --run, latents and text states for "
        "`train --data SHARDS/train`.",
        epilog="example: layert2v-engine vidlayer pack data/vidlayer --shards data/shards",
    )
    pack.add_argument("data_set", type=Path, metavar="DATASET")
    pack.add_argument("--shards", type=Path, required=True, metavar="FOLDER", help="folder to fill")
    pack.add_argument(
        "--per-shard",
        type=positive_int,
        help="clips of a shard; default: 500, and 32 with --run",
    )
    pack.add_argument(
        "--run",
        dest="run_folder",
        type=Path,
        metavar="DIR",
        help="latents and text states of this run's autoencoder, mattes and text encoder",
    )
    pack.add_argument(
        "--size",
        dest="sizes",
        action="append",
        metavar="WxHxF",
        help="with --run: width, height and frames, such as 832x480x81; may be repeated",
    )
    pack.add_argument("--configs", type=Path, help="with --run: folder of <stage>.toml files")
    pack.set_defaults(run=_pack)
    _add_fault_parser(commands)


def _add_fault_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    faults = commands.add_parser(
        "faults",
        help="plant faults in good layers, and print what the gates find of them",
        epilog="example: layert2v-engine vidlayer faults data/vidlayer --each 40",
    )
    faults.add_argument(
        "data_sets", nargs="+", type=Path, metavar="DATASET", help="as `train --data` takes them"
    )
    faults.add_argument(
        "--each", type=positive_int, default=40, help="samples of a data set; default: 40"
    )
    faults.add_argument("--frames", type=positive_int, default=6, help="of a sample; default: 6")
    faults.add_argument(
        "--thresholds", type=Path, metavar="TOML", help="numbers in place of the defaults"
    )
    faults.add_argument(
        "--scores",
        type=Path,
        metavar="FOLDER",
        help="keep all scores there, to choose numbers by, and to go on after a stop",
    )
    faults.set_defaults(run=_faults)


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
    sources = find_sources(args.sources, allow_unlicensed=args.allow_unlicensed, without=args.out)
    plan = BuildPlan(
        root=args.out.resolve(),
        thresholds=Thresholds.load(args.thresholds),
        clip_format=ClipFormat(
            frames=args.frames, fps=args.fps, height=args.height, per_shot=args.per_shot
        ),
        annotator=_endpoint(args.annotator, args),
        inspector=_endpoint(args.inspector, args),
        votes=args.votes,
        subjects=args.subjects,
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
    from layert2v_engine.vidlayer.pack import kept_by_split, pack

    root = _data_set(args.data_set)
    if bool(args.run_folder) != bool(args.sizes):
        raise EngineError(
            "Latents need both --run and --size.",
            "Give both, or none for WebDataset shards.",
            reason="BAD_OPTIONS",
        )
    if args.run_folder:
        from layert2v_engine.cli.encode_data import EncodingOptions, encode_samples

        by_split = {split: each for split, each in kept_by_split(root).items() if each}
        options = EncodingOptions(
            run=args.run_folder, configs=args.configs, sizes=tuple(args.sizes),
            shard_clips=args.per_shard or 32,
        )  # fmt: skip
        encode_samples({args.shards / split: each for split, each in by_split.items()}, options)
        counts = {split: len(each) for split, each in by_split.items()}
    else:
        counts = pack(
            root,
            args.shards,
            lambda progress: print(f"pack: {progress.done} of {progress.total}", file=sys.stderr),
            clips_per_shard=args.per_shard or 500,
        )
    print(", ".join(f"{count} clips of {split}" for split, count in counts.items()))
    return 0


def _faults(args: argparse.Namespace) -> int:
    from layert2v_engine.decompose.networks.nanodet import NanoDet
    from layert2v_engine.vidlayer.fault_trial import confusion_table, plant_faults
    from layert2v_engine.vidlayer.readers import open_data_set
    from layert2v_engine.vidlayer.thresholds import Thresholds

    thresholds, detector = Thresholds.load(args.thresholds), NanoDet()
    opened = {str(path): open_data_set(path).samples for path in args.data_sets}
    if args.scores:
        args.scores.mkdir(parents=True, exist_ok=True)
    groups = {}
    for name, samples in opened.items():

        def report(done: int, total: int, name: str = name) -> None:
            print(f"{name}: {done} of {total}", file=sys.stderr)

        scores = args.scores / _scores_file(Path(name), args.frames) if args.scores else None
        groups[name] = plant_faults(
            samples, detector, report, each=args.each, frames=args.frames, scores=scores
        )
    print(confusion_table(groups, thresholds))
    return 0


def _scores_file(data_set: Path, frames: int) -> str:
    """Return a name that no other folder and length of samples has: their scores never mix."""
    folder = data_set.resolve()
    digest = hashlib.sha256(f"{folder}\n{frames}".encode()).hexdigest()
    return f"{folder.name}_{digest[:8]}.jsonl"


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
    from layert2v_engine.vidlayer.report import count_reasons, read_catalogue

    records = read_catalogue(root)
    train = sum(each["kept"] and each["split"] == "train" for each in records)
    print(
        f"{counts['kept']} of {counts['clips']} clips kept, {train} of them to train on, "
        f"{counts['quarantine']} in quarantine: {root}"
    )
    if reasons := count_reasons(records):
        print("out for " + ", ".join(f"{name} {count}" for name, count in reasons.items()))
        print(f"see which: layert2v-engine vidlayer report {shlex.quote(str(root))}")
