"""``layert2v-engine plan``: what a request would cost, before weights are loaded or downloaded."""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING

from layert2v.command_options import (
    frame_size,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
)
from layert2v.limits import MAX_FRAMES
from layert2v_engine.cli.options import (
    add_memory_options,
    add_model_run_options,
    memory_options,
)
from layert2v_engine.errors import EngineError

if TYPE_CHECKING:
    from layert2v_engine.estimate import ModelShape, RunEstimate

GIB = 1 << 30


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "plan",
        help="tell tokens, memory and time of a request without loading the model",
        description="Weights and decoder caches are exact, the rest of the memory is an estimate. "
        "The time is what the arithmetic takes at the rate that matrix products reach here; a run "
        "takes longer.",
        epilog="example: layert2v-engine plan --model wan-1.3b --size 832x480 --frames 81 "
        "--foregrounds 2",
    )
    parser.add_argument(
        "--model", required=True, help="a model's name, or wan-1.3b or wan-14b without its weights"
    )
    parser.add_argument(
        "--size", type=frame_size, required=True, metavar="WxH", help="in pixels, such as 832x480"
    )
    parser.add_argument(
        "--frames", type=positive_int, required=True, metavar="N", help="such as 81"
    )
    parser.add_argument(
        "--foregrounds", type=non_negative_int, default=1, metavar="N", help="default: 1"
    )
    parser.add_argument("--steps", type=positive_int, default=50, metavar="N", help="default: 50")
    parser.add_argument(
        "--guidance",
        type=non_negative_float,
        default=5.0,
        metavar="G",
        help="1: none, half the cost",
    )
    parser.add_argument(
        "--memory",
        type=positive_float,
        metavar="GIB",
        help="of a GPU that is not in this machine",
    )
    parser.add_argument(
        "--fit", action="store_true", help="plan with what makes it fit, as generate runs it"
    )
    add_model_run_options(parser)
    add_memory_options(parser)
    training = parser.add_argument_group("training", "A step of `train joint` instead of a request")
    training.add_argument("--train", choices=("full", "lora"), help="all weights, or updates")
    training.add_argument(
        "--lora-rank", type=positive_int, default=128, metavar="N", help="default: 128"
    )
    training.add_argument(
        "--gpus", type=positive_int, default=1, metavar="N", help="that share the batch"
    )
    training.add_argument("--sharded", action="store_true", help="they share the weights as well")
    training.add_argument(
        "--keep-activations", action="store_true", help="without gradient checkpointing"
    )
    training.add_argument(
        "--tflops",
        type=positive_float,
        default=400.0,
        metavar="N",
        help="a GPU's rate; default: 400",
    )
    parser.set_defaults(run=_plan)


def _plan(args: argparse.Namespace) -> int:
    import torch  # heavy, and not needed for a help text

    from layert2v_engine.devices import device_memory, pick_device
    from layert2v_engine.estimate import (
        estimate_run,
        fit_memory,
        measure_rate,
        read_shape,
    )
    from layert2v_engine.model.memory import MemoryOptions, exact_options
    from layert2v_engine.pipeline import find_models

    device = pick_device(args.device)
    # Memory that is not this machine's is that of a GPU.
    target = torch.device("cuda") if args.memory else device
    shape = read_shape(args.model, target, find_models(args.models).get(args.model))
    _check_size(args, shape.steps)

    def estimate(frames: int, options: MemoryOptions) -> RunEstimate:
        return estimate_run(
            shape,
            size=args.size,
            frames=frames,
            foregrounds=args.foregrounds,
            steps=1 if args.train else args.steps,
            guided=args.guidance != 1 and not args.train,
            options=options,
        )

    total = args.memory * GIB if args.memory else float(device_memory(device))
    if args.train:
        return _plan_training(args, shape, estimate(args.frames, MemoryOptions()), total)
    asked = memory_options(args) or MemoryOptions()
    fitting = fit_memory(partial(estimate, args.frames), exact_options(target), total)
    run = fitting if args.fit else estimate(args.frames, asked)
    _print_run(run, total)
    rate = measure_rate(device, shape.dtype)
    print(
        f"at least {run.flops / rate:,.0f} s at the {rate / 1e12:.2f} TFLOP/s that {device} reaches"
    )
    if run.peak <= total:
        return 0
    if fitting.peak <= total:
        print(
            f"fits with {fitting.options}, {fitting.peak / GIB:.2f} GiB; generate does so itself."
        )
        return 1
    smallest = exact_options(target)[-1]
    counts = range(args.frames - 4, 0, -4)
    most = next((count for count in counts if estimate(count, smallest).peak <= total), 0)
    advice = f"{most} frames fit" if most else "no clip fits: use a smaller size"
    print(f"does not fit even with {smallest}: {advice}, or fewer foregrounds.")
    return 1


def _plan_training(
    args: argparse.Namespace, shape: ModelShape, sample: RunEstimate, total: float
) -> int:
    """Print what a step of training takes; return 0 where it fits, else 1."""
    from layert2v_engine.estimate_training import TrainingOptions, estimate_training

    options = TrainingOptions(
        lora_rank=args.lora_rank if args.train == "lora" else 0,
        gpus=args.gpus,
        sharded=args.sharded,
        gradient_checkpointing=not args.keep_activations,
    )
    step = estimate_training(shape, sample, options)
    print(f"{sample.streams} streams, {sample.tokens:,} tokens, a clip on each of {args.gpus}")
    for part, size in sorted(step.memory.items(), key=lambda item: -item[1]):
        print(f"  {part:<22}{size / GIB:8.2f} GiB")
    print(f"  {'on each GPU':<22}{step.peak / GIB:8.2f} GiB of {total / GIB:.1f}")
    seconds = step.flops / (args.tflops * 1e12)
    print(f"{seconds:,.1f} s a step at {args.tflops:g} TFLOP/s, which is assumed")
    return 0 if step.peak <= total else 1


def _check_size(args: argparse.Namespace, steps: tuple[int, int]) -> None:
    """Raise ``EngineError`` for a size that the model cannot make."""
    if args.frames > MAX_FRAMES:
        raise EngineError(f"{args.frames} frames are more than any clip has.", "Plan for fewer.")
    frames, pixels = steps
    width, height = (max(1, round(side / pixels)) * pixels for side in args.size)
    count = 1 + round((args.frames - 1) / frames) * frames
    if (width, height, count) != (*args.size, args.frames):
        asked = "x".join(map(str, args.size))
        raise EngineError(
            f"Sides must be multiples of {pixels} pixels, and frames {frames} times a number, "
            f"and one: not {asked} and {args.frames}.",
            f"The nearest are --size {width}x{height} --frames {count}.",
        )


def _print_run(run: RunEstimate, total: float) -> None:
    print(f"{run.streams} streams, {run.tokens:,} tokens, {run.flops / 1e12:,.0f} TFLOP")
    for part, size in sorted(run.memory.items(), key=lambda item: -item[1]):
        print(f"  {part:<22}{size / GIB:8.2f} GiB")
    print(f"  {'at one time':<22}{run.peak / GIB:8.2f} GiB of {total / GIB:.1f}")
    print(f"switched on: {run.options}")
