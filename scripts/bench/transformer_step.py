"""Time of one training step of the Mini's transformer, as ratios to stock Wan with layers added.

Baseline ``per-token``: diffusers' Wan on the serialised clip with one time per token and one dense
[queries x keys] text mask, the way the authors' code does layers. Both run in bfloat16 autocast, in
turns, and the fastest step counts. Example: python scripts/bench/transformer_step.py --threads 1
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel

MINI = {
    "num_attention_heads": 4,
    "attention_head_dim": 64,
    "in_channels": 24,
    "out_channels": 24,
    "text_dim": 384,
    "freq_dim": 256,
    "ffn_dim": 1024,
    "num_layers": 6,
    "rope_max_seq_len": 64,
}
LAYOUT = StreamLayout.for_foregrounds(1)
LATENT, TEXT_TOKENS, PATCH = (10, 14), 20, 2
CASES = {"stills": (16, 1), "clips": (8, 3)}  # batch, latent frames


class DenseText(WanAttnProcessor):
    """Stock text attention under one mask of all queries x all keys."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.mask = mask

    def __call__(self, attn, hidden_states, encoder_hidden_states, *_) -> Tensor:  # type: ignore[no-untyped-def]
        return super().__call__(attn, hidden_states, encoder_hidden_states, self.mask)


def batch(size: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return latents ``[B, S, C, F, h, w]``, times ``[B, S]`` and text ``[B, P, L, D]``."""
    latents = torch.randn(size, len(LAYOUT), MINI["in_channels"], frames, *LATENT)
    text = torch.randn(size, len(LAYOUT.prompts), TEXT_TOKENS, MINI["text_dim"])
    return latents, torch.rand(size, len(LAYOUT)) * 1000, text


def layered_step(size: int, frames: int, *, compiled: bool) -> Callable[[], Tensor]:
    """Return a forward pass of ours; call backward on its result."""
    model = LayeredWanTransformer3DModel(**MINI)
    if compiled:
        for block in model.blocks:
            block.compile(fullgraph=True, dynamic=False)
    latents, times, text = batch(size, frames)
    mask = torch.ones(text.shape[:3], dtype=torch.bool)
    inputs = {
        "roles": range(len(LAYOUT)),
        "attended_prompts": LAYOUT.attended_prompts,
        "prompt_mask": mask,
    }
    return lambda: model(latents, times, text, **inputs).sample.float().square().mean()


def per_token_step(size: int, frames: int) -> Callable[[], Tensor]:
    """Return a forward pass of the baseline."""
    model = WanTransformer3DModel(**MINI)
    latents, times, text = batch(size, frames)
    tokens = frames * LATENT[0] * LATENT[1] // PATCH**2
    attended = torch.zeros(len(LAYOUT), len(LAYOUT.prompts), dtype=torch.bool)
    for stream, prompts in enumerate(LAYOUT.attended_prompts):
        attended[stream, list(prompts)] = True
    dense = attended.repeat_interleave(tokens, 0).repeat_interleave(TEXT_TOKENS, 1)[None, None]
    for block in model.blocks:
        block.attn2.set_processor(DenseText(dense))
    clip, per_token = latents.transpose(1, 2).flatten(2, 3), times.repeat_interleave(tokens, 1)
    flat = text.flatten(1, 2)
    return lambda: model(clip, per_token, flat, return_dict=False)[0].float().square().mean()


def seconds(forward: Callable[[], Tensor]) -> tuple[float, float]:
    """Return wall-clock and CPU seconds of one forward and backward pass."""
    wall, cpu = time.perf_counter(), time.process_time()
    with torch.autocast("cpu", torch.bfloat16):
        loss = forward()
    loss.backward()
    return time.perf_counter() - wall, time.process_time() - cpu


def main() -> None:
    """Print one line per case and network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    warnings.filterwarnings("ignore", message="Mismatch dtype")  # stock Wan under autocast
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {args.threads} thread(s), best of {args.steps}")
    for case in args.cases:
        size, frames = CASES[case]
        steps = {
            "per-token (baseline)": per_token_step(size, frames),
            "layered": layered_step(size, frames, compiled=False),
            "layered, compiled": layered_step(size, frames, compiled=True),
        }
        for step in steps.values():
            seconds(step)  # allocations and compilation
        durations = {name: [] for name in steps}
        for _ in range(args.steps):
            for name, step in steps.items():
                durations[name].append(seconds(step))
        best = {
            name: [min(t) for t in zip(*times, strict=True)] for name, times in durations.items()
        }
        base = best["per-token (baseline)"][1]
        for name, (wall, cpu) in best.items():
            print(
                f"{case:7} batch {size:2}  {name:21} wall {wall:6.3f} s  cpu {cpu:6.3f} s"
                f"  {size / wall:6.1f} samples/s  x{base / cpu:.2f}"
            )


if __name__ == "__main__":
    main()
