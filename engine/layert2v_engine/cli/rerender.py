"""``layert2v-engine rerender``: a new state of a stack, in this process; nothing is overwritten."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from types import MappingProxyType

from layert2v.command_options import (
    add_compression_option,
    add_nearest_option,
    add_sampling_options,
    non_negative_float,
    state_number,
)
from layert2v.rerender import ALPHAS, AUTO, DonorLayer, Plate, RerenderSpec, next_foreground
from layert2v.stack import Stack
from layert2v_engine.cli.options import (
    ProgressPrinter,
    add_memory_options,
    add_model_run_options,
    add_speed_options,
    add_weights_options,
    memory_options,
    options_error,
    speed_options,
    weights_options,
)
from layert2v_engine.errors import EngineError, InvalidSpec

# The keys that inputs go by; a person names folders instead.
PLATE, DONOR, MASK = "plate", "donor", "mask"
OPTIONS = MappingProxyType(  # those that are not called like their field
    {"layers": "--layer", "frozen": "--freeze", "prompts": "--prompt", "masks": "--mask"}
    | {"donor.layer": "--from", "donor.with_shadow": "--with-shadow", "donor": "--from"}
    | {"plate.colorspace": "--colorspace", "plate.alpha": "--alpha", "plate.fit": "--fit"}
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "rerender",
        help="generate layers of a stack again, replace, add, remove or reorder them",
        description="Write a new state of the stack in STACK. Layers that are not named stay as "
        "they are, to the bit; files of earlier states are kept.",
        epilog='example: layert2v-engine rerender fox --layer bg --prompt "a desert at sunset"',
    )
    parser.add_argument("stack", type=Path, metavar="STACK", help="folder of the stack")
    change = parser.add_mutually_exclusive_group(required=True)
    change.add_argument(
        "--layer", action="append", metavar="NAME", help="generate it again, or replace it"
    )
    change.add_argument("--add", action="store_true", help="add a foreground")
    change.add_argument("--remove", action="append", metavar="NAME", help="with its shadow")
    change.add_argument("--order", nargs="+", metavar="NAME", help="from bottom to top")
    parser.add_argument("--prompt", default="", help="what the layer is to show now")
    add_nearest_option(parser)
    parser.add_argument(
        "--strength", type=non_negative_float, default=1.0, metavar="X", help="0 to 1 (new)"
    )
    parser.add_argument("--freeze", action="append", default=[], metavar="SHADOW")
    parser.add_argument("--mask", type=Path, metavar="DIR", help="where white, the old stays")
    parser.add_argument("--above", default="", metavar="NAME", help="a new layer lies on this one")
    parser.add_argument(
        "--at", type=state_number, default=0, metavar="vNNN", help="an earlier state"
    )
    source = parser.add_argument_group("pixels that are there already")
    source.add_argument("--plate", type=Path, metavar="DIR", help="your own images")
    source.add_argument("--colorspace", default=AUTO, help="of the plate; default: what it says")
    source.add_argument("--alpha", choices=ALPHAS, default=AUTO, help="of the plate; likewise")
    source.add_argument("--fit", action="store_true", help="scale the plate to the stack")
    source.add_argument("--from", dest="donor", metavar="STACK:LAYER", help="of another stack")
    source.add_argument("--with-shadow", action="store_true", help="of the other stack, too")
    parser.add_argument("--model", default="", metavar="NAME", help="default: that of the stack")
    add_sampling_options(parser)
    add_compression_option(parser)
    add_model_run_options(parser)
    add_weights_options(parser)
    add_memory_options(parser)
    add_speed_options(parser)
    parser.set_defaults(run=_rerender)


def _rerender(args: argparse.Namespace) -> int:
    from layert2v_engine.devices import pick_device  # heavy, and not needed for a help text
    from layert2v_engine.engine import Engine
    from layert2v_engine.stack import manifest

    spec, inputs = _spec(args, manifest.read_base(args.stack, args.at))
    device, memory = str(pick_device(args.device)), memory_options(args)
    engine = Engine(
        args.models, device, memory=memory, speed=speed_options(args), **weights_options(args)
    )
    try:
        stack = engine.rerender(
            spec, args.stack, inputs=inputs, report=ProgressPrinter(), cancelled=lambda: False
        )
    except InvalidSpec as error:
        raise options_error(error, OPTIONS) from error
    finally:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # below the bar
    entry = stack.history[-1]
    for note in (entry.note, *stack.warnings):
        if note:
            print(f"note: {note}", file=sys.stderr)
    versions = ", ".join(f"{name} v{version:03d}" for name, version in entry.versions.items())
    print(f"{args.stack}: state v{stack.state:03d}, {versions or 'no new files'}")
    return 0


def _spec(args: argparse.Namespace, base: Stack) -> tuple[RerenderSpec, dict[str, Path]]:
    has_source = args.plate is not None or args.donor is not None
    if args.add:
        action, layers = "add", (next_foreground(base),)
    elif args.remove:
        action, layers = "remove", tuple(args.remove)
    elif args.order:
        action, layers = "reorder", tuple(args.order)
    else:
        action, layers = "replace" if has_source else "regenerate", tuple(args.layer)
    donor, inputs = _donor(args)
    inputs |= {PLATE: args.plate} if args.plate is not None else {}
    inputs |= {MASK: args.mask} if args.mask is not None else {}
    _check_single(layers, args)
    return RerenderSpec(
        action=action,
        layers=layers,
        frozen=tuple(args.freeze),
        prompts={layers[0]: args.prompt} if args.prompt else {},
        above=args.above,
        plate=_plate(args),
        donor=donor,
        masks={layers[0]: MASK} if args.mask is not None else {},
        at=args.at,
        seed=args.seed,
        strength=args.strength,
        steps=args.steps,
        guidance=args.guidance,
        model=args.model,
        compression=args.compression,
        nearest=args.nearest,
    ), inputs


def _plate(args: argparse.Namespace) -> Plate | None:
    if args.plate is None:
        return None
    fit = "fit" if args.fit else "exact"
    return Plate(input=PLATE, colorspace=args.colorspace, alpha=args.alpha, fit=fit)


def _donor(args: argparse.Namespace) -> tuple[DonorLayer | None, dict[str, Path]]:
    if args.donor is None:
        return None, {}
    folder, _, layer = args.donor.rpartition(":")
    if not folder or not layer:
        raise EngineError(
            f"{args.donor} names no layer of a stack.",
            "Write STACK:LAYER, such as out/fox:fg_01.",
            reason="DONOR_UNCLEAR",
        )
    donor = DonorLayer(input=DONOR, layer=layer, with_shadow=args.with_shadow)
    return donor, {DONOR: Path(folder)}


def _check_single(layers: tuple[str, ...], args: argparse.Namespace) -> None:
    """Raise ``EngineError`` where one prompt or one mask is given for several layers."""
    for option, value in (("--prompt", args.prompt), ("--mask", args.mask)):
        if value and len(layers) > 1:
            raise EngineError(
                f"{option} does not say which of {', '.join(layers)} it is for.",
                "Change them one after the other.",
                reason="LAYER_UNCLEAR",
            )
