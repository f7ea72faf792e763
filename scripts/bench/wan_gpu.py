"""Wan 1.3B on layers, random weights: seconds and memory of a step, as options are switched on.

Each line is a guided step of sampling with another option, its ratio to the first, the share of
the measured rate of matrix products, and the peak memory beside what ``plan`` computes.
``--decode`` adds the autoencoder, ``--train`` steps of training. A CPU rehearses it.
Example: python scripts/bench/wan_gpu.py --size 832x480 --frames 81
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from layert2v_engine.devices import mixed_precision, pick_device
from layert2v_engine.errors import EngineError
from layert2v_engine.estimate import KNOWN, RunEstimate, estimate_run, measure_rate, read_shape
from layert2v_engine.layout import StreamLayout, StreamRole
from layert2v_engine.model.autoencoder import WanAutoencoder
from layert2v_engine.model.diffusers_classes import AutoencoderKLWan
from layert2v_engine.model.lora import add_transformer_lora
from layert2v_engine.model.speed import SpeedOptions, apply_speed_options
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.guidance import Conditioning, classifier_free_guidance
from layert2v_engine.sampling.kv_cache import make_predictor
from layert2v_engine.stream_codec import StreamDecoder, decode_streams
from layert2v_engine.training.phase_weights import LoRAConfig

GIB, TEXT_TOKENS, GUIDANCE = 1 << 30, 64, 5.0
OPTIONS = {
    "plain": SpeedOptions(),
    "cudnn": SpeedOptions(attention="_native_cudnn"),
    "flash": SpeedOptions(attention="flash"),
    "compiled": SpeedOptions(compile=True),
    "skip 0.1": SpeedOptions(skip=0.1),
}


def main() -> None:
    """Print one line per option, decoding and training step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="672x384")
    parser.add_argument("--frames", type=int, default=41)
    parser.add_argument("--foregrounds", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--blocks", type=int, default=30)
    parser.add_argument("--options", nargs="*", default=list(OPTIONS), choices=list(OPTIONS))
    parser.add_argument("--decode", action="store_true")
    parser.add_argument("--train", nargs="*", default=[], choices=("full", "lora"))
    args = parser.parse_args()
    device = pick_device(args.device)
    width, height = (int(side) for side in args.size.split("x"))
    grid = 1 + (args.frames - 1) // 4, height // 8, width // 8
    layout = StreamLayout.for_foregrounds(args.foregrounds)
    shape = read_shape("wan-1.3b", device, None)
    shape = replace(shape, transformer={**shape.transformer, "num_layers": args.blocks})
    run = estimate_run(
        shape,
        size=(width, height),
        frames=args.frames,
        foregrounds=args.foregrounds,
        steps=1,
        guided=True,
    )
    rate = measure_rate(device, torch.bfloat16)
    print(f"{run.streams} streams, {run.tokens:,} tokens, {rate / 1e12:.3g} TFLOP/s of {device}")
    latents = torch.randn(1, len(layout), 16, *grid, device=device)
    if not args.train:
        report_sampling(args, device, layout, latents, run, rate)
    if args.decode:
        report_decoding(device, layout, latents)
    for kind in args.train:
        report_training(kind, args.blocks, layout, latents, rate, run)


def network(blocks: int, device: torch.device, dtype: torch.dtype) -> LayeredWanTransformer3DModel:
    """Return the transformer with random weights, never anywhere but on its device."""
    with torch.device(device):
        model = LayeredWanTransformer3DModel(**KNOWN["wan-1.3b"] | {"num_layers": blocks})
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
        torch.nn.init.normal_(parameter, std=0.02)
    return model


def texts(layout: StreamLayout, device: torch.device) -> Conditioning:
    """Return random text states without padding."""
    shape = (1, len(layout.prompts), TEXT_TOKENS, 4096)
    return Conditioning(torch.randn(shape, device=device), None)


def report_sampling(
    args: argparse.Namespace,
    device: torch.device,
    layout: StreamLayout,
    latents: Tensor,
    run: RunEstimate,
    rate: float,
) -> None:
    """Print a line per option."""
    first = 0.0
    prompts, negative = texts(layout, device), texts(layout, device)
    for name in args.options:
        model = network(args.blocks, device, torch.bfloat16).eval()
        try:
            apply_speed_options(model, device, OPTIONS[name])
        except EngineError as error:
            print(f"{name:10} {error}")
            continue
        predict = make_predictor(model, layout, (), attention="full", autocast=torch.bfloat16)

        def step(level: float, predict=predict) -> Tensor:  # type: ignore[no-untyped-def]
            times = torch.full(latents.shape[:2], 1000 * level, device=device)
            return classifier_free_guidance(predict, latents, times, GUIDANCE, prompts, negative)

        with torch.no_grad():
            seconds, peak = measure([lambda: step(0.9), *([lambda: step(0.88)] * 2)], device)
        first = first or seconds
        parts = ("transformer", "text keys and values", "transformer pass")
        planned = sum(run.memory[part] for part in parts) / GIB
        print(
            f"{name:10} {seconds:8.2f} s a step, ratio {seconds / first:.2f}, "
            f"{run.flops / seconds / rate:4.0%} of the rate, {peak:.1f} GiB (plan {planned:.1f})",
            flush=True,
        )
        del model, predict


def report_decoding(device: torch.device, layout: StreamLayout, latents: Tensor) -> None:
    """Print how long all streams take to decode, together and one by one."""
    vae = WanAutoencoder(AutoencoderKLWan().to(device).eval().requires_grad_(False))
    zero = torch.zeros(len(layout), 16, device=device)
    decoder = StreamDecoder(vae, vae, zero, zero + 1)
    for one_by_one in (False, True):

        def decode(one_by_one: bool = one_by_one) -> None:
            for _ in decode_streams(latents, layout, layout.names, decoder, one_by_one=one_by_one):
                pass

        with torch.no_grad():
            seconds, peak = measure([decode], device)
        kind = "one by one" if one_by_one else "together"
        print(f"decoding {kind:10} {seconds:8.2f} s, {peak:.1f} GiB", flush=True)


def report_training(
    kind: str,
    blocks: int,
    layout: StreamLayout,
    latents: Tensor,
    rate: float,
    run: RunEstimate,
) -> None:
    """Print how long a step of training takes, with gradient checkpointing."""
    device = latents.device
    model = network(blocks, device, torch.float32)
    if kind == "lora":
        add_transformer_lora(model, LoRAConfig().targets, rank=128, alpha=128.0)
        model.to(device)
    model.enable_gradient_checkpointing()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, 1e-5, fused=device.type == "cuda")
    averages = [p.detach().clone() for p in trained]
    states = texts(layout, device).states
    roles = [role.value for role in StreamRole]

    def step() -> None:
        with mixed_precision(device):
            out = model(
                latents,
                torch.full(latents.shape[:2], 500.0, device=device),
                states,
                roles=layout.modulation_rows(roles),
                attended_prompts=layout.attended_prompts,
                return_dict=False,
            )[0]
        (out.float() - latents).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            torch._foreach_lerp_(averages, trained, 0.001)

    seconds, peak = measure([step, step], device)
    share = 2 * run.flops / seconds / rate  # four unguided passes are two guided ones
    print(f"training {kind:5} {seconds:8.2f} s a step, {share:4.0%} of the rate, {peak:.1f} GiB")


def measure(calls: list[Callable[[], object]], device: torch.device) -> tuple[float, float]:
    """Return the seconds of the fastest call after the first, and the peak memory in GiB."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = list(times(calls, device))
    peak = torch.cuda.max_memory_allocated(device) / GIB if device.type == "cuda" else 0.0
    return min(seconds[1:] or seconds), peak


def times(calls: list[Callable[[], object]], device: torch.device) -> Iterator[float]:
    """Yield the seconds of each call."""
    for call in calls:
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        yield time.perf_counter() - start


if __name__ == "__main__":
    main()
