"""Options of the stack commands as a ``RerenderSpec`` with its inputs.

Each function named like a command returns its request; ``build_spec`` adds the options that they
share and checks the request.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from layert2v import stack as manifests
from layert2v.errors import ManifestError
from layert2v.rerender import DonorLayer, Plate, RerenderSpec, next_foreground
from layert2v.stack import Role, Stack
from layert2v_client.errors import InvalidRequest
from layert2v_client.jobs import JOB_PREFIX
from layert2v_client.request_files import Input, Source, find_images
from layert2v_client.rerender_request import check_request

Inputs = dict[str, Input]
MakeSpec = Callable[[argparse.Namespace, Stack], "tuple[RerenderSpec, Inputs]"]


def build_spec(
    make_spec: MakeSpec, args: argparse.Namespace, stack: Stack
) -> tuple[RerenderSpec, Inputs]:
    """Return the request, checked as far as that is possible without a server."""
    spec, inputs = make_spec(args, stack)
    common = {"at": args.at}
    if hasattr(args, "steps"):
        common.update(
            frozen=tuple(args.freeze),
            seed=args.seed,
            steps=args.steps,
            guidance=args.guidance,
            model=args.model,
            compression=args.compression,
            nearest=getattr(args, "nearest", False),  # of commands that take a prompt
        )
    spec = replace(spec, **common)
    check_request(spec, stack)
    for key, given in inputs.items():
        if spec.donor is None or key != spec.donor.input:
            find_images(given)
        elif isinstance(given, Path):
            read_stack(given)
    return spec, inputs


def rerender(args: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """Return the request that generates layers again."""
    layers = tuple(args.layer)
    masks = _by_layer(layers, args.mask, "--mask")
    keys = {layer: f"mask_{number}" for number, layer in enumerate(masks)}
    spec = RerenderSpec(
        "regenerate",
        layers,
        prompts=_by_layer(layers, args.prompt, "--prompt"),
        masks=keys,
        strength=args.strength,
    )
    return spec, {keys[layer]: Path(path) for layer, path in masks.items()}


def swap(args: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """Return the request that replaces the background."""
    background = next(layer.name for layer in stack.layers if layer.role is Role.background)
    if args.plate is None:
        return RerenderSpec("regenerate", (background,), prompts={background: args.background}), {}
    return RerenderSpec("replace", (background,), plate=_plate(args)), _plate_inputs(args)


def add(args: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """Return the request that adds a foreground."""
    name = next_foreground(stack)
    spec = RerenderSpec("add", (name,), above=_layer_below(args, stack))
    if args.plate is None:
        return replace(spec, prompts={name: args.prompt}), {}
    return replace(spec, plate=_plate(args)), _plate_inputs(args)


def remove(args: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """Return the request that removes foregrounds."""
    return RerenderSpec("remove", tuple(args.layer)), {}


def reorder(args: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """Return the request that puts the foregrounds in another order."""
    backgrounds = (layer.name for layer in stack.layers if layer.role is Role.background)
    unnamed = (name for name in backgrounds if name not in args.order)
    return RerenderSpec("reorder", (*unnamed, *args.order)), {}


def mix(args: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """Return the request that takes a layer of another stack over."""
    other, colon, layer = args.donor.rpartition(":")
    if not (other and colon and layer):
        raise InvalidRequest(
            "DONOR_INVALID",
            f"{args.donor!r} names no layer of a stack.",
            "Write it as STACK:LAYER, such as fox_001:fg_01.",
        )
    donor = DonorLayer("donor", layer, args.with_shadow)
    inputs: Inputs = {"donor": parse_source(other)}
    if layer in {each.name for each in stack.layers if each.role is Role.background}:
        return RerenderSpec("replace", (layer,), donor=donor), inputs
    name = next_foreground(stack)
    return RerenderSpec("add", (name,), above=_layer_below(args, stack), donor=donor), inputs


def parse_source(text: str) -> Source:
    """Return a folder, or the name of a job. Raises ``InvalidRequest``."""
    folder = Path(text)
    if folder.exists():
        return folder
    if text.startswith(JOB_PREFIX):
        return text
    raise InvalidRequest(
        "STACK_NOT_FOUND",
        f"{text} is neither a folder nor a job.",
        "Name a folder with a stack.json, or a job as layert2v jobs shows it.",
    )


def read_stack(folder: Path, state: int = 0) -> Stack:
    """Return a stack, or what a change of its ``state`` starts from.

    Raises ``InvalidRequest`` where the folder holds none.
    """
    try:
        newest = manifests.read(folder)
        return manifests.start_of(newest, state, lambda kept: manifests.read_state(folder, kept))
    except ManifestError as error:
        raise InvalidRequest(error.reason, error.message, error.hint) from error


def _by_layer(layers: Sequence[str], given: Sequence[str], option: str) -> dict[str, str]:
    if given and len(given) != len(layers):
        raise InvalidRequest(
            "OPTIONS_UNEVEN", f"Give {option} once for each --layer, in the same order."
        )
    return dict(zip(layers, given))


def _plate(args: argparse.Namespace) -> Plate:
    return Plate("plate", args.colorspace, args.alpha, args.fit)


def _plate_inputs(args: argparse.Namespace) -> Inputs:
    return {"plate": args.plate}


def _layer_below(args: argparse.Namespace, stack: Stack) -> str:
    """Return the layer under the new one; ``--below`` names the one over it."""
    if not args.below:
        return str(args.above)
    layers = [layer.name for layer in stack.layers if layer.role is not Role.shadow]
    if args.below not in layers[1:]:
        raise InvalidRequest(
            "LAYER_UNKNOWN",
            f"There is no layer {args.below!r} to put it below; "
            f"choose from: {', '.join(layers[1:]) or 'none'}.",
        )
    return layers[layers.index(args.below) - 1]
