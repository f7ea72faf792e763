"""Two requests of one size in one batch, as a ratio to one after the other.

Rounds alternate, and the fastest of each counts. ``denoise`` is the loop of the transformer, with
the request's steps and guidance; ``decode`` the color decoder on one stream of each. Also prints
how far the latents of a request in the batch are from its own by itself. Example:
python scripts/bench/batched_requests.py --steps 6 --rounds 3 --threads 1
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.sampling.denoise import denoise, stream_noise
from layert2v_engine.sampling.guidance import Conditioning, Guidance, concat
from layert2v_engine.sampling.kv_cache import make_predictor
from layert2v_engine.sampling.solvers import make_sampler
from layert2v_engine.sampling_request import SamplingRequest

PROMPTS = ("a fox running in a forest at night", "a horse walking in the desert at sunset")


def prepare(
    pipeline: LayeredPipeline, specs: Sequence[GenerateSpec]
) -> tuple[Callable[[], Tensor], Tensor]:
    """Return the denoising loop of all requests in one batch, and their noise."""
    config = pipeline.config
    plans = [pipeline.plan(spec) for spec in specs]
    layout = pipeline.layout(len(plans[0].foregrounds))
    requests = [
        SamplingRequest.from_spec(spec, plan, layout)
        for spec, plan in zip(specs, plans, strict=True)
    ]
    predict = make_predictor(
        pipeline.components.transformer,
        layout,
        (),
        attention=config.frozen_attention,
        routing=config.routing,
        frames_per_stream=config.frames_per_stream or None,
        autocast=torch.bfloat16 if pipeline.device.type == "cuda" else None,
    )
    shape = pipeline.latent_shape(requests[0])
    noise = torch.cat([stream_noise(layout.names, shape, request.seed) for request in requests])
    prompts, negative = (
        join(pipeline._encode_prompts(texts) for texts in each)
        for each in (
            [
                [plan.global_prompt, *plan.foregrounds, plan.background][: len(layout.prompts)]
                for plan in plans
            ],
            [[plan.negative] * len(layout.prompts) for plan in plans],
        )
    )

    def run() -> Tensor:
        sampler = make_sampler(
            config.solver,
            requests[0].steps,
            shift=config.shift,
            levels=config.noise_levels,
            integer_timesteps=config.timesteps == "whole",
            noise_source=lambda step: torch.cat(
                [stream_noise(layout.names, shape, each.seed, draw=step + 1) for each in requests]
            ),
        )
        guidance = Guidance(scale=requests[0].guidance, interval=config.guidance_interval)
        if config.distilled_guidance:
            guidance = Guidance()
        return denoise(
            predict,
            noise.to(pipeline.device),
            sampler,
            prompts,
            negative,
            guidance,
            predicts_clean=config.prediction == "x",
        )

    return run, noise


def join(texts: Sequence[Conditioning]) -> Conditioning:
    """Return the conditioning of several requests as one batch."""
    first, *others = texts
    for other in others:
        first = concat(first, other)
    return first


def decode(pipeline: LayeredPipeline, latents: Tensor) -> None:
    """Decode the color of the first stream of all requests."""
    decoder = pipeline._make_decoder(pipeline.layout(1), latents)
    with torch.no_grad():
        for _ in decoder.decode_color(latents[:, 0], 0):
            pass


def seconds(action: Callable[[], object]) -> float:
    """Return the seconds of one call: of the clock on a GPU, of the processor on a CPU.

    A CPU may be shared with other work, so run this there with one thread.
    """
    clock = time.perf_counter if torch.cuda.is_available() else time.process_time
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    started = clock()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return clock() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", default="", help="WIDTHxHEIGHTxFRAMES; else the model's default")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    pipeline = LayeredPipeline.from_pretrained(args.model, device=args.device)
    size = (
        dict(zip(("width", "height", "frames"), map(int, args.size.split("x")), strict=True))
        if args.size
        else {}
    )
    specs = [
        resolve(GenerateSpec(prompt=prompt, steps=args.steps, **size), pipeline.info, seed)
        for seed, prompt in enumerate(PROMPTS)
    ]
    singles, (both, _) = [prepare(pipeline, [spec])[0] for spec in specs], prepare(pipeline, specs)
    apart, together = [run() for run in singles], both()
    away = (together - torch.cat(apart)).abs().max() / torch.cat(apart).abs().max()
    times: dict[str, list[float]] = {"apart": [], "together": [], "1": [], "2": []}
    for _ in range(args.rounds):
        times["apart"].append(sum(seconds(run) for run in singles))
        times["together"].append(seconds(both))
        times["1"].append(2 * seconds(lambda: decode(pipeline, apart[0])))
        times["2"].append(seconds(lambda: decode(pipeline, together)))
    fastest = {name: min(values) for name, values in times.items()}
    spec = specs[0]
    print(f"{spec.model} {spec.width}x{spec.height}x{spec.frames}, {spec.steps} steps")
    for what, one, two in (("denoise", "apart", "together"), ("decode", "1", "2")):
        ratio = fastest[one] / fastest[two]
        print(f"{what}: apart {fastest[one]:.2f} s, together {fastest[two]:.2f} s, x{ratio:.2f}")
    print(f"largest difference of latents in the batch: {away:.1e} of the largest value")


if __name__ == "__main__":
    main()
