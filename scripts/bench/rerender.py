"""What drawing one layer again costs, against drawing the whole scene: denoising and decoding.

A checkpoint's networks are used as the engine uses them, with its own solver, steps and guidance.
Where it declares no one-way attention they are used as if it did, and what is given is noise, so
only times mean something: processor seconds on one thread, with prompts that were encoded before.
Both drawings alternate, and the ratio is the median over pairs, so that other work on the machine
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
from layert2v_engine.pipeline import LayeredPipeline, SamplingRequest

BAR = 0.1
FIGURES = ("a fox running", "a bear walking")
PLACE = "a forest at night"


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
            active = drawn_with(layout, layer)
            if len(active) < streams:
                whole = scene(pipeline, layout, layout.names, args.steps)
                again = scene(pipeline, layout, active, args.steps)
                tell(layer, active, layout, alternately(pipeline, whole, again, args.pairs))


def as_one_way(pipeline: LayeredPipeline, guided: tuple[float, float] | None) -> LayeredPipeline:
    """The networks, declared to be trained for frozen streams, guided at other noise levels."""
    config = pipeline.config
    able = tuple({*config.info.abilities, "clean_conditioning"})
    low, high = guided or config.guidance_interval
    config = replace(
        config,
        info=replace(config.info, abilities=able),
        frozen_attention="one_way",
        guidance_interval=(low, high),
    )
    return LayeredPipeline(config, pipeline.components, pipeline.device)


def drawn_with(layout: StreamLayout, layer: str) -> tuple[str, ...]:
    """The streams that are drawn with a layer: its own, and the composite."""
    number = layout.streams[layout.index(layer)].foreground
    return tuple(
        stream.name
        for stream in layout.streams
        if stream.name in ("composite", layer) or (number and stream.foreground == number)
    )


def scene(
    pipeline: LayeredPipeline, layout: StreamLayout, active: tuple[str, ...], steps: int
) -> SamplingRequest:
    """What is asked for; the other streams are given, as noise."""
    info = pipeline.info
    frozen = tuple(name for name in layout.names if name not in active)
    asked = SamplingRequest(
        layout=layout,
        plan=pipeline.plan_layers(FIGURES[: layout.foregrounds], PLACE, ""),
        frames=info.default_frames,
        height=info.default_height,
        width=info.default_width,
        seed=1,
        steps=steps or info.default_steps,
        guidance=info.default_guidance,
        frozen=frozen,
    )
    shape = pipeline.latent_shape(asked)
    return replace(asked, init_latents={name: torch.randn(shape) for name in frozen})


def alternately(
    pipeline: LayeredPipeline, whole: SamplingRequest, again: SamplingRequest, pairs: int
) -> list[tuple[float, float]]:
    """Processor seconds of both, pair by pair, after one pair to warm up."""
    taken = [(seconds(pipeline, whole), seconds(pipeline, again)) for _ in range(pairs + 1)]
    return taken[1:]


def seconds(pipeline: LayeredPipeline, asked: SamplingRequest) -> float:
    """Processor seconds to draw a scene and decode what is not frozen."""
    began = time.process_time()
    latents = pipeline.sample_request(asked)
    names = [name for name in asked.layout.names if name not in asked.frozen]
    with torch.no_grad():
        for _ in pipeline.decode_streams(latents, asked.layout, names):
            pass
    return time.process_time() - began


def tell(
    layer: str, active: tuple[str, ...], layout: StreamLayout, taken: list[tuple[float, float]]
) -> None:
    """One line of figures."""
    ratios = [again / whole for whole, again in taken]
    share = len(active) / len(layout)
    verdict = "ok" if median(ratios) <= share + BAR else "MISSED"
    print(
        f"streams={len(layout)} drawn={layer} active={len(active)} "
        f"whole_s={median(whole for whole, _ in taken):.2f} "
        f"again_s={median(again for _, again in taken):.2f} ratio={median(ratios):.3f} "
        f"({min(ratios):.3f} to {max(ratios):.3f}) active/all={share:.3f} "
        f"bar={share + BAR:.3f} {verdict}",
        flush=True,
    )


if __name__ == "__main__":
    main()
