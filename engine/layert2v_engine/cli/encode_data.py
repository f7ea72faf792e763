"""``layert2v-engine encode-data``: latents and text states of data sets, computed once."""

from __future__ import annotations

import argparse
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layert2v.command_options import positive_int
from layert2v_engine.cli.train import DEVICE_HELP
from layert2v_engine.errors import EngineError

if TYPE_CHECKING:
    from layert2v_engine.vidlayer.readers.sample import SampleFiles


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "encode-data",
        help="compute latents and text states of data sets once, for `train --data`",
        description="Works in shards: a stopped command goes on with the first that is missing, "
        "and several machines share the work by --part, or started by torchrun by themselves.",
        epilog="example: layert2v-engine encode-data /data/vidlayer --run runs/wan "
        "--out latents --size 832x480x81 --size 480x832x81",
    )
    parser.add_argument(
        "data_sets", nargs="+", type=Path, metavar="DATASET", help="as `train --data` takes them"
    )
    parser.add_argument(
        "--run",
        dest="run_folder",
        type=Path,
        required=True,
        metavar="DIR",
        help="a run that has its autoencoder and mattes; latents are good for it alone",
    )
    parser.add_argument("--configs", type=Path, help="folder of <stage>.toml files")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of shards")
    parser.add_argument(
        "--size",
        dest="sizes",
        action="append",
        required=True,
        metavar="WxHxF",
        help="width, height and frames, such as 832x480x81; may be repeated: each clip gets the "
        "one nearest in shape, then the longest",
    )
    parser.add_argument(
        "--shard-clips", type=positive_int, default=32, metavar="N", help="default: 32"
    )
    parser.add_argument("--part", metavar="K/N", help="every N-th shard from the K-th, from 1")
    parser.add_argument(
        "--leave-out-unreadable",
        action="store_true",
        help="go on without clips that cannot be read; left_out.jsonl lists them",
    )
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)
    parser.set_defaults(run=_encode_data)


def _encode_data(args: argparse.Namespace) -> int:
    from layert2v_engine.training import data_parallel  # torch: not for a help text
    from layert2v_engine.training.layered_data import TRAIN
    from layert2v_engine.vidlayer.readers import open_data_set

    part, device = _part(args.part), args.device
    local = data_parallel.join_launched_group()
    if local is not None:
        part = data_parallel.rank(), data_parallel.world_size()
        device = data_parallel.launched_device(local)
    samples = [each for path in args.data_sets for each in open_data_set(path, TRAIN).samples]
    plan = EncodingOptions(
        run=args.run_folder, configs=args.configs, sizes=tuple(args.sizes), device=device,
        shard_clips=args.shard_clips, part=part, leave_out=args.leave_out_unreadable,
    )  # fmt: skip
    encode_samples({args.out: samples}, plan)
    print(args.out)
    return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class EncodingOptions:
    """How samples are encoded, in the words of the command line."""

    run: Path
    sizes: tuple[str, ...]
    configs: Path | None = None
    device: str = "auto"
    shard_clips: int = 32
    part: tuple[int, int] = (0, 1)
    leave_out: bool = False


def encode_samples(
    samples_by_folder: Mapping[Path, Sequence[SampleFiles]], options: EncodingOptions
) -> None:
    """Write shards of latents and text states into each folder, for ``train --data``."""
    from layert2v_engine.devices import pick_device
    from layert2v_engine.training.config import load_config
    from layert2v_engine.training.encoded.buckets import parse_bucket
    from layert2v_engine.training.encoded.writer import EncodingPlan, encode_data
    from layert2v_engine.training.joint_stage import JointStage, make_encoders

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    joint = load_config(JointStage, "joint", options.configs)
    encoders = make_encoders(options.run, joint, pick_device(options.device))
    vae = encoders.autoencoder
    steps = vae.temporal_factor, 2 * vae.spatial_factor
    buckets = tuple(parse_bucket(text, steps) for text in options.sizes)
    for folder, samples in samples_by_folder.items():
        plan = EncodingPlan(
            samples=tuple(samples), buckets=buckets, shard_clips=options.shard_clips,
            part=options.part, leave_out=options.leave_out,
        )  # fmt: skip
        encode_data(plan, encoders, folder)


def _part(text: str | None) -> tuple[int, int]:
    """Return (k - 1, n) of ``k/n``. Raises EngineError for anything else."""
    found = re.fullmatch(r"(\d+)/(\d+)", text or "1/1")
    number, count = (int(each) for each in found.groups()) if found else (0, 0)
    if not 1 <= number <= count:
        raise EngineError(f"{text!r} is no part.", "Write for example 3/8.", reason="BAD_PART")
    return number - 1, count
