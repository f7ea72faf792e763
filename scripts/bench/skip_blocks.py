"""What skipped blocks and predicted steps save, and what they cost: the error of each stream.

The error is the root mean square of the difference of the latents, relative to that of the latents
themselves; a stream that errs more than the others no longer fits them. Also how well the layers
fit each other (recomposition in dB).
Example: python scripts/bench/skip_blocks.py --shares 0.05 0.1 --intervals 2 3
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor

from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.metrics.layers import psnr, recompose
from layert2v_engine.model.speed import SpeedOptions
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.stream_codec import concatenate_groups


def main() -> None:
    """Print one line per share."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--prompt", default="a fox running in a snowy forest at sunset")
    parser.add_argument("--shares", type=float, nargs="*", default=[0.02, 0.05, 0.1, 0.2])
    parser.add_argument("--intervals", type=int, nargs="*", default=[2, 3])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    plain, first, fit, names = sample(args, SpeedOptions())
    print(f"none       {first:6.2f} s of processor time, layers {fit:.1f} dB")
    cases = {f"skip {share:5.2f}": SpeedOptions(skip=share) for share in args.shares}
    cases |= {f"predict {n}": SpeedOptions(predict=n) for n in args.intervals}
    for case, options in cases.items():
        latents, seconds, fit, _ = sample(args, options)
        error = (latents - plain).square().mean((0, 2, 3, 4, 5)).sqrt()
        error = error / plain.square().mean((0, 2, 3, 4, 5)).sqrt()
        by_stream = ", ".join(f"{n} {e:.1%}" for n, e in zip(names, error.tolist(), strict=True))
        print(
            f"{case:10} {seconds:6.2f} s (ratio {seconds / first:.2f}), "
            f"layers {fit:.1f} dB; {by_stream}",
            flush=True,
        )


def sample(
    args: argparse.Namespace, options: SpeedOptions
) -> tuple[Tensor, float, float, tuple[str, ...]]:
    """Return latents, processor seconds, recomposition, and the names of the streams."""
    pipeline = LayeredPipeline.from_pretrained(args.model, speed=options)
    request = GenerateSpec(
        prompt=args.prompt, model=pipeline.info.name, steps=args.steps, frames=args.frames
    )
    spec = resolve(request, pipeline.info, args.seed)
    plan = pipeline.plan(spec)
    start = time.process_time()
    latents = pipeline.sample(spec, plan)
    seconds = time.process_time() - start
    layers = concatenate_groups(list(pipeline.decode(latents, len(plan.foregrounds))))
    names = pipeline.layout(len(plan.foregrounds)).names
    return latents, seconds, psnr(recompose(layers), layers.composite[0]), names


if __name__ == "__main__":
    main()
