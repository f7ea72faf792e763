"""``layert2v-engine convert``: Wan and LayerT2V's own checkpoints to a model folder of ours."""

from __future__ import annotations

import argparse
from pathlib import Path

from layert2v.command_options import positive_int
from layert2v_engine.errors import EngineError

_DTYPES = ("float32", "bfloat16")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "convert",
        help="make a model of Wan's weights, with those of LayerT2V's trainer if given",
        description="WAN is a folder of Wan2.1 T2V as it was downloaded, in the layout of "
        "diffusers or of Wan's own code. Without --adapter the model's layers are untrained: it is "
        "where training starts. With BASE instead of --from only the transformer is converted.",
        epilog="example: layert2v-engine convert --from Wan2.1-T2V-1.3B-Diffusers --foregrounds 2 "
        "--out models/wan",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--from", dest="source", type=Path, metavar="WAN", help="folder of Wan")
    source.add_argument(
        "base",
        type=Path,
        nargs="?",
        metavar="BASE",
        help="folder of transformer weights alone, as Wan's own code keeps them",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    parser.add_argument(
        "--adapter",
        type=Path,
        metavar="DIR",
        help="checkpoint folder of LayerT2V's trainer (PEFT, mask_vae_lora.pt) to merge in",
    )
    parser.add_argument(
        "--ema", action="store_true", help="take the averaged weights of the adapter"
    )
    parser.add_argument(
        "--rope",
        choices=("3d", "4d"),
        help="positions that the adapter was trained with, where the base does not say so",
    )
    parser.add_argument(
        "--foregrounds",
        type=positive_int,
        metavar="N",
        help="foregrounds it makes at most (default: 1)",
    )
    parser.add_argument("--no-shadows", action="store_true", help="make no layers of cast shadows")
    parser.add_argument("--name", help="name to ask for it by (default: that of DIR)")
    parser.add_argument("--title", help="what artists see it called (default: its name)")
    parser.add_argument("--dtype", choices=_DTYPES, help="type of the weights (default: as in WAN)")
    parser.set_defaults(run=_convert)


def _convert(args: argparse.Namespace) -> int:
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise EngineError(f"{args.out} is not empty.", "Name a new folder.", reason="NOT_EMPTY")
    if args.base is not None:
        from layert2v_engine.model.checkpoint import save_transformer  # torch: not for a help text
        from layert2v_engine.model.wan_import import import_transformer

        save_transformer(import_transformer(args.base, args.adapter), args.out)
    else:
        _convert_model(args)
    print(args.out)
    return 0


def _convert_model(args: argparse.Namespace) -> None:
    import torch

    from layert2v_engine.model.wan_model import WanModelOptions, convert_model

    if args.ema and args.adapter is None:
        raise EngineError("--ema belongs to an adapter.", "Give --adapter, too.")
    if args.foregrounds is not None and args.foregrounds < 1:
        raise EngineError(f"A model makes at least 1 foreground, not {args.foregrounds}.")
    name = args.name or args.out.name
    options = WanModelOptions(
        name=name,
        title=args.title or name,
        foregrounds=args.foregrounds or 1,
        shadows=not args.no_shadows,
        adapter=args.adapter,
        ema=args.ema,
        rope_4d=None if args.rope is None else args.rope == "4d",
        dtype=None if args.dtype is None else getattr(torch, args.dtype),
    )
    config = convert_model(args.source, args.out, options)
    if config.untrained:
        print(
            f"{config.info.title} is untrained: it draws as Wan does, the same in every layer. "
            "Train it before you use it."
        )
