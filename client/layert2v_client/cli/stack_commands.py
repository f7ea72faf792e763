"""The commands that change stacks: rerender, swap, add, remove, reorder, mix, history, open.

The requests are those of ``rerender_specs``; running them is the same for all.
"""

from __future__ import annotations

import argparse
import re
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol, TextIO

from layert2v import stack as manifests
from layert2v.command_options import add_nearest_option, positive_float, state_number
from layert2v.errors import ManifestError
from layert2v.stack import HistoryEntry, Stack
from layert2v.v1 import jobs_pb2
from layert2v_client import stack_history
from layert2v_client.cli import rerender_specs
from layert2v_client.cli.arguments import add_plate_options, add_rerender_options
from layert2v_client.cli.common import (
    discard_at_interrupt,
    download_stack,
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
from layert2v_client.cli.rerender_specs import MakeSpec, build_spec, parse_source, read_stack
from layert2v_client.cli.terminal import ProgressLine
from layert2v_client.client import SUBMIT_TIMEOUT_S, Client
from layert2v_client.errors import InvalidRequest
from layert2v_client.jobs import Job
from layert2v_client.request_files import Source
from layert2v_client.transfer import TransferOptions

AddCommand = Callable[..., argparse.ArgumentParser]
AddSpecCommand = Callable[[MakeSpec, str, str], argparse.ArgumentParser]


def add_stack_commands(add_command: AddCommand) -> None:
    """Add the parsers of these commands with ``add_command`` of the command line."""

    def add(make_spec: MakeSpec, summary: str, example: str) -> argparse.ArgumentParser:
        command = _make_command(make_spec)
        name = make_spec.__name__
        sub = add_command(command, summary, name=name, example=example, may_embed=True)
        if make_spec is rerender_specs.mix:
            sub.add_argument("donor", metavar="A:LAYER", help="a layer of another stack")
        sub.add_argument("stack", metavar="STACK", help="a folder with stack.json, or a job's name")
        sub.add_argument(
            "--out", type=Path, metavar="DIR", help="a copy with the change; default: in place"
        )
        sub.add_argument(
            "--at", type=state_number, default=0, metavar="v003", help="default: the newest state"
        )
        return sub

    _add_generating_commands(add)
    _add_arranging_commands(add)
    _add_history_commands(add_command)


def _add_generating_commands(add: AddSpecCommand) -> None:
    """Add the commands that may generate layers."""
    sub = add(
        rerender_specs.rerender,
        "generate layers again and leave the others as they are",
        "layert2v rerender fox_001 --layer fg_01 --prompt 'a rabbit hopping' --strength 0.6",
    )
    sub.add_argument("--layer", action="append", required=True, metavar="L", help="repeatable")
    add_nearest_option(sub)
    for name, words in (("--prompt", "a new prompt"), ("--mask", "images, white keeps the old")):
        sub.add_argument(
            name, action="append", default=[], metavar="X", help=f"{words}; one for each --layer"
        )
    sub.add_argument(
        "--strength",
        type=positive_float,
        default=1.0,
        metavar="X",
        help="above 0 to 1; 1 forgets the old",
    )
    add_rerender_options(sub)
    sub = add(
        rerender_specs.swap,
        "put another background behind the foregrounds",
        "layert2v swap fox_001 --background 'a moonlit desert'",
    )
    _add_prompt_or_plate(sub, "--background")
    add_rerender_options(sub)
    sub = add(
        rerender_specs.add,
        "add a foreground",
        "layert2v add fox_001 --prompt 'a bear walking' --below fg_01",
    )
    _add_prompt_or_plate(sub, "--prompt")
    add_nearest_option(sub)
    _add_position(sub)
    add_rerender_options(sub)
    sub = add(
        rerender_specs.mix,
        "take a layer of another stack over",
        "layert2v mix fox_001:fg_01 city_001 --above bg",
    )
    sub.add_argument("--with-shadow", action="store_true", help="take its shadow over, too")
    _add_position(sub)
    add_rerender_options(sub)


def _add_arranging_commands(add: AddSpecCommand) -> None:
    """Add the commands that need no model."""
    sub = add(
        rerender_specs.remove,
        "remove foregrounds with their shadows",
        "layert2v remove fox_001 --layer fg_02",
    )
    sub.add_argument("--layer", action="append", required=True, metavar="L", help="repeatable")
    sub = add(
        rerender_specs.reorder,
        "put the foregrounds in another order",
        "layert2v reorder fox_001 fg_02 fg_01",
    )
    sub.add_argument("order", nargs="+", metavar="L", help="all foregrounds from bottom to top")


def _add_history_commands(add_command: AddCommand) -> None:
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


def _add_prompt_or_plate(sub: argparse.ArgumentParser, option: str) -> None:
    choice = sub.add_mutually_exclusive_group(required=True)
    choice.add_argument(option, metavar="TEXT", help="a prompt to generate it from")
    add_plate_options(sub, choice)


def _add_position(sub: argparse.ArgumentParser) -> None:
    position = sub.add_mutually_exclusive_group()
    position.add_argument("--above", default="", metavar="L", help="default: on top")
    position.add_argument("--below", default="", metavar="L")


def history(
    args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine
) -> None:
    """Print a table of the states of a stack."""
    source = parse_source(args.stack)
    missing: Sequence[int] = ()
    if isinstance(source, Path):
        entries, missing = read_stack(source).history, stack_history.missing_states(source)
    else:
        with open_client(args, config, line) as client:
            entries = client.job(source).stack().history
    rows = [
        _history_row(number, entry, number in missing) for number, entry in enumerate(entries, 1)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths))
        out.write("  ".join((*cells, row[6])).rstrip() + "\n")


