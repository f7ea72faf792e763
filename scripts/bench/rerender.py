"""What drawing one layer again costs, against drawing the whole scene: denoising and decoding.

Noise for latents and words, so only times mean something. They are
processor seconds on one thread, the lowest of some runs. The bar is active / all + 0.1.
Example: python scripts/bench/rerender.py --runs 3
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from layert2v_engine.layers import StreamDecoder, decode_streams
from layert2v_engine.layout import StreamLayout
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.sampling.cached import frozen_predictor
from layert2v_engine.sampling.denoise import Given, denoise
from layert2v_engine.sampling.guidance import Conditioning, Guidance
from layert2v_engine.sampling.schedule import new_run

BAR = 0.1


def main() -> None:
    """Print one line per scene and layer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini", help="whose networks to take")
    parser.add_argument("--streams", type=int, nargs="*", default=[3, 5, 8])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(1)
    pipeline = LayeredPipeline.from_pretrained(args.model)
    for streams in args.streams:
        layout = StreamLayout(StreamLayout.for_foregrounds(2).streams[:streams])
        everything = set(range(streams))
        whole = measure(pipeline, layout, everything, args)
        for layer in ("background", "foreground_02" if streams > 5 else "foreground_01"):
            active = drawn_with(layout, layer)
            if active == everything:
                continue
            once = measure(pipeline, layout, active, args)
            share = len(active) / streams
            print(
                f"streams={streams} drawn={layer} active={len(active)} whole_s={whole:.2f} "
                f"again_s={once:.2f} ratio={once / whole:.3f} active/all={share:.3f} "
                f"bar={share + BAR:.3f} {'ok' if once / whole <= share + BAR else 'MISSED'}",
                flush=True,
            )


def drawn_with(layout: StreamLayout, layer: str) -> set[int]:
    """The streams of a layer, and the composite."""
    number = layout.streams[layout.index(layer)].foreground
    own = [s for s, stream in enumerate(layout.streams) if number and stream.foreground == number]
    return {layout.index("composite"), layout.index(layer), *own}


def measure(
    pipeline: LayeredPipeline, layout: StreamLayout, active: set[int], args: argparse.Namespace
) -> float:
    """Processor seconds to draw and decode the active streams."""
    info, codec = pipeline.info, pipeline.parts.colour
    frames = 1 + (info.default_frames - 1) // codec.temporal_factor
    size = (info.default_height // codec.spatial_factor, info.default_width // codec.spatial_factor)
    shape = (1, len(layout), codec.latent_channels, frames, *size)
    frozen = tuple(s for s in range(len(layout)) if s not in active)
    names = [layout.names[s] for s in sorted(active)]
    words = Conditioning(torch.randn(1, len(layout.prompts), 20, pipeline.parts.text.width), None)
    ones = torch.ones(len(layout), codec.latent_channels)
    decoder = StreamDecoder(codec, pipeline.parts.opacity, 0 * ones, ones)

    def draw() -> None:
        predict = frozen_predictor(
            pipeline.parts.transformer,
            layout,
            frozen,
            attention="one_way",
            frames_per_stream=frames,
            autocast=torch.bfloat16,
        )
        latents = denoise(
            predict,
            torch.randn(shape),
            new_run("euler", args.steps, shift=2.0),
            words,
            words,
            Guidance(scale=args.guidance),
            given=Given(clean=torch.randn(shape), frozen=frozen),
        )
        for _ in decode_streams(latents, layout, names, decoder):
            pass

    return lowest(draw, args.runs)


@torch.no_grad()
def lowest(work: Callable[[], None], runs: int) -> float:
    """The least processor time of some runs, after one to warm up."""
    times = []
    for _ in range(runs + 1):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times[1:])


if __name__ == "__main__":
    main()
