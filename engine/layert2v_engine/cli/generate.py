"""`layert2v-engine generate` and `models`: the engine without a server."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import MappingProxyType

from layert2v.spec import GenerateSpec
from layert2v_engine.cli.options import (
    add_models,
    add_sampling,
    in_options,
    number,
    positive,
    show,
    whole,
)
from layert2v_engine.errors import InvalidSpec

OPTIONS = MappingProxyType(  # those that are not called like their field
    {
        "prompt": "PROMPT",
        "background_prompt": "--background",
        "foreground_prompts": "--foreground",
        "negative_prompt": "--negative",
        "width": "--size",
        "height": "--size",
        "start_frame": "--start-frame",
    }
)


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
    generate.add_argument("--size", type=_size, default=(0, 0), metavar="WxH")
    generate.add_argument("--frames", type=positive, default=0, metavar="N")
    generate.add_argument("--fps", type=number, default=0.0, metavar="N")
    generate.add_argument("--model", default="mini", metavar="NAME", help="default: %(default)s")
    generate.add_argument(
        "--colorspace",
        default="lin_rec709_scene",
        metavar="NAME",
        help="of the layers: a name, an alias or an interop id; default: %(default)s",
    )
    generate.add_argument("--start-frame", type=whole, default=1001, metavar="N")
    add_sampling(generate)
    generate.set_defaults(run=_generate)
    models = subparsers.add_parser("models", help="list the models and their limits")
    add_models(models)
    models.set_defaults(run=_models)


def _generate(args: argparse.Namespace) -> int:
    from layert2v_engine.devices import pick_device  # heavy, and not needed for a help text
    from layert2v_engine.engine import Engine

    engine = Engine(args.models, str(pick_device(args.device)))
    try:
        stack = engine.generate(_spec(args), args.out, report=show, cancelled=lambda: False)
    except InvalidSpec as problem:
        raise in_options(problem, OPTIONS) from problem
    finally:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # below the bar
    print(f"understood as: {stack.prompt_interpretation}", file=sys.stderr)
    for warning in stack.warnings:
        print(f"note: {warning}", file=sys.stderr)
    print(args.out)
    return 0


def _spec(args: argparse.Namespace) -> GenerateSpec:
    width, height = args.size
    return GenerateSpec(
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
        width, height = map(positive, text.lower().split("x"))
    except (ValueError, argparse.ArgumentTypeError):
        message = f"write {text!r} as WIDTHxHEIGHT, such as 112x80"
        raise argparse.ArgumentTypeError(message) from None
    return width, height
