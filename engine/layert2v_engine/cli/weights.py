"""``layert2v-engine weights``: the licence ledger, and which networks are here."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import TYPE_CHECKING, Any

from layert2v_engine.cli.options import add_weights_options

if TYPE_CHECKING:
    from layert2v_engine.weights.folder import NetworkState, WeightsFolder

GIB = 1 << 30
_INDENT = "    "


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "weights",
        help="list networks: licence, commercial use, whether they are here",
        description="Every network that the engine can run. What is missing is described in "
        "words; nothing is downloaded. The exit code is 1 where a named network cannot be used.",
        epilog="example: layert2v-engine weights svor --hash",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--hash", action="store_true", help="compute the SHA-256 of what is here")
    parser.add_argument("--json", action="store_true", help="the same for programs")
    add_weights_options(parser)
    parser.set_defaults(run=_weights)


def _weights(args: argparse.Namespace) -> int:
    from layert2v_engine.weights.folder import WeightsFolder  # not for a help text

    folder = WeightsFolder(args.weights)
    states = [folder.state(name) for name in args.names] or [*folder.states()]
    if args.commercial_only:
        states = [state for state in states if state.network.commercial == "yes"]
    rows = [_row(folder, state, with_hash=args.hash) for state in states]
    if args.json:
        print(json.dumps({"folder": str(folder.root), "networks": rows}, indent=1))
    else:
        print(f"networks of others: {folder.root}")
        for row in rows:
            _print_row(row)
    return int(bool(args.names) and not all(state.is_usable for state in states))


def _row(folder: WeightsFolder, state: NetworkState, *, with_hash: bool) -> dict[str, Any]:
    network = state.network
    digest = folder.sha256(state) if with_hash and state.is_usable else network.sha256
    return {
        "name": network.name,
        "title": network.title,
        "task": network.task,
        "owner": network.owner,
        "licence": network.licence,
        "commercial": network.commercial,
        "terms": network.terms,
        "origin": network.origin,
        "folder": str(state.folder or ""),
        "size_bytes": state.size_bytes,
        "problem": state.problem,
        "sha256": digest,
    }


def _print_row(row: dict[str, Any]) -> None:
    if row["problem"]:
        place = "not here" if not row["folder"] else "not usable"
    else:
        place = f"here, {row['size_bytes'] / GIB:.2f} GiB"
    print(f"\n{row['name']:<18}{row['licence']:<14}commercial: {row['commercial']:<6}{place}")
    lines = [f"{row['title']} by {row['owner']}: {row['task']}.", row["terms"]]
    if row["problem"]:
        lines += [row["problem"], f"Where: {row['origin']}."]
    if row["sha256"]:
        lines.append(f"SHA-256 {row['sha256']}")
    for line in lines:
        print(textwrap.fill(line, 100, initial_indent=_INDENT, subsequent_indent=_INDENT))
