"""``layert2v-engine convert``: weights in the authors' layout to a folder in diffusers' layout."""

from __future__ import annotations

import argparse
from pathlib import Path

from layert2v_engine.errors import EngineError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "convert",
        help="convert LayerT2V's or Wan's own transformer weights to diffusers' layout",
        description="BASE holds config.json and safetensors as Wan's code keeps them. The result "
        "is the transformer folder of a model; other components are not converted yet.",
        epilog="example: layert2v-engine convert Wan2.1-T2V-1.3B --adapter layert2v_lora "
        "--out models/wan/transformer",
    )
    parser.add_argument("base", type=Path, metavar="BASE", help="folder of the weights")
    parser.add_argument(
        "--adapter", type=Path, metavar="DIR", help="folder of a trained adapter (PEFT) to merge in"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.set_defaults(run=_convert)


def _convert(args: argparse.Namespace) -> int:
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise EngineError(f"{args.out} is not empty.", "Name a new folder.", reason="NOT_EMPTY")
    from layert2v_engine.model.checkpoint import save_transformer  # torch: not for a help text
    from layert2v_engine.model.wan_import import import_transformer

    save_transformer(import_transformer(args.base, args.adapter), args.out)
    print(args.out)
    return 0
