"""``layert2v-engine plan``: what a request would cost, before weights are loaded or downloaded."""

from __future__ import annotations

import argparse

from layert2v.command_options import (
    frame_size,
    non_negative_float,
    non_negative_int,
    positive_float,
    positive_int,
)
from layert2v.limits import MAX_FRAMES
from layert2v_engine.cli.options import add_model_run_options
from layert2v_engine.errors import EngineError

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
        help="of the device, if it is not this machine's",
    )
    add_model_run_options(parser)
    parser.set_defaults(run=_plan)


def _plan(args: argparse.Namespace) -> int:
    from layert2v_engine.devices import pick_device  # torch: not for a help text
    from layert2v_engine.estimate import RunEstimate, estimate_run, measure_rate, read_shape
    from layert2v_engine.pipeline import find_models

    if args.frames > MAX_FRAMES:
        raise EngineError(f"{args.frames} frames are more than any clip has.", "Plan for fewer.")
    device = pick_device(args.device)
    shape = read_shape(args.model, device, find_models(args.models).get(args.model))

    def estimate(frames: int) -> RunEstimate:
        return estimate_run(
            shape,
            size=args.size,
            frames=frames,
            foregrounds=args.foregrounds,
            steps=args.steps,
            guided=args.guidance != 1,
        )

    run, rate = estimate(args.frames), measure_rate(device, shape.dtype)
    total = args.memory * GIB if args.memory else _device_memory(str(device))
    print(f"{run.streams} streams, {run.tokens:,} tokens, {run.flops / 1e12:,.0f} TFLOP")
    for part, size in sorted(run.memory.items(), key=lambda item: -item[1]):
        print(f"  {part:<22}{size / GIB:8.2f} GiB")
    fits = run.peak <= total
    print(f"  {'at one time':<22}{run.peak / GIB:8.2f} GiB of {total / GIB:.1f}")
    print(
        f"at least {run.flops / rate:,.0f} s at the {rate / 1e12:.2f} TFLOP/s that {device} reaches"
    )
    if not fits:
        counts = range(args.frames - 4, 0, -4)
        most = next((count for count in counts if estimate(count).peak <= total), 0)
        advice = f"{most} frames fit" if most else "no clip fits: use a smaller size"
        print(f"does not fit: {advice}, or fewer foregrounds.")
    return 0 if fits else 1


def _device_memory(device: str) -> float:
    """Return the bytes of memory of a device."""
    import psutil
    import torch

    if device.startswith("cuda"):
        return float(torch.cuda.get_device_properties(device).total_memory)
    return float(psutil.virtual_memory().total)