def open_state(
    args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine
) -> None:
    """Make an earlier state the newest."""
    source = parse_source(args.stack)
    if not isinstance(source, Path):
        raise InvalidRequest(
            "STACK_ELSEWHERE",
            f"{source} is a job, and only a stack folder can be opened at a state.",
            "Fetch it first.",
        )
    try:
        restored = stack_history.restore(source, args.at)
    except ManifestError as error:
        raise InvalidRequest(error.reason, error.message, error.hint) from error
    line.say(f"v{restored.state:03d} has the layers of v{args.at:03d}")
    out.write(f"{source}\n")


class StackChange(Protocol):
    """A request for a new state of a stack."""

    def check(self, start: Stack) -> bool:
        """Check the request against the state it starts from.

        Returns whether all that it needs is on this machine. Raises ``InvalidRequest``.
        """

    def prepare(
        self, client: Client, source: Source, options: TransferOptions, *, with_states: bool
    ) -> jobs_pb2.CreateJobRequest:
        """Upload what is needed and return the request."""


class _Rerender(StackChange):
    """The re-render that ``make_spec`` makes of the options."""

    def __init__(self, make_spec: MakeSpec, args: argparse.Namespace) -> None:
        self._make_spec = make_spec
        self._args = args

    def check(self, start: Stack) -> bool:
        self._spec, self._inputs = build_spec(self._make_spec, self._args, start)
        return not any(isinstance(given, str) for given in self._inputs.values())

    def prepare(
        self, client: Client, source: Source, options: TransferOptions, *, with_states: bool
    ) -> jobs_pb2.CreateJobRequest:
        return client.prepare(
            source, self._spec, self._inputs, uuid.uuid4(), options, with_states=with_states
        )


def _make_command(make_spec: MakeSpec) -> Callable[..., None]:
    """Return the command that makes a new state of a stack with the request of ``make_spec``."""

    def command(
        args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine
    ) -> None:
        run_stack_change(_Rerender(make_spec, args), args, config, out, line)

    return command


def run_stack_change(
    change: StackChange,
    args: argparse.Namespace,
    config: ClientConfig,
    out: TextIO,
    line: ProgressLine,
) -> None:
    """Make a new state of the stack that ``args`` name: in place, or in a copy."""
    source = parse_source(args.stack)
    args.may_embed = isinstance(source, Path)
    if isinstance(source, Path):  # a wrong request fails before any server is started
        args.may_embed = change.check(read_stack(source, args.at))
    output = output_folder(args.out) if args.out is not None else nullcontext()
    with output, open_client(args, config, line) as client:
        if not isinstance(source, Path):
            change.check(client.job(source).stack())
        is_durable = bool(server_address(args, config))
        folder = _run_change(client, source, change, args.out, line, is_durable=is_durable)
    _print_new_state(manifests.read(folder), line)
    if not isinstance(source, Path):
        warn_missing_states(folder, line)
    out.write(f"{folder}\n")


def _run_change(
    client: Client,
    source: Source,
    change: StackChange,
    target: Path | None,
    line: ProgressLine,
    *,
    is_durable: bool,
) -> Path:
    """Run the change and return the folder with the new state.

    ``is_durable`` says that the server keeps its jobs after this call.
    """
    options = transfer_options(line, "uploading")
    request = change.prepare(client, source, options, with_states=is_durable)

    def submit(timeout_s: float) -> Job:
        return client.create(request, timeout_s=timeout_s)

    job, status = run_to_completion(submit, SUBMIT_TIMEOUT_S, line)
    with report_result_path(status, line):
        if not isinstance(source, Path):
            folder = target or unused_folder(job_title(status))
            download_stack(job, folder, line)
        elif target is not None:
            folder = target
            _merge_into_copy(job, source, target, line)
        else:
            folder = source
            with discard_at_interrupt(job, folder):
                job.merge_into(folder, transfer_options(line))
    line.clear()
    return folder


def _merge_into_copy(job: Job, source: Path, target: Path, line: ProgressLine) -> None:
    """Download a new state into a copy of its stack; Ctrl-C leaves ``target`` empty, as it was."""
    try:
        stack_history.clone(source, target)
        job.merge_into(target, transfer_options(line))
    except KeyboardInterrupt:
        for path in target.iterdir():  # of the copy: the stack itself has its own names of them
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise


def _print_new_state(stack: Stack, line: ProgressLine) -> None:
    entry = stack.history[-1]
    changed = ", ".join(f"{name} v{version:03d}" for name, version in entry.versions.items())
    line.say(f"v{stack.state:03d}: {changed}")
    if entry.note:
        line.say(entry.note)


def _history_row(number: int, entry: HistoryEntry, is_missing: bool) -> tuple[str, ...]:
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
        re.sub(r"\s+", " ", str(words))[:60] + ("  [files are not here]" if is_missing else ""),
    )
