"""The cost of re-rendering one layer against generating the whole scene: denoising, decoding.

A checkpoint's networks are used as the engine uses them, with its own solver, steps and guidance.
Where it declares no one-way attention they are used as if it did, and what is given is noise, so
only times mean something: processor seconds on one thread, with prompts that were encoded before.
Both runs alternate, and the ratio is the median over pairs, so that other work on the machine
cancels out. The bar is active / all + 0.1.
Example: python scripts/bench/rerender.py --pairs 7
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from statistics import median

import torch

from layert2v_engine.layout import StreamLayout
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.sampling_request import SamplingRequest

MARGIN = 0.1
SUBJECTS = ("a fox running", "a bear walking")
BACKGROUND = "a forest at night"


def main() -> None:
    """Print one line per scene and layer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini", help="whose networks to take")
    parser.add_argument("--streams", type=int, nargs="*", default=[3, 5, 8])
    parser.add_argument("--steps", type=int, default=0, help="default: the model's")
    parser.add_argument("--guided", type=float, nargs=2, help="noise levels; default: the model's")
    parser.add_argument("--pairs", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = as_one_way(LayeredPipeline.from_pretrained(args.model), args.guided)
    info, levels = pipeline.info, pipeline.config.guidance_interval
    print(
        f"{info.title}, {info.default_width} x {info.default_height} x {info.default_frames}, "
        f"{args.steps or info.default_steps} steps, guided at noise {levels[0]} to {levels[1]}"
    )
    for streams in args.streams:
        layout = StreamLayout(StreamLayout.for_foregrounds(2).streams[:streams])
        for layer in ("background", "foreground_02" if streams > 5 else "foreground_01"):
            active = active_streams(layout, layer)
            if len(active) < streams:
                whole = sampling_request(pipeline, layout, layout.names, args.steps)
                again = sampling_request(pipeline, layout, active, args.steps)
                print_row(layer, active, layout, measure_pairs(pipeline, whole, again, args.pairs))


def as_one_way(pipeline: LayeredPipeline, guided: tuple[float, float] | None) -> LayeredPipeline:
    """Return the networks as trained for frozen streams, guided at the given noise levels."""
    config = pipeline.config
    abilities = tuple({*config.info.abilities, "clean_conditioning"})
    low, high = guided or config.guidance_interval
    config = replace(
        config,
        info=replace(config.info, abilities=abilities),
        frozen_attention="one_way",
        guidance_interval=(low, high),
    )
    return LayeredPipeline(config, pipeline.components, pipeline.device)


def active_streams(layout: StreamLayout, layer: str) -> tuple[str, ...]:
    """Return the streams that are generated for a layer: its own, and the composite."""
    number = layout.streams[layout.index(layer)].foreground
    return tuple(
        stream.name
        for stream in layout.streams
        if stream.name in ("composite", layer) or (number and stream.foreground == number)
    )


def sampling_request(
    pipeline: LayeredPipeline, layout: StreamLayout, active: tuple[str, ...], steps: int
) -> SamplingRequest:
    """Return a request for the active streams; the others are frozen, as noise."""
    info = pipeline.info
    frozen = tuple(name for name in layout.names if name not in active)
    request = SamplingRequest(
        layout=layout,
        plan=pipeline.plan_layers(SUBJECTS[: layout.foregrounds], BACKGROUND, ""),
        frames=info.default_frames,
        height=info.default_height,
        width=info.default_width,
        seed=1,
        steps=steps or info.default_steps,
        guidance=info.default_guidance,
        frozen=frozen,
    )
    shape = pipeline.latent_shape(request)
    return replace(request, init_latents={name: torch.randn(shape) for name in frozen})


def measure_pairs(
    pipeline: LayeredPipeline, whole: SamplingRequest, again: SamplingRequest, pairs: int
) -> list[tuple[float, float]]:
    """Return processor seconds of both, pair by pair, after one pair to warm up."""
    durations = [(seconds(pipeline, whole), seconds(pipeline, again)) for _ in range(pairs + 1)]
    return durations[1:]


def seconds(pipeline: LayeredPipeline, request: SamplingRequest) -> float:
    """Return processor seconds to generate a scene and decode what is not frozen."""
    start = time.process_time()
    latents = pipeline.sample_request(request)
    names = [name for name in request.layout.names if name not in request.frozen]
    with torch.no_grad():
        for _ in pipeline.decode_streams(latents, request.layout, names):
            pass
    return time.process_time() - start


def print_row(
    layer: str, active: tuple[str, ...], layout: StreamLayout, durations: list[tuple[float, float]]
) -> None:
    """Print one line of figures."""
    ratios = [again / whole for whole, again in durations]
    share = len(active) / len(layout)
    result = "ok" if median(ratios) <= share + MARGIN else "MISSED"
    print(
        f"streams={len(layout)} drawn={layer} active={len(active)} "
        f"whole_s={median(whole for whole, _ in durations):.2f} "
        f"again_s={median(again for _, again in durations):.2f} ratio={median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}) active/all={share:.3f} "
        f"bar={share + MARGIN:.3f} {result}",
        flush=True,
    )


if __name__ == "__main__":
    main()
