"""`layert2v-engine generate` and `models`: the engine without a server."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from layert2v.spec import GenerateSpec
from layert2v_engine.errors import EngineError

if TYPE_CHECKING:
    from layert2v_engine.engine import Progress

BAR_WIDTH = 30


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands."""
    generate = subparsers.add_parser(
        "generate",
        help="generate a layer stack in this process",
        epilog='example: layert2v-engine generate "a fox running through a snowy forest" --out fox',
    )
    generate.add_argument("prompt")
    generate.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    generate.add_argument("--foreground", action="append", default=[], metavar="PROMPT")
    generate.add_argument("--background", default="", metavar="PROMPT")
    generate.add_argument("--negative", default="", metavar="PROMPT")
    generate.add_argument("--size", default="0x0", metavar="WxH")
    generate.add_argument("--frames", type=int, default=0)
    generate.add_argument("--fps", type=float, default=0.0)
    generate.add_argument("--seed", type=int)
    generate.add_argument("--steps", type=int, default=0)
    generate.add_argument("--guidance", type=float, default=-1.0)
    generate.add_argument("--model", default="mini")
    generate.add_argument("--colorspace", default="lin_rec709_scene")
    generate.add_argument("--start-frame", type=int, default=1001)
    generate.set_defaults(run=_generate)
    models = subparsers.add_parser("models", help="list the models and their limits")
    models.set_defaults(run=_models)
    for parser in (generate, models):
        parser.add_argument("--models", type=Path, metavar="DIR", help="folder of checkpoints")


def _generate(args: argparse.Namespace) -> int:
    from layert2v_engine.engine import Engine  # heavy, and not needed to print a help text

    width, height = _size(args.size)
    spec = GenerateSpec(
        prompt=args.prompt,
        background_prompt=args.background,
        foreground_prompts=tuple(args.foreground),
        negative_prompt=args.negative,
        width=width,
        height=height,
        frames=args.frames,
        fps=args.fps,
        seed=args.seed,
        steps=args.steps,
        guidance=args.guidance,
        model=args.model,
        colorspace=args.colorspace,
        start_frame=args.start_frame,
    )
    stack = Engine(args.models).generate(spec, args.out, report=_show, cancelled=lambda: False)
    print(f"\nunderstood as: {stack.understood}", file=sys.stderr)
    for warning in stack.warnings:
        print(f"note: {warning}", file=sys.stderr)
    print(args.out)
    return 0


def _models(args: argparse.Namespace) -> int:
    from layert2v_engine.engine import Engine

    for model in Engine(args.models).models():
        size = f"{model.default_width}x{model.default_height}, {model.default_frames} frames"
        print(f"{model.name}: {model.title}; {size}; up to {model.max_foregrounds} foreground(s)")
        for kind, words in model.vocabulary.items():
            print(f"  {kind}: {', '.join(words)}")
    return 0


def _size(text: str) -> tuple[int, int]:
    try:
        width, height = (int(side) for side in text.lower().split("x"))
    except ValueError:
        raise EngineError(
            f"{text!r} is not a size.", "Write width x height, such as 112x80.", reason="BAD_SIZE"
        ) from None
    return width, height


def _show(progress: Progress) -> None:
    if not sys.stderr.isatty():
        if progress.message:
            print(f"{progress.fraction:4.0%} {progress.message}", file=sys.stderr)
        return
    filled = round(BAR_WIDTH * progress.fraction)
    bar = "#" * filled + "." * (BAR_WIDTH - filled)
    step = f"{progress.stage} {progress.done}/{progress.total}"
    print(f"\r[{bar}] {progress.fraction:4.0%} {step:<16}", end="", file=sys.stderr, flush=True)
