"""The options of the client's commands that are not those of every request."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from layert2v.command_options import add_compression_option, add_sampling_options
from layert2v.rerender import ALPHAS, AUTO, FITS


def add_rerender_options(sub: argparse.ArgumentParser) -> None:
    """Add the options of every command that may generate layers of a stack."""
    add = sub.add_argument
    add(
        "--freeze",
        action="append",
        default=[],
        metavar="L",
        help="a layer that stays although it would follow, such as shadow_01; repeatable",
    )
    add_sampling_options(sub)
    add_compression_option(sub)
    add("--model", default="", metavar="NAME", help="default: the model of the stack")


def add_plate_options(sub: argparse.ArgumentParser, choice: Any) -> None:
    """Add ``--plate`` to the group ``choice``, and what says how it is read to ``sub``."""
    choice.add_argument(
        "--plate",
        type=Path,
        metavar="PATH",
        help="your own images: a folder of frames, or one file",
    )
    add = sub.add_argument
    add("--colorspace", default=AUTO, metavar="NAME", help="of the plate; default: what it says")
    add("--alpha", default=AUTO, choices=ALPHAS, help="of the plate; default: what it says")
    add("--fit", default=FITS[0], choices=FITS, help="exact refuses other sizes; fit scales")
