"""What packed frames are called, and their channels."""

from __future__ import annotations

import re

from layert2v.stack import FlattenedSequence, Layer, Stack
from layert2v_engine.errors import StackError
from layert2v_engine.image.exr_header import RESERVED_NAMES, RGBA

_PREFIX = re.compile(r"([A-Za-z][A-Za-z0-9_]*)?")


def packed_pattern(stack: Stack) -> str:
    """Return where packed frames are: ``packed/v001/<stack>_v001.####.exr`` in the stack."""
    version = f"v{stack.flat('comp').version:03d}"
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", stack.name).strip("_") or "stack"
    return f"packed/{version}/{name}_{version}.####.exr"


def packed_sequences(stack: Stack) -> tuple[Layer | FlattenedSequence, ...]:
    """Return what a packed file holds, in order: the comp, then the layers from bottom to top."""
    return (stack.flat("comp"), *stack.layers)


def packed_channels(stack: Stack, prefix: str = "") -> tuple[str, ...]:
    """Return the channels of a packed file, in the order of ``packed_sequences``.

    ``prefix`` begins the names of layers. Raises ``StackError`` for one that hosts change or that
    makes a name of their own.
    """
    names = [f"{prefix}{layer.name}" for layer in stack.layers]
    if not _PREFIX.fullmatch(prefix) or RESERVED_NAMES & {name.lower() for name in names}:
        raise StackError(
            f"{prefix!r} cannot begin the names of layers.",
            "Use a letter, then letters, digits and underscores, such as fox_.",
            reason="LAYER_NAME",
        )
    return (*RGBA, *(f"{name}.{channel}" for name in names for channel in RGBA))
