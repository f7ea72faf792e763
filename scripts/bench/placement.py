"""Where a figure lands with and without a region for it, on a shipped model.

Prints for each strength how far the middle of the matte is from the middle of the region, in shares
of the picture's width, and how much of the matte lies inside; the ratio is to strength 0, the same
seeds without a region. Also how well the layers still fit each other (recomposition in dB).
Example: python scripts/bench/placement.py --strengths 0 0.5 1 --seeds 4
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from layert2v.placement import Placement
from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.metrics.layers import psnr, recompose
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.sampling.placement import draw_region
from layert2v_engine.stream_codec import LayerFrames, concatenate_groups

PROMPTS = ("a fox standing in a forest at night", "a horse standing on a beach at sunset")
REGIONS = (
    Placement(1, "ellipse", 0.02, 0.35, 0.4, 0.6),
    Placement(1, "box", 0.3, 0.35, 0.4, 0.6),
    Placement(1, "ellipse", 0.58, 0.35, 0.4, 0.6),
)


def main() -> None:
    """Print one line per strength, and the ratio to the first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.0, 0.5, 1.0, 2.0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--frames", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = LayeredPipeline.from_pretrained(args.model)
    first: tuple[float, float] | None = None
    for strength in args.strengths:
        distances, shares, sums = zip(*runs(pipeline, strength, args), strict=True)
        found = mean(distances), mean(shares)
        first = first or found
        print(
            f"strength {strength:4.2f}: {found[0]:.3f} of the width away "
            f"(ratio {found[0] / first[0]:.2f}), {found[1]:4.0%} inside "
            f"(ratio {found[1] / max(first[1], 1e-3):.2f}), layers {mean(sums):.1f} dB",
            flush=True,
        )


def runs(
    pipeline: LayeredPipeline, strength: float, args: argparse.Namespace
) -> Iterator[tuple[float, float, float]]:
    """Yield distance, share inside and recomposition of every prompt, region and seed."""
    for prompt in PROMPTS:
        for region in REGIONS:
            for seed in range(args.first_seed, args.first_seed + args.seeds):
                placement = replace(region, strength=strength)
                layers = generate(pipeline, prompt, placement, seed, args)
                alpha = layers.foregrounds[0].alpha[0, 0]
                away, inside = land(alpha, region)
                yield away, inside, psnr(recompose(layers), layers.composite[0])


def generate(
    pipeline: LayeredPipeline,
    prompt: str,
    placement: Placement,
    seed: int,
    args: argparse.Namespace,
) -> LayerFrames:
    """Return the layers of one request."""
    request = GenerateSpec(
        prompt=prompt,
        model=pipeline.info.name,
        steps=args.steps,
        frames=args.frames,
        nearest=True,
        placements=(placement,),
    )
    spec = resolve(request, pipeline.info, seed)
    plan = pipeline.plan(spec)
    latents = pipeline.sample(spec, plan)
    return concatenate_groups(list(pipeline.decode(latents, len(plan.foregrounds))))


def land(alpha: Tensor, region: Placement) -> tuple[float, float]:
    """Return how far a matte [T, H, W] is from a region, and its share inside.

    Distances are shares of the width. A matte without anything in it is a width away.
    """
    mass = alpha.sum()
    if mass < 1:
        return 1.0, 0.0
    height, width = alpha.shape[1:]
    x = (alpha.sum((0, 1)) * (torch.arange(width) + 0.5)).sum() / mass / width
    inside = (alpha * draw_region(region, height, width)).sum() / mass
    return abs(float(x) - region.x - region.width / 2), float(inside)


def mean(values: Sequence[float]) -> float:
    """Return the mean."""
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
