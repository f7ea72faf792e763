"""The command families of ``layert2v-engine``; each has ``add_parser(subparsers)``."""

from __future__ import annotations

from types import ModuleType

from layert2v_engine.cli import (
    convert,
    decompose,
    evaluate,
    generate,
    plan,
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
    evaluate,
    convert,
    plan,
    vidlayer,
    weights,
)
