"""``layert2v-engine generate`` and ``models``: the engine without a server."""

from __future__ import annotations

import argparse
import secrets
import sys
from dataclasses import replace
from pathlib import Path

from layert2v.command_options import GENERATE_OPTIONS, add_generate_options, generate_spec
from layert2v.errors import SpecError
from layert2v.presets import apply_preset, find_preset
from layert2v.spec import GenerateSpec
from layert2v_engine.cli.options import (
    ProgressPrinter,
    add_memory_options,
    add_model_run_options,
    add_models_option,
    add_progress_option,
    add_speed_options,
    add_weights_options,
    memory_options,
    options_error,
    speed_options,
    weights_options,
)
from layert2v_engine.errors import BadConfig, EngineError, InvalidSpec


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands."""
    generate = subparsers.add_parser(
        "generate",
        help="generate a layer stack in this process",
        epilog='example: layert2v-engine generate "a fox running through a snowy forest" --out fox',
    )
    add_generate_options(generate)
    generate.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    generate.add_argument(
        "--presets", type=Path, metavar="FILE", help="a presets.toml in place of that of the models"
    )
    add_model_run_options(generate)
    add_progress_option(generate)
    add_weights_options(generate)
    add_memory_options(generate)
    add_speed_options(generate)
    generate.set_defaults(run=_generate)
    models = subparsers.add_parser("models", help="list the models and their limits")
    add_models_option(models)
    models.set_defaults(run=_models)


def _generate(args: argparse.Namespace) -> int:
    from layert2v_engine.devices import pick_device  # heavy, and not needed for a help text
    from layert2v_engine.engine import Engine

    spec = generate_spec(args)
    if args.preset:
        spec = _with_preset(spec, args)
    device, memory = str(pick_device(args.device)), memory_options(args)
    number = 0
    if args.parallel:
        device, number = _join_group(args.parallel, device)
        spec = _with_shared_seed(spec)
    engine = Engine(
        args.models, device, memory=memory, speed=speed_options(args), **weights_options(args)
    )
    if number:
        engine.assist(spec)
        return 0
    try:
        stack = engine.generate(
            spec, args.out, report=ProgressPrinter(args.progress), cancelled=lambda: False
        )
    except InvalidSpec as error:
        raise options_error(error, GENERATE_OPTIONS) from error
    finally:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # below the bar
    print(f"understood as: {stack.prompt_interpretation}", file=sys.stderr)
    for warning in stack.warnings:
        print(f"note: {warning}", file=sys.stderr)
    print(args.out)
    return 0


def _with_preset(spec: GenerateSpec, args: argparse.Namespace) -> GenerateSpec:
    """Return the request with what the preset says where the request says nothing itself."""
    from layert2v_engine.presets import find_presets, load_presets, presets_of

    presets = load_presets(args.presets) if args.presets else find_presets(args.models)
    try:
        preset = find_preset(args.preset, spec.model, presets_of(spec.model, presets))
    except SpecError as error:
        raise BadConfig(error.message, error.hint) from error
    return apply_preset(spec, preset)


def _join_group(kind: str, device: str) -> tuple[str, int]:
    """Return the device and the number of this process among those that torchrun started."""
    from layert2v_engine.training.data_parallel import join_launched_group, launched_device, rank

    local = join_launched_group()
    if local is None:
        raise EngineError(
            f"--parallel {kind} shares a run among processes, and there is one.",
            "Begin the command with: torchrun --nproc-per-node 2 --no-python -- layert2v-engine",
        )
    return (device if device == "cpu" else launched_device(local)), rank()


def _with_shared_seed(spec: GenerateSpec) -> GenerateSpec:
    """Return the request with a seed, which is the same in all processes."""
    from layert2v_engine.generation import MAX_NEW_SEED
    from layert2v_engine.model.parallel import value_of_first

    seed = secrets.randbelow(MAX_NEW_SEED) if spec.seed is None else spec.seed
    return replace(spec, seed=value_of_first(seed))


def _models(args: argparse.Namespace) -> int:
    from layert2v_engine.engine import Engine

    for model in Engine(args.models).models():
        size = f"{model.default_width}x{model.default_height}, {model.default_frames} frames"
        print(f"{model.name}: {model.title}; {size}; up to {model.max_foregrounds} foreground(s)")
        for kind, words in model.vocabulary.items():
            print(f"  {kind}: {', '.join(words)}")
    return 0
