"""The commands that change stacks: rerender, swap, add, remove, reorder, mix, history, open.

Each makes one ``RerenderSpec`` from its options; the way to the new state is the same for all.
"""

from __future__ import annotations

import argparse
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from layert2v import stack as manifests
from layert2v.command_options import state_number
from layert2v.errors import ManifestError
from layert2v.rerender import DonorLayer, Plate, RerenderSpec, next_foreground
from layert2v.stack import HistoryEntry, Role, Stack
from layert2v_client import stack_history
from layert2v_client.cli.arguments import add_plate_options, add_rerender_options
from layert2v_client.cli.common import (
    job_title,
    open_client,
    output_folder,
    report_result_path,
    run_to_completion,
    server_address,
    transfer_options,
    unused_folder,
    warn_missing_states,
)
from layert2v_client.cli.config import ClientConfig
from layert2v_client.cli.terminal import ProgressLine
from layert2v_client.client import SUBMIT_TIMEOUT_S, Client
from layert2v_client.errors import InvalidRequest
from layert2v_client.jobs import JOB_PREFIX, Job
from layert2v_client.rerender_request import Input, Source, check_request, find_images

# What is read as which colour space where the artist does not say: EXR like the stack, else this.
DISPLAY_SPACE = "srgb_rec709_scene"

Inputs = dict[str, Input]
Make = Callable[[argparse.Namespace, Stack], "tuple[RerenderSpec, Inputs]"]


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
    return RerenderSpec("replace", (background,), plate=_plate(args, stack)), _plate_inputs(args)


def add(args: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """Return the request that adds a foreground."""
    name = next_foreground(stack)
    spec = RerenderSpec("add", (name,), above=_layer_below(args, stack))
    if args.plate is None:
        return replace(spec, prompts={name: args.prompt}), {}
    return replace(spec, plate=_plate(args, stack)), _plate_inputs(args)


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
    inputs: Inputs = {"donor": _parse_source(other)}
    if layer in {each.name for each in stack.layers if each.role is Role.background}:
        return RerenderSpec("replace", (layer,), donor=donor), inputs
    name = next_foreground(stack)
    return RerenderSpec("add", (name,), above=_layer_below(args, stack), donor=donor), inputs


def history(
    args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine
) -> None:
    """Print a table of the states of a stack."""
    source = _parse_source(args.stack)
    closed: Sequence[int] = ()
    if isinstance(source, Path):
        entries, closed = _read(source).history, stack_history.missing_states(source)
    else:
        with open_client(args, config, line) as client:
            entries = client.job(source).stack().history
    rows = [
        _history_row(number, entry, number in closed) for number, entry in enumerate(entries, 1)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths))
        out.write("  ".join((*cells, row[6])).rstrip() + "\n")


def open_state(
    args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine
) -> None:
    """Make an earlier state the newest."""
    source = _parse_source(args.stack)
    if not isinstance(source, Path):
        raise InvalidRequest(
            "STACK_ELSEWHERE",
            f"{source} is a job, and only a stack folder can be opened at a state.",
            "Fetch it first.",
        )
    try:
        made = stack_history.restore(source, args.at)
    except ManifestError as error:
        raise InvalidRequest(error.reason, error.message, error.hint) from error
    line.say(f"v{made.state:03d} has the layers of v{args.at:03d}")
    out.write(f"{source}\n")


