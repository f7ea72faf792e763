"""Guided sampling with a small Wan on layers, against the data flow of the authors' code.

Baseline: diffusers' whole transformer on the serialized clip, with one time and one modulation per
token, one dense [queries x keys] text mask, two passes a step for guidance, and text projected in
each. Both sample the same streams from the same noise in float32, in a process each; the outputs
are compared. Seconds are of processor time, which other programs hardly change. Memory is what
sampling adds at most to the weights (on Linux).
Example: python scripts/bench/wan_model.py --steps 2
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor
from wan_block import DenseText, forget_peak, peak_bytes

from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.denoise import denoise
from layert2v_engine.sampling.guidance import Conditioning, Guidance
from layert2v_engine.sampling.kv_cache import make_predictor
from layert2v_engine.sampling.solvers import make_sampler

SETTINGS = {
    "num_attention_heads": 4,
    "attention_head_dim": 128,
    "ffn_dim": 2048,
    "num_layers": 4,
    "text_dim": 512,
    "freq_dim": 256,
}
LAYOUT = StreamLayout.for_foregrounds(1, shadows=False)
ROLES = [stream.role.value for stream in LAYOUT.streams]
TEXT_TOKENS, GUIDANCE = 128, 5.0
IMPLEMENTATIONS = ("authors", "ours")


def weights(model: torch.nn.Module) -> None:
    """Give a model random weights that depend on their names alone."""
    for name, parameter in sorted(model.named_parameters()):
        rng = torch.Generator().manual_seed(sum(name.encode()))
        parameter.data = 0.02 * torch.randn(parameter.shape, generator=rng)
        if name == "layer_modulation":
            parameter.data.zero_()


def inputs(grid: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return noise [1, S, C, F, h, w], prompts and negative prompts [1, P, L, D]."""
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(1, len(LAYOUT), 16, *grid, generator=rng)
    shape = (1, len(LAYOUT.prompts), TEXT_TOKENS, SETTINGS["text_dim"])
    prompts, negative = (torch.randn(shape, generator=rng) for _ in range(2))
    return noise, prompts, negative


def build(name: str) -> torch.nn.Module:
    """Return the network of an implementation."""
    model: torch.nn.Module
    if name == "ours":
        model = LayeredWanTransformer3DModel(**SETTINGS, roles=ROLES)
    else:
        model = WanTransformer3DModel(**SETTINGS)
    weights(model)
    return model.eval()


def ours(model: torch.nn.Module, grid: tuple[int, int, int], steps: int) -> Tensor:
    """Return latents sampled as the engine does it."""
    noise, prompts, negative = inputs(grid)
    predict = make_predictor(model, LAYOUT, (), attention="full")
    sampler = make_sampler("euler", steps, shift=3.0, noise_source=lambda _: noise)
    texts = Conditioning(prompts, None), Conditioning(negative, None)
    return denoise(predict, noise, sampler, *texts, Guidance(scale=GUIDANCE))


def authors(model: torch.nn.Module, grid: tuple[int, int, int], steps: int) -> Tensor:
    """Return latents sampled with per-token times, a dense mask and two passes a step."""
    noise, prompts, negative = inputs(grid)
    each = grid[0] * (grid[1] // 2) * (grid[2] // 2)
    attended = torch.zeros(len(LAYOUT), len(LAYOUT.prompts), dtype=torch.bool)
    for stream, indices in enumerate(LAYOUT.attended_prompts):
        attended[stream, list(indices)] = True
    seen = attended.repeat_interleave(each, 0).repeat_interleave(TEXT_TOKENS, 1)[None, None]
    mask = torch.zeros(seen.shape).masked_fill(~seen, -torch.inf)
    for block in model.blocks:
        block.attn2.set_processor(DenseText(mask))

    def velocity(x: Tensor, times: Tensor, text: Tensor) -> Tensor:
        serial = x.transpose(1, 2).flatten(2, 3)  # [1, C, S * F, h, w]
        tokens = times.repeat_interleave(each, 1)
        out: Tensor = model(serial, tokens, text.flatten(1, 2), return_dict=False)[0]
        return out.unflatten(2, (len(LAYOUT), -1)).transpose(1, 2)

    def predict(x: Tensor, times: Tensor, text: Conditioning) -> Tensor:
        pairs = zip(x.split(1), times.split(1), text.states.split(1), strict=True)
        return torch.cat([velocity(*pair) for pair in pairs])

    sampler = make_sampler("euler", steps, shift=3.0, noise_source=lambda _: noise)
    texts = Conditioning(prompts, None), Conditioning(negative, None)
    return denoise(predict, noise, sampler, *texts, Guidance(scale=GUIDANCE))


@torch.no_grad()
def measure(name: str, args: argparse.Namespace) -> dict[str, float]:
    """Sample once, write the latents, and return seconds and memory."""
    run, model = {"ours": ours, "authors": authors}[name], build(name)
    run(model, (1, 2, 2), 1)  # what is set up once
    forget_peak("cpu")
    before, start = peak_bytes("cpu"), time.process_time()
    latents = run(model, tuple(args.grid), args.steps)
    seconds = time.process_time() - start
    torch.save(latents, args.out)
    return {"seconds": seconds, "mib": (peak_bytes("cpu") - before) / 2**20}


def main() -> None:
    """Print one line per implementation, the ratio, and the difference of their latents."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grid", type=int, nargs=3, default=[3, 32, 52], help="latent F, h, w")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--case", choices=IMPLEMENTATIONS, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.case:
        print(json.dumps(measure(args.case, args)))
        return
    found, latents = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for name in IMPLEMENTATIONS:
            out = Path(folder) / name
            command = [sys.executable, *sys.argv, "--case", name, "--out", str(out)]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[name], latents[name] = json.loads(said.splitlines()[-1]), torch.load(out)
            print(f"{name:8} {found[name]['seconds']:8.2f} s {found[name]['mib']:8.0f} MiB")
    ratios = [found["ours"][key] / found["authors"][key] for key in ("seconds", "mib")]
    print(f"ratio    {ratios[0]:8.2f}   {ratios[1]:8.2f}")
    difference = float((latents["ours"] - latents["authors"]).abs().max())
    print(f"largest difference {difference:.1e} of {float(latents['authors'].abs().max()):.1f}")


if __name__ == "__main__":
    main()
