"""The commands ``layert2v-engine train`` and ``export``."""

from __future__ import annotations

import argparse
import logging
import math
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from layert2v.command_options import non_negative_int, positive_int
from layert2v_engine.errors import EngineError, OutOfMemory

if TYPE_CHECKING:
    import torch

    from layert2v_engine.training.joint_stage import MultiStage

STAGE_NAMES = (
    *("prepare", "autoencoder", "matte", "joint", "multi", "distill", "finish"),
    "splitter",
)
DEVICE_HELP = "auto (a GPU if there is one), cpu, cuda, cuda:1, ..."
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands."""
    train = subparsers.add_parser(
        "train",
        help="train a model, stage by stage; a stopped run goes on where it was",
        description="Progress goes to the log and to TensorBoard files in the run. `prepare` makes "
        "what can be carried to another machine: the world and the text encoder.",
        epilog="example: layert2v-engine train autoencoder matte joint --run runs/mini",
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
        "--configs", type=Path, help="folder of <stage>.toml files; default: the shipped ones"
    )
    train.add_argument(
        "--budget", help="training time per phase instead of the file's, such as 90s, 20m or 1h"
    )
    train.add_argument(
        "--start-from",
        metavar="MODEL",
        help="go on from a shipped model or a model folder instead of from nothing; its "
        "autoencoder, matte adaptation and latent statistics are kept",
    )
    train.add_argument(
        "--data",
        dest="data_sets",
        metavar="DATASET",
        type=Path,
        action="append",
        default=[],
        help="a layered data set to mix with the world in `joint`, `multi` and `distill`: what "
        "`encode-data` wrote, one of `vidlayer build`, a folder of clip folders or JSON lines as "
        "the authors have; may be repeated. Give it again to go on",
    )
    train.add_argument(
        "--sharded",
        action="store_true",
        help="in `joint` and `multi` share weights, gradients and moments out over all processes "
        "(FSDP), for models that do not fit on one GPU",
    )
    train.add_argument("--device", default="auto", help=DEVICE_HELP)
    train.add_argument(
        "--processes",
        type=positive_int,
        default=1,
        help="processes of one CPU thread each that share every batch; default: 1 of all threads. "
        "For GPUs, start the command by torchrun instead",
    )
    train.add_argument(
        "--threads", type=non_negative_int, default=0, help="CPU threads; default: all"
    )
    train.set_defaults(run=_train)
    export = subparsers.add_parser(
        "export",
        help="write the checkpoint of a run, even of an unfinished one, as a model folder",
        epilog="example: layert2v-engine export --run runs/mini --out models/mini",
    )
    export.add_argument("--run", dest="run_folder", metavar="DIR", type=Path, required=True)
    export.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="model folder; replaced"
    )
    export.add_argument("--phase", default="clips", help="phase of the transformer; default: clips")
    export.add_argument("--configs", type=Path, help="folder of <stage>.toml files")
    export.add_argument("--title", default="", help="what artists see the model called")
    export.set_defaults(run=_export)


def duration(text: str) -> float:
    """Return the seconds of ``90s``, ``20m``, ``1h`` or a plain number of seconds.

    Raises EngineError for anything else.
    """
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, "s")
    try:
        seconds = float(number) * _UNITS[unit]
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise EngineError(
            f"{text!r} is not a duration.",
            "Write for example 90s, 20m or 1h.",
            reason="BAD_DURATION",
        )
    return seconds


def _optional(configs: Path | None, stage: str) -> MultiStage:
    """Return the configuration of a stage that not every model has, else one of no phases."""
    from layert2v_engine.training.config import load_config
    from layert2v_engine.training.joint_stage import MultiStage

    if configs is None or not (configs / f"{stage}.toml").exists():
        return MultiStage()
    return load_config(MultiStage, stage, configs)


def _train(args: argparse.Namespace) -> int:
    from layert2v_engine.training.data_parallel import join_launched_group, run_in_processes

    if args.sharded and args.processes < 2 and "WORLD_SIZE" not in os.environ:
        raise EngineError(
            "--sharded shares a model out over several processes, and there is one.",
            "Start the command by torchrun, or with --processes 2 on a CPU.",
            reason="ONE_PROCESS",
        )
    if (local := join_launched_group()) is not None:
        return _train_stages(args, local)
    if args.processes > 1 and args.device not in ("auto", "cpu"):
        raise EngineError(
            "Several processes train on the CPU only.",
            "Leave out --processes.",
            reason="BAD_DEVICE",
        )
    return run_in_processes(partial(_train_stages, args), args.processes)


def _train_stages(args: argparse.Namespace, local: int | None = None) -> int:
    """Run the stages, in each of the processes; ``local`` is the number of one on its machine."""
    import torch  # heavy, and not needed to print a help text

    from layert2v_engine.devices import device_memory, pick_device
    from layert2v_engine.out_of_memory import is_out_of_memory
    from layert2v_engine.training import data_parallel
    from layert2v_engine.training.encoded.reader import is_encoded
    from layert2v_engine.training.layered_data import check_data_sets
    from layert2v_engine.training.trainer import TrainingInterrupted

    level = logging.INFO if data_parallel.rank() == 0 else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(message)s")
    if args.threads:
        torch.set_num_threads(args.threads)
    budget_s = duration(args.budget) if args.budget else None
    wanted = args.device if local is None else data_parallel.launched_device(local)
    device = pick_device("cpu" if args.processes > 1 else wanted)
    logging.info("device=%s processes=%d", device, data_parallel.world_size())
    run, configs = args.run_folder, args.configs
    run.mkdir(parents=True, exist_ok=True)
    if set(args.stages) != {"splitter"}:  # which needs no model to start from
        _prepare_start(run, configs, args.start_from)
    check_data_sets([path for path in args.data_sets if not is_encoded(path)])
    for name in args.stages:
        try:
            _run_stage(name, args, budget_s, device)
        except TrainingInterrupted as error:
            logging.info("%s; call the same command again to go on", error)
            return 130
        except Exception as error:
            if isinstance(error, EngineError) or not is_out_of_memory(error):
                raise
            total = device_memory(device) / 2**30
            raise OutOfMemory(
                f"The stage {name} did not fit into the {total:.0f} GiB of {device}.",
                "The last saved state is kept. Set gradient_checkpointing, a smaller batch or "
                "lora.rank, or share the weights out with --sharded; `plan --train` computes what "
                "a step takes.",
            ) from error
    return 0


def _prepare_start(run: Path, configs: Path | None, start_from: str | None) -> None:
    """Copy into the run what it starts from, as the command line or joint.toml says."""
    from layert2v_engine.training import data_parallel
    from layert2v_engine.training.config import load_config
    from layert2v_engine.training.init_from_checkpoint import init_from_checkpoint
    from layert2v_engine.training.joint_stage import JointStage
    from layert2v_engine.training.stages import AutoencoderStage

    if start := start_from or load_config(JointStage, "joint", configs).start:
        new_decoders = load_config(AutoencoderStage, "autoencoder", configs).reuse_latents_of_init
        with data_parallel.first_process_first():
            init_from_checkpoint(run, start, decoders=not new_decoders)


def _run_stage(
    name: str, args: argparse.Namespace, budget_s: float | None, device: torch.device
) -> None:
    from layert2v_engine.training import data_parallel, joint_stage, stages
    from layert2v_engine.training.config import load_config

    run, configs = args.run_folder, args.configs
    if name == "matte":
        matte = load_config(stages.MatteStage, name, configs)
        stages.run_matte(run, matte, budget_s, device)
        return
    if name == "autoencoder":
        autoencoder = load_config(stages.AutoencoderStage, name, configs)
        stages.run_autoencoder(run, autoencoder, budget_s, device)
        return
    if name == "splitter":
        from layert2v_engine.training.splitter.stage import SplitterStage, run_splitter

        run_splitter(run, load_config(SplitterStage, name, configs), budget_s, device)
        return
    joint = load_config(joint_stage.JointStage, "joint", configs)
    call = joint_stage.JointRun(
        budget_s=budget_s, device=device, data_sets=tuple(args.data_sets), sharded=args.sharded
    )
    if name == "prepare":
        world = load_config(stages.AutoencoderStage, "autoencoder", configs)
        with data_parallel.first_process_first():
            joint_stage.run_prepare(run, world, joint)
    elif name == "joint":
        joint_stage.run_joint(run, joint, call)
    elif name == "finish":
        from layert2v_engine.training.finish_stage import FinishStage, run_finish

        later = [_optional(configs, stage) for stage in ("multi", "distill")]
        run_finish(run, load_config(FinishStage, name, configs), (joint, *later), call)
    else:
        stage = load_config(joint_stage.MultiStage, name, configs)
        before = _optional(configs, "multi").phases if name == "distill" else ()
        joint_stage.run_multi(run, joint, stage, call, before)


def _export(args: argparse.Namespace) -> int:
    from layert2v_engine.training.config import load_config
    from layert2v_engine.training.export import TITLE, export
    from layert2v_engine.training.joint_stage import JointStage
    from layert2v_engine.training.stages import AutoencoderStage

    world = load_config(AutoencoderStage, "autoencoder", args.configs).world
    joint = load_config(JointStage, "joint", args.configs)
    later = [_optional(args.configs, stage) for stage in ("multi", "distill")]
    title = args.title or TITLE
    export(args.run_folder, args.out, joint, world, args.phase, later, title=title)
    print(args.out)
    return 0
