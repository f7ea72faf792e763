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
from layert2v.errors import ManifestError
from layert2v.rerender import DonorLayer, Plate, RerenderSpec, next_foreground
from layert2v.stack import HistoryEntry, Role, Stack
from layert2v_client import stack_history
from layert2v_client.cli.arguments import add_plate_options, add_rerender_options, state_number
from layert2v_client.cli.common import (
    free_folder,
    named,
    naming_the_made,
    output_folder,
    server,
    tell_closed,
    terms,
    title_of,
    to_its_end,
)
from layert2v_client.cli.config import ClientConfig
from layert2v_client.cli.terminal import ProgressLine
from layert2v_client.client import SUBMIT_TIMEOUT_S, Client
from layert2v_client.errors import InvalidRequest
from layert2v_client.jobs import JOB_PREFIX, Job
from layert2v_client.rerender_request import Input, Source, check, pictures

# What is read as which colour space where the artist does not say: EXR like the stack, else this.
DISPLAY_SPACE = "srgb_rec709_scene"

Inputs = dict[str, Input]
Make = Callable[[argparse.Namespace, Stack], "tuple[RerenderSpec, Inputs]"]


def rerender(options: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """Draw layers again."""
    layers = tuple(options.layer)
    masks = _by_layer(layers, options.mask, "--mask")
    keys = {layer: f"mask_{number}" for number, layer in enumerate(masks)}
    spec = RerenderSpec(
        "regenerate",
        layers,
        prompts=_by_layer(layers, options.prompt, "--prompt"),
        masks=keys,
        strength=options.strength,
    )
    return spec, {keys[layer]: Path(path) for layer, path in masks.items()}


def swap(options: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """Another background."""
    ground = next(layer.name for layer in stack.layers if layer.role is Role.background)
    if options.plate is None:
        return RerenderSpec("regenerate", (ground,), prompts={ground: options.background}), {}
    return RerenderSpec("replace", (ground,), plate=_plate(options, stack)), _plate_input(options)


def add(options: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """One more foreground."""
    name = next_foreground(stack)
    spec = RerenderSpec("add", (name,), above=_above(options, stack))
    if options.plate is None:
        return replace(spec, prompts={name: options.prompt}), {}
    return replace(spec, plate=_plate(options, stack)), _plate_input(options)


def remove(options: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """Fewer foregrounds."""
    return RerenderSpec("remove", tuple(options.layer)), {}


def reorder(options: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """Foregrounds in another order."""
    grounds = (layer.name for layer in stack.layers if layer.role is Role.background)
    named = (name for name in grounds if name not in options.order)
    return RerenderSpec("reorder", (*named, *options.order)), {}


def mix(options: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """A layer of another stack."""
    other, colon, layer = options.donor.rpartition(":")
    if not (other and colon and layer):
        raise InvalidRequest(
            "DONOR_INVALID",
            f"{options.donor!r} names no layer of a stack.",
            "Write it as STACK:LAYER, such as fox_001:fg_01.",
        )
    donor = DonorLayer("donor", layer, options.with_shadow)
    inputs: Inputs = {"donor": _source(other)}
    if layer in {each.name for each in stack.layers if each.role is Role.background}:
        return RerenderSpec("replace", (layer,), donor=donor), inputs
    name = next_foreground(stack)
    return RerenderSpec("add", (name,), above=_above(options, stack), donor=donor), inputs


def history(
    options: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine
) -> None:
    """A table of the states of a stack."""
    source = _source(options.stack)
    closed: Sequence[int] = ()
    if isinstance(source, Path):
        entries, closed = _read(source).history, stack_history.closed(source)
    else:
        with server(options, config, line) as client:
            entries = client.job(source).stack().history
    rows = [_row(number, entry, number in closed) for number, entry in enumerate(entries, 1)]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths))
        out.write("  ".join((*cells, row[6])).rstrip() + "\n")


def open_state(
    options: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine
) -> None:
    """An earlier state becomes the newest."""
    source = _source(options.stack)
    if not isinstance(source, Path):
        raise InvalidRequest(
            "STACK_ELSEWHERE",
            f"{source} is a job, and only a stack folder can be opened at a state.",
            "Fetch it first.",
        )
    try:
        made = stack_history.restore(source, options.at)
    except ManifestError as problem:
        raise InvalidRequest(problem.reason, problem.message, problem.hint) from problem
    line.say(f"v{made.state:03d} has the layers of v{options.at:03d}")
    out.write(f"{source}\n")


def add_stack_commands(add_command: Callable[..., argparse.ArgumentParser]) -> None:
    """Their parsers; ``add_command`` is that of the command line."""

    def changing(make: Make, summary: str, example: str) -> argparse.ArgumentParser:
        sub = add_command(
            _command(make), summary, name=make.__name__, example=example, may_embed=True
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

    again = changing(
        rerender,
        "draw layers again and leave the others as they are",
        "layert2v rerender fox_001 --layer fg_01 --prompt 'a red fox, sitting' --strength 0.6",
    )
    again.add_argument("--layer", action="append", required=True, metavar="L", help="repeatable")
    for name, words in (("--prompt", "a new prompt"), ("--mask", "pictures, white keeps the old")):
        again.add_argument(
            name, action="append", default=[], metavar="X", help=f"{words}; one for each --layer"
        )
    again.add_argument(
        "--strength", type=float, default=1.0, metavar="X", help="above 0 to 1; 1 forgets the old"
    )
    other = changing(
        swap,
        "put another background behind the actors",
        "layert2v swap fox_001 --background 'a moonlit desert'",
    )
    choice = other.add_mutually_exclusive_group(required=True)
    choice.add_argument("--background", metavar="TEXT", help="a prompt to draw it from")
    add_plate_options(other, choice)
    more = changing(
        add,
        "add a foreground",
        "layert2v add fox_001 --prompt 'a grey owl' --below fg_01",
    )
    choice = more.add_mutually_exclusive_group(required=True)
    choice.add_argument("--prompt", metavar="TEXT", help="a prompt to draw it from")
    add_plate_options(more, choice)
    mixing = changing(
        mix,
        "take a layer of another stack over",
        "layert2v mix fox_001:fg_01 city_001 --above bg",
    )
    mixing.add_argument("--with-shadow", action="store_true", help="take its shadow over, too")
    for sub in (more, mixing):
        place = sub.add_mutually_exclusive_group()
        place.add_argument("--above", default="", metavar="L", help="default: on top")
        place.add_argument("--below", default="", metavar="L")
    fewer = changing(
        remove, "remove foregrounds with their shadows", "layert2v remove fox_001 --layer fg_02"
    )
    fewer.add_argument("--layer", action="append", required=True, metavar="L", help="repeatable")
    order = changing(
        reorder, "put the foregrounds in another order", "layert2v reorder fox_001 fg_02 fg_01"
    )
    order.add_argument("order", nargs="+", metavar="L", help="all foregrounds from bottom to top")
    for sub in (again, other, more, mixing):
        add_rerender_options(sub)
    told = add_command(history, "list the states of a stack", example="layert2v history fox_001")
    back = add_command(
        open_state,
        "make an earlier state the newest again; nothing is lost",
        name="open",
        example="layert2v open fox_001 --at v003",
    )
    back.add_argument("--at", type=state_number, required=True, metavar="v003")
    for sub in (told, back):
        sub.add_argument("stack", metavar="STACK", help="a folder with stack.json")


def _command(make: Make) -> Callable[..., None]:
    """The command that makes a new state of a stack with what ``make`` asks for."""

    def command(
        options: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine
    ) -> None:
        source = _source(options.stack)
        options.may_embed = isinstance(source, Path)
        if isinstance(source, Path):  # what is wrong is said before any server is started
            spec, inputs = _wish(make, options, _read(source, options.at))
            options.may_embed = not any(isinstance(given, str) for given in inputs.values())
        elsewhere = output_folder(options.out) if options.out is not None else nullcontext()
        with elsewhere, server(options, config, line) as client:
            if not isinstance(source, Path):
                spec, inputs = _wish(make, options, client.job(source).stack())
            outlives = bool(named(options, config))
            folder = _carried_out(
                client, source, spec, inputs, options.out, line, outlives=outlives
            )
        _tell(manifests.read(folder), line)
        if not isinstance(source, Path):
            tell_closed(folder, line)
        out.write(f"{folder}\n")

    return command


def _wish(make: Make, options: argparse.Namespace, stack: Stack) -> tuple[RerenderSpec, Inputs]:
    """What is asked for, checked as far as that goes without a server."""
    spec, inputs = make(options, stack)
    common = {"at": options.at}
    if hasattr(options, "steps"):
        common.update(
            frozen=tuple(options.freeze),
            seed=options.seed,
            steps=options.steps,
            guidance=options.guidance,
            model=options.model,
        )
    spec = replace(spec, **common)
    check(spec, stack)
    for key, given in inputs.items():
        if spec.donor is None or key != spec.donor.input:
            pictures(given)
        elif isinstance(given, Path):
            _read(given)
    return spec, inputs


def _carried_out(
    client: Client,
    source: Source,
    spec: RerenderSpec,
    inputs: Mapping[str, Input],
    target: Path | None,
    line: ProgressLine,
    *,
    outlives: bool,
) -> Path:
    """Have it made by a server that ``outlives`` the call; the folder in which the new state is."""
    request = client.prepare(
        source, spec, inputs, uuid.uuid4(), terms(line, "uploading"), with_states=outlives
    )

    def ask(timeout_s: float) -> Job:
        return client.create(request, timeout_s=timeout_s)

    job, status = to_its_end(ask, SUBMIT_TIMEOUT_S, line)
    with naming_the_made(status, line):
        if not isinstance(source, Path):
            folder = target or free_folder(title_of(status))
            job.download(folder, terms(line))
        else:
            folder = target or source
            if target is not None:
                stack_history.clone(source, target)
            job.land(folder, terms(line))
    line.clear()
    return folder


def _source(text: str) -> Source:
    """A folder, or a job's name. Raises ``InvalidRequest``."""
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
        # A state that there is not is told with the other violations.
        return manifests.read_start(folder, state) if 0 < state < newest.state else newest
    except ManifestError as problem:
        raise InvalidRequest(problem.reason, problem.message, problem.hint) from problem


def _by_layer(layers: Sequence[str], given: Sequence[str], option: str) -> dict[str, str]:
    if given and len(given) != len(layers):
        raise InvalidRequest(
            "OPTIONS_UNEVEN", f"Give {option} once for each --layer, in the same order."
        )
    return dict(zip(layers, given))


def _plate(options: argparse.Namespace, stack: Stack) -> Plate:
    (*_, last) = pictures(options.plate)
    suffix = last.suffix.lower()
    space = stack.colorspace if suffix == ".exr" else DISPLAY_SPACE
    alpha = "straight" if suffix == ".png" else "premultiplied"
    return Plate("plate", options.colorspace or space, options.alpha or alpha, options.fit)


def _plate_input(options: argparse.Namespace) -> Inputs:
    return {"plate": options.plate}


def _above(options: argparse.Namespace, stack: Stack) -> str:
    """The layer under the new one; ``--below`` names the one over it."""
    if not options.below:
        return str(options.above)
    grounds = [layer.name for layer in stack.layers if layer.role is not Role.shadow]
    if options.below not in grounds[1:]:
        raise InvalidRequest(
            "LAYER_UNKNOWN",
            f"There is no layer {options.below!r} to put it below; "
            f"choose from: {', '.join(grounds[1:]) or 'none'}.",
        )
    return grounds[grounds.index(options.below) - 1]


def _tell(made: Stack, line: ProgressLine) -> None:
    entry = made.history[-1]
    changed = ", ".join(f"{name} v{version:03d}" for name, version in entry.versions.items())
    line.say(f"v{made.state:03d}: {changed}")
    if entry.note:
        line.say(entry.note)


def _row(number: int, entry: HistoryEntry, closed: bool) -> tuple[str, ...]:
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
