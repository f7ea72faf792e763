"""``layert2v-engine recipes``: ways that end in a stack, and what each needs before it starts."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import TYPE_CHECKING, Any

from layert2v_engine.cli.options import add_weights_options

if TYPE_CHECKING:
    from layert2v_engine.recipes.preflight import RecipeState

GIB = 1 << 30
# Operations a second in bfloat16 that the minutes are given for: about half of what an RTX 4090 and
# an H100 have on paper. Nothing of this was measured.
_RATES = (80e12, 400e12)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "recipes",
        help="list ways that end in a stack, with what they need",
        description="Weights by folder, licences, and memory and time as computed from shapes. "
        "Nothing is downloaded. The exit code is 1 where a named recipe cannot run here.",
        epilog="example: layert2v-engine recipes decompose+",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--json", action="store_true", help="the same for programs")
    add_weights_options(parser)
    parser.set_defaults(run=_recipes)


def _recipes(args: argparse.Namespace) -> int:
    from layert2v_engine.recipes.catalog import RECIPES, find_recipe  # torch: not for a help text
    from layert2v_engine.recipes.preflight import inspect_recipe
    from layert2v_engine.weights.folder import WeightsFolder

    weights = WeightsFolder(args.weights)
    chosen = [find_recipe(name) for name in args.names] or [*RECIPES.values()]
    states = [inspect_recipe(recipe, weights, with_words=True) for recipe in chosen]
    rows = [_row(state, commercial_only=args.commercial_only) for state in states]
    if args.json:
        print(json.dumps({"folder": str(weights.root), "recipes": rows}, indent=1))
    else:
        for row in rows:
            _print_row(row)
    return int(bool(args.names) and any(row["refused"] for row in rows))


def _row(state: RecipeState, *, commercial_only: bool) -> dict[str, Any]:
    recipe, cost = state.recipe, state.cost
    networks = [
        {
            "name": each.network.name,
            "licence": each.network.licence,
            "commercial": each.network.commercial,
            "problem": each.problem,
            "origin": each.network.origin,
            "only_for_words": each.network.name in recipe.for_words,
        }
        for each in state.networks
    ]
    refused = [
        each["problem"] for each in networks if each["problem"] and not each["only_for_words"]
    ]
    if commercial_only:
        refused += [
            f"{each['name']} may not simply be used commercially."
            for each in networks
            if each["commercial"] != "yes"
        ]
    return {
        "name": recipe.name,
        "title": recipe.title,
        "starts_from": recipe.starts_from,
        "networks": networks,
        "refused": refused,
        "memory_bytes": cost.memory if cost is not None else {},
        "peak_bytes": cost.peak if cost is not None else 0,
        "window": [*recipe.size, recipe.frames] if cost is not None else [],
        "flops": cost.flops if cost is not None else 0.0,
    }


def _print_row(row: dict[str, Any]) -> None:
    ready = "ready" if not row["refused"] else "not ready"
    print(f"{row['name']}: {row['title']}; from {row['starts_from']}; {ready}")
    for network in row["networks"]:
        mark = "missing" if network["problem"] else "here"
        line = f"{network['name']:<20}{mark:<9}{network['licence']}, commercial: "
        needed = ", only for subjects in words" if network["only_for_words"] else ""
        print(f"    {line}{network['commercial']}{needed}")
        if network["problem"]:
            words = f"{network['problem']} Where: {network['origin']}."
            print(textwrap.fill(words, 100, initial_indent=" " * 8, subsequent_indent=" " * 8))
    if row["window"]:
        width, height, frames = row["window"]
        minutes = " or ".join(
            f"{row['flops'] / rate / 60:.1f} min at {rate / 1e12:.0f} TFLOP/s" for rate in _RATES
        )
        print(f"    computed, not measured: {width} x {height} x {frames} frames at once take")
        print(f"    {row['peak_bytes'] / GIB:.1f} GiB of the device and {minutes}")
    print()