def add_stack_commands(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the parsers of these commands with ``add_command`` of the command line."""

    def changing(make: Make, summary: str, example: str) -> argparse.ArgumentParser:
        sub = add_command(
            _make_command(make), summary, name=make.__name__, example=example, may_embed=True
        )
        if make is mix:
            sub.add_argument("donor", metavar="A:LAYER", help="a layer of another stack")
        sub.add_argument("stack", metavar="STACK", help="a folder with stack.json, or a job's name")
        sub.add_argument(
            "--out", type=Path, metavar="DIR", help="a copy with the change; default: in place"
        )
        sub.add_argument(
            "--at", type=state_number, default=0, metavar="v003", help="default: the newest state"
        )
        return sub

    rerender_parser = changing(
        rerender,
        "draw layers again and leave the others as they are",
        "layert2v rerender fox_001 --layer fg_01 --prompt 'a red fox, sitting' --strength 0.6",
    )
    rerender_parser.add_argument(
        "--layer", action="append", required=True, metavar="L", help="repeatable"
    )
    for name, words in (("--prompt", "a new prompt"), ("--mask", "pictures, white keeps the old")):
        rerender_parser.add_argument(
            name, action="append", default=[], metavar="X", help=f"{words}; one for each --layer"
        )
    rerender_parser.add_argument(
        "--strength", type=float, default=1.0, metavar="X", help="above 0 to 1; 1 forgets the old"
    )
    swap_parser = changing(
        swap,
        "put another background behind the actors",
        "layert2v swap fox_001 --background 'a moonlit desert'",
    )
    choice = swap_parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--background", metavar="TEXT", help="a prompt to draw it from")
    add_plate_options(swap_parser, choice)
    add_parser = changing(
        add,
        "add a foreground",
        "layert2v add fox_001 --prompt 'a grey owl' --below fg_01",
    )
    choice = add_parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--prompt", metavar="TEXT", help="a prompt to draw it from")
    add_plate_options(add_parser, choice)
    mix_parser = changing(
        mix,
        "take a layer of another stack over",
        "layert2v mix fox_001:fg_01 city_001 --above bg",
    )
    mix_parser.add_argument("--with-shadow", action="store_true", help="take its shadow over, too")
    for sub in (add_parser, mix_parser):
        place = sub.add_mutually_exclusive_group()
        place.add_argument("--above", default="", metavar="L", help="default: on top")
        place.add_argument("--below", default="", metavar="L")
    remove_parser = changing(
        remove, "remove foregrounds with their shadows", "layert2v remove fox_001 --layer fg_02"
    )
    remove_parser.add_argument(
        "--layer", action="append", required=True, metavar="L", help="repeatable"
    )
    order = changing(
        reorder, "put the foregrounds in another order", "layert2v reorder fox_001 fg_02 fg_01"
    )
    order.add_argument("order", nargs="+", metavar="L", help="all foregrounds from bottom to top")
    for sub in (rerender_parser, swap_parser, add_parser, mix_parser):
        add_rerender_options(sub)
    history_parser = add_command(
        history, "list the states of a stack", example="layert2v history fox_001"
    )
    open_parser = add_command(
        open_state,
        "make an earlier state the newest again; nothing is lost",
        name="open",
        example="layert2v open fox_001 --at v003",
    )
    open_parser.add_argument("--at", type=state_number, required=True, metavar="v003")
    for sub in (history_parser, open_parser):
        sub.add_argument("stack", metavar="STACK", help="a folder with stack.json")


def _make_command(make: Make) -> Callable[..., None]:
    """Return the command that makes a new state of a stack with the request of ``make``."""

    def command(
        args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine
    ) -> None:
        source = _parse_source(args.stack)
        args.may_embed = isinstance(source, Path)
        if isinstance(source, Path):  # what is wrong is said before any server is started
            spec, inputs = _build_spec(make, args, _read(source, args.at))
            args.may_embed = not any(isinstance(given, str) for given in inputs.values())
        output = output_folder(args.out) if args.out is not None else nullcontext()
        with output, open_client(args, config, line) as client:
            if not isinstance(source, Path):
                spec, inputs = _build_spec(make, args, client.job(source).stack())
            is_durable = bool(server_address(args, config))
            folder = _run_rerender(
                client, source, spec, inputs, args.out, line, is_durable=is_durable
            )
        _print_new_state(manifests.read(folder), line)
        if not isinstance(source, Path):
            warn_missing_states(folder, line)
        out.write(f"{folder}\n")

    return command


def _build_spec(make: Make, args: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """Return the request, checked as far as that is possible without a server."""
    spec, inputs = make(args, stack)
    common = {"at": args.at}
    if hasattr(args, "steps"):
        common.update(
            frozen=tuple(args.freeze),
            seed=args.seed,
            steps=args.steps,
            guidance=args.guidance,
            model=args.model,
        )
    spec = replace(spec, **common)
    check_request(spec, stack)
    for key, given in inputs.items():
        if spec.donor is None or key != spec.donor.input:
            find_images(given)
        elif isinstance(given, Path):
            _read(given)
    return spec, inputs


def _run_rerender(
    client: Client,
    source: Source,
    spec: RerenderSpec,
    inputs: Mapping[str, Input],
    target: Path | None,
    line: ProgressLine,
    *,
    is_durable: bool,
) -> Path:
    """Run the re-render and return the folder with the new state.

    ``is_durable`` says that the server keeps its jobs after this call.
    """
    request = client.prepare(
        source,
        spec,
        inputs,
        uuid.uuid4(),
        transfer_options(line, "uploading"),
        with_states=is_durable,
    )

    def ask(timeout_s: float) -> Job:
        return client.create(request, timeout_s=timeout_s)

    job, status = run_to_completion(ask, SUBMIT_TIMEOUT_S, line)
    with report_result_path(status, line):
        if not isinstance(source, Path):
            folder = target or unused_folder(job_title(status))
            job.download(folder, transfer_options(line))
        else:
            folder = target or source
            if target is not None:
                stack_history.clone(source, target)
            job.merge_into(folder, transfer_options(line))
    line.clear()
    return folder


def _parse_source(text: str) -> Source:
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


def _read(folder: Path, state: int = 0) -> Stack:
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


def _plate(args: argparse.Namespace, stack: Stack) -> Plate:
    (*_, last) = find_images(args.plate)
    suffix = last.suffix.lower()
    space = stack.colorspace if suffix == ".exr" else DISPLAY_SPACE
    alpha = "straight" if suffix == ".png" else "premultiplied"
    return Plate("plate", args.colorspace or space, args.alpha or alpha, args.fit)


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


def _print_new_state(made: Stack, line: ProgressLine) -> None:
    entry = made.history[-1]
    changed = ", ".join(f"{name} v{version:03d}" for name, version in entry.versions.items())
    line.say(f"v{made.state:03d}: {changed}")
    if entry.note:
        line.say(entry.note)


def _history_row(number: int, entry: HistoryEntry, closed: bool) -> tuple[str, ...]:
    spec: Mapping[str, Any] = entry.spec
    prompts = spec.get("prompts") or {}
    words = spec.get("prompt") or "; ".join(prompts.values())
    changed = ", ".join(f"{name} v{version:03d}" for name, version in entry.versions.items())
    seed = spec.get("seed")
    return (
        f"v{number:03d}",
        entry.action,
        f"from v{entry.parent:03d}" if entry.parent else "",
        entry.created,
        changed or entry.note,
        "" if seed is None else str(seed),
        re.sub(r"\s+", " ", str(words))[:60] + ("  [files are not here]" if closed else ""),
    )
