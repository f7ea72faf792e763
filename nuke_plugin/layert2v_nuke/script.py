"""The command line that writes a stack as a ``.nk`` file; needs no Nuke.

    python -m layert2v_nuke.script STACK --out shot.nk

Without Nuke nobody knows the names of its color spaces. Without ``--colorspace`` the Reads are raw,
which is right where the project works in the space of the stack, and their labels say so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from layert2v import stack as manifest
from layert2v.atomic_write import atomic_write
from layert2v.errors import ManifestError
from layert2v_nuke.errors import PluginError
from layert2v_nuke.graph import node
from layert2v_nuke.graph.colorspaces import raw_default
from layert2v_nuke.graph.model import ReadColorspace
from layert2v_nuke.graph.open_nodes import open_comp
from layert2v_nuke.graph.script import root_node, to_script

PROGRAM = "layert2v_nuke.script"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the script; return 0, or 1 after one sentence that says why it cannot be written."""
    parser = argparse.ArgumentParser(PROGRAM, description="A layer stack as a Nuke script.")
    parser.add_argument("stack", type=Path, help="folder of a finished layer stack")
    parser.add_argument("--out", type=Path, required=True, help="the script to write")
    parser.add_argument("--colorspace", default="", help="the Reads' color space by Nuke's name")
    parser.add_argument("--node", action="store_true", help="one LayerT2V node, not open nodes")
    parser.add_argument("--nodes-only", action="store_true", help="no Root: to paste or insert")
    args = parser.parse_args(arguments)
    try:
        folder = args.stack.resolve()
        stack = manifest.read(folder)
        named = ReadColorspace(args.colorspace) if args.colorspace else None
        build = node.node_graph if args.node else open_comp
        graph = build(stack, folder, named or raw_default(stack.colorspace))
        text = to_script(graph, None if args.nodes_only else root_node(stack))
        atomic_write(args.out, text)
    except (PluginError, ManifestError) as error:
        print(f"{PROGRAM}: {error.message} {error.hint}".strip(), file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{PROGRAM}: {args.out}: {error.strerror}.", file=sys.stderr)
        return 1
    print(f"{args.out}: {len(stack.layers)} layers, {stack.frames} frames")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
