"""One block of Wan 1.3B on layers, against the data flow of the authors' code.

Baseline: diffusers' block on the serialized clip with one modulation per token and one dense
[queries x keys] text mask, which is how the authors' code does layers. ``modulation`` is the block
without attention and feed-forward network. Each case runs in a process of its own; its memory is
what passes add at most (on Linux). Example: python scripts/bench/wan_block.py --tokens 12096
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from torch import Tensor, nn

from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.attention import TextContext, plan_routes
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel

WAN_1_3B = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 1, "freq_dim": 256}
WIDTH, TEXT_TOKENS = 1536, 64
LAYOUT = StreamLayout.for_foregrounds(1, shadows=False)
IMPLEMENTATIONS, PARTS = ("authors", "ours"), ("modulation", "block")


class DenseText(WanAttnProcessor):
    """Stock text attention under one additive mask of all queries x all keys."""

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.mask = mask

    def __call__(self, attn, hidden_states, encoder_hidden_states, *_) -> Tensor:  # type: ignore[no-untyped-def]
        return super().__call__(attn, hidden_states, encoder_hidden_states, self.mask)


class Given(nn.Module):
    """Stands in for attention: returns what it is given."""

    def forward(self, x: Tensor, *_args: object, **_kwargs: object) -> Tensor:
        return x


def inputs(tokens: int, device: str) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Return tokens [1, N, D], modulation [1, S, 6, D], text [1, P, L, D] and rotary angles."""
    torch.manual_seed(0)
    dtype = torch.bfloat16 if device.startswith("cuda") else torch.float32
    x = torch.randn(1, tokens, WIDTH, device=device).to(dtype)
    modulation = torch.randn(1, len(LAYOUT), 6, WIDTH, device=device)
    text = torch.randn(1, len(LAYOUT.prompts), TEXT_TOKENS, WIDTH, device=device).to(dtype)
    angles = torch.rand(1, tokens, 1, 64, device=device) * 6.28
    return x, modulation, text, (angles.cos(), angles.sin())


def build(name: str, part: str, tokens: int, device: str) -> Callable[[], Tensor]:
    """Return a pass of one block."""
    x, modulation, text, (cos, sin) = inputs(tokens, device)
    kind = LayeredWanTransformer3DModel if name == "ours" else WanTransformer3DModel
    block = kind(**WAN_1_3B).blocks[0].to(device, x.dtype).eval()
    torch.manual_seed(0)
    for _, parameter in sorted(block.named_parameters()):
        nn.init.normal_(parameter, std=0.02)
    block.scale_shift_table.data = block.scale_shift_table.data.float()
    if part == "modulation":
        block.attn1, block.attn2, block.ffn = Given(), Given(), Given()
    if name == "ours":
        context = TextContext(text, None, plan_routes(LAYOUT.attended_prompts))
        return lambda: block(x, context, modulation, (cos, sin))
    each = tokens // len(LAYOUT)
    attended = torch.zeros(len(LAYOUT), len(LAYOUT.prompts), dtype=torch.bool, device=device)
    for stream, prompts in enumerate(LAYOUT.attended_prompts):
        attended[stream, list(prompts)] = True
    seen = attended.repeat_interleave(each, 0).repeat_interleave(TEXT_TOKENS, 1)[None, None]
    mask = torch.zeros(seen.shape, dtype=x.dtype, device=device).masked_fill(~seen, -torch.inf)
    if part == "block":
        block.attn2.set_processor(DenseText(mask))
    rotary = cos.repeat_interleave(2, -1), sin.repeat_interleave(2, -1)
    flat = text.flatten(1, 2)

    def run() -> Tensor:
        per_token = modulation.repeat_interleave(each, 1)  # in every block, as theirs
        out: Tensor = block(x, flat, per_token, rotary)
        return out

    return run


def peak_bytes(device: str) -> int:
    """Return the most memory that was in use since ``forget_peak``."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated()
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024


def forget_peak(device: str) -> None:
    """Let the peak be what is in use now."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


@torch.no_grad()
def measure(name: str, part: str, args: argparse.Namespace) -> dict[str, float]:
    """Return seconds of the fastest pass, and how much memory a pass added."""
    run = build(name, part, args.tokens, args.device)
    forget_peak(args.device)
    before, seconds = peak_bytes(args.device), []
    for _ in range(args.passes):
        start = time.perf_counter()
        run()
        if args.device.startswith("cuda"):
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return {"seconds": min(seconds), "mib": (peak_bytes(args.device) - before) / 2**20}


@torch.no_grad()
def difference(device: str) -> float:
    """Return the largest difference of both blocks' outputs, on few tokens."""
    ours, theirs = (build(name, "block", 480, device)() for name in ("ours", "authors"))
    return float((ours - theirs).abs().max())


def main() -> None:
    """Print one line per part and implementation, and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=12_096, help="of four streams together")
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)  # what a child measures
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.case:
        print(json.dumps(measure(*args.case, args)))
        return
    print(f"largest difference of the outputs: {difference(args.device):.1e}")
    for part in args.parts:
        found = {}
        for name in IMPLEMENTATIONS:
            command = [sys.executable, *sys.argv, "--case", name, part]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            found[name] = json.loads(out.splitlines()[-1])
            seconds, mib = found[name]["seconds"], found[name]["mib"]
            print(f"{part:10} {name:8} {seconds:8.3f} s {mib:8.0f} MiB")
        ratios = (found["ours"][key] / found["authors"][key] for key in ("seconds", "mib"))
        print("{:10} ratio    {:8.2f}   {:8.2f}".format(part, *ratios))


if __name__ == "__main__":
    main()
