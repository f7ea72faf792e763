"""The command families of `layert2v-engine`; each has `add_parser(subparsers)`."""

from __future__ import annotations

from types import ModuleType

from layert2v_engine.commands import evaluation, generate, learning, stack

COMMAND_FAMILIES: tuple[ModuleType, ...] = (generate, stack, learning, evaluation)
