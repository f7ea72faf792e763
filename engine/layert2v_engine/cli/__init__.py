"""The command families of ``layert2v-engine``; each has ``add_parser(subparsers)``."""

from __future__ import annotations

from types import ModuleType

from layert2v_engine.cli import (
    convert,
    decompose,
    encode_data,
    evaluate,
    generate,
    plan,
    recipes,
    rerender,
    stack,
    train,
    vidlayer,
    weights,
)

COMMAND_FAMILIES: tuple[ModuleType, ...] = (
    generate,
    rerender,
    decompose,
    stack,
    train,
    encode_data,
    evaluate,
    convert,
    plan,
    vidlayer,
    recipes,
    weights,
)
