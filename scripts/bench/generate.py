"""Time of a job of the shipped model: whole, per denoising step, per decoded stream; peak memory.

A whole job comes first, in a fresh process, so that the peak is its own. Then the step is measured
in turns in four ways; the baseline is float32 with the two passes of guidance one after the other.
CPU seconds do not depend on how busy the machine is, and ratios are of them; wall seconds also show
what threads bring.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.engine import Engine
from layert2v_engine.layout import StreamLayout
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.sampling.denoise import stream_noise
from layert2v_engine.sampling.guidance import Conditioning, Predictor, classifier_free_guidance
from layert2v_engine.sampling.kv_cache import make_predictor
from layert2v_engine.stream_codec import StreamDecoder

PROMPT = "a red fox running through a snowy forest at sunset"
BASELINE = "float32, two passes"
LAYOUT = StreamLayout.for_foregrounds(1)


class Seconds(NamedTuple):
    """Wall-clock and processor seconds of a run."""

    wall: float
    cpu: float


def measure(work: Callable[[], object]) -> Seconds:
    """Run the work once; return its seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu)


def fastest_runs(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, Seconds]:
    """Return the least time of each, taking turns; the first round warms up."""
    runs = {name: [measure(work)] for name, work in works.items()}
    for _ in range(rounds):
        for name, work in works.items():
            runs[name].append(measure(work))
    return {name: Seconds(*map(min, zip(*times, strict=True))) for name, times in runs.items()}


def measure_jobs(model: str) -> None:
    """Measure whole jobs: with loading, and again with the model in memory."""
    spec, engine = GenerateSpec(prompt=PROMPT, seed=1, model=model), Engine()
    for name in ("job, model not loaded", "job, model in memory"):
        with tempfile.TemporaryDirectory() as folder:
            print_row(name, measure(lambda out=folder: generate_stack(engine, spec, Path(out))))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak memory of the process':28}{peak:9.0f} MB")


def generate_stack(engine: Engine, spec: GenerateSpec, folder: Path) -> None:
    """Generate one stack."""
    engine.generate(spec, folder / "stack", report=lambda _: None, cancelled=lambda: False)


def step_runs(pipeline: LayeredPipeline, spec: GenerateSpec) -> dict[str, Callable[[], object]]:
    """Return one guided denoising step in four ways."""
    noise = make_noise(pipeline, spec)
    times = torch.full((1, len(LAYOUT)), 500.0)
    plan = pipeline.plan(spec)
    cond, uncond = (
        Conditioning(states[None], mask[None])
        for states, mask in map(
            pipeline.components.text_encoder.encode,
            ([plan.global_prompt, *plan.foregrounds, plan.background], [""] * len(LAYOUT.prompts)),
        )
    )

    def twice(predict: Predictor) -> Tensor:
        first, second = predict(noise, times, cond), predict(noise, times, uncond)
        return second + spec.guidance * (first - second)

    works: dict[str, Callable[[], object]] = {}
    for name, dtype in (("float32", None), ("bfloat16", torch.bfloat16)):
        predict = make_predictor(
            pipeline.components.transformer,
            LAYOUT,
            (),
            attention="full",
            frames_per_stream=pipeline.config.frames_per_stream or None,
            autocast=dtype,
        )
        works[f"{name}, two passes"] = lambda p=predict: twice(p)
        works[f"{name}, one batch"] = lambda p=predict: classifier_free_guidance(
            p, noise, times, spec.guidance, cond, uncond
        )
    return works


def decoder_runs(pipeline: LayeredPipeline, spec: GenerateSpec) -> dict[str, Callable[[], object]]:
    """Return the decoding of one stream of the clip by either decoder."""
    mean, std = pipeline.config.latents_mean_std(LAYOUT)
    decoder = StreamDecoder(pipeline.components.vae, pipeline.components.matte_vae, mean, std)
    stream = make_noise(pipeline, spec)[:, 0]
    return {
        "decode a color stream": lambda: list(decoder.decode_color(stream, 0)),
        "decode a matte": lambda: list(decoder.decode_opacity(stream, 3)),
    }


def make_noise(pipeline: LayeredPipeline, spec: GenerateSpec) -> Tensor:
    """Return noise ``[1, S, C, F, h, w]`` of the request's size."""
    vae = pipeline.components.vae
    frames = 1 + (spec.frames - 1) // vae.temporal_factor
    size = (spec.height // vae.spatial_factor, spec.width // vae.spatial_factor)
    return stream_noise(LAYOUT.names, (vae.latent_channels, frames, *size), 1)


def print_row(name: str, seconds: Seconds, ratio: float | None = None) -> None:
    """Print one line of the table."""
    tail = "" if ratio is None else f"  x{ratio:.2f}"
    print(f"{name:28}{seconds.wall:9.3f} s wall{seconds.cpu:9.3f} s CPU{tail}")


@torch.no_grad()
def main() -> None:
    """Print whole jobs, steps and decoders."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="mini")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=8)
    args = parser.parse_args()
    torch.set_num_threads(args.threads[0])
    capabilities = torch.cpu.get_capabilities()
    bfloat16 = [name for name in ("avx512_bf16", "amx_bf16") if capabilities.get(name)]
    print(f"torch {torch.__version__}, bfloat16 in hardware: {', '.join(bfloat16) or 'no'}")
    print(f"\nwhole jobs, {args.threads[0]} thread(s)")
    measure_jobs(args.model)
    pipeline = LayeredPipeline.from_pretrained(args.model)
    spec = resolve(GenerateSpec(prompt=PROMPT, model=args.model), pipeline.info, 1)
    for threads in args.threads:
        torch.set_num_threads(threads)
        print(
            f"\n{spec.width} x {spec.height}, {spec.frames} frames, {len(LAYOUT)} streams,"
            f" {threads} thread(s), best of {args.rounds}; a job has {spec.steps} steps"
        )
        times = fastest_runs(step_runs(pipeline, spec), args.rounds)
        for name, seconds in times.items():
            print_row(f"step, {name}", seconds, times[BASELINE].cpu / seconds.cpu)
        for name, seconds in fastest_runs(decoder_runs(pipeline, spec), args.rounds).items():
            print_row(name, seconds)


if __name__ == "__main__":
    main()
