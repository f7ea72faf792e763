"""The options of a request on a command line, the same for ``layert2v`` and ``layert2v-engine``.

Knows how options are spelled and read, not what a command does with them. What numbers a model
allows is for ``spec.validate`` to say.
"""

from __future__ import annotations

import argparse
import re
from types import MappingProxyType
from typing import NoReturn

from layert2v.decompose import COLOR_RANGES, MATRICES
from layert2v.errors import SpecError
from layert2v.labels import LABELS
from layert2v.limits import MAX_FRAME, MAX_SEED
from layert2v.placement import EXAMPLE, Placement, parse_placement
from layert2v.rerender import AUTO
from layert2v.spec import COMPRESSIONS, GenerateSpec

EXIT_USAGE = 2

# The option of each field of a ``GenerateSpec`` that is not called like its field.
GENERATE_OPTIONS = MappingProxyType(
    {
        "prompt": "PROMPT",
        "background_prompt": "--background",
        "foreground_prompts": "--foreground",
        "negative_prompt": "--negative",
        "width": "--size",
        "height": "--size",
        "start_frame": "--start-frame",
        "placements": "--place",
    }
)


class CommandParser(argparse.ArgumentParser):
    """Says one sentence about a wrong option instead of the whole usage; so do its commands."""

    def error(self, message: str) -> NoReturn:
        """End the program with the sentence."""
        self.exit(EXIT_USAGE, f"{self.prog}: {message}. See {self.prog} --help.\n")


def add_generate_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``generate_spec`` reads."""
    defaults = GenerateSpec(prompt="")
    add = parser.add_argument
    add("prompt", metavar="PROMPT", help=_help("prompt"))
    add(
        "--foreground",
        action="append",
        default=[],
        metavar="TEXT",
        help="the prompt of one foreground layer; repeat it for more, from bottom to top",
    )
    add(
        "--place",
        action="append",
        default=[],
        type=region,
        metavar="N:REGION",
        help="where foreground N is to be, a hint: a shape, left, top, width and height in "
        f"shares of the picture, as in '1:{EXAMPLE}'; '* 0.5' after it is weaker; may be repeated",
    )
    add("--background", default="", metavar="TEXT", help=_help("background_prompt"))
    add("--negative", default="", metavar="TEXT", help=_help("negative_prompt"))
    add_nearest_option(parser)
    add("--size", type=frame_size, default=(0, 0), metavar="WxH", help="pixels, such as 96x96")
    add("--frames", type=positive_int, default=0, metavar="N", help="number of frames")
    add("--preset", metavar="NAME", help=f"{_help('preset')}, such as preview")
    add("--fps", type=non_negative_float, default=0.0, metavar="N", help=_help("fps"))
    add("--model", default=defaults.model, metavar="NAME", help="default: %(default)s")
    add(
        "--colorspace",
        default=defaults.colorspace,
        metavar="NAME",
        help="of the layers: a name, an alias or an interop id; default: %(default)s",
    )
    add(
        "--start-frame",
        type=frame_number,
        default=defaults.start_frame,
        metavar="N",
        help=f"{_help('start_frame')}; default: %(default)s",
    )
    add_sampling_options(parser)
    add_compression_option(parser)


def add_compression_option(parser: argparse.ArgumentParser) -> None:
    """Add how EXR files are compressed."""
    parser.add_argument(
        "--compression",
        default=COMPRESSIONS[0],
        metavar="NAME",
        help=f"{', '.join(COMPRESSIONS)}; zips scrubs fast in Nuke, dwaa and dwab lose precision, "
        "for review; default: %(default)s",
    )


def add_reading_options(parser: argparse._ActionsContainer) -> None:
    """Add how clips are read where what they say of themselves is not to be followed."""
    add = parser.add_argument
    add(
        "--source-colorspace",
        default=AUTO,
        metavar="NAME",
        help="of the clips; default: what each file says",
    )
    add_movie_options(parser)
    add(
        "--fps",
        type=non_negative_float,
        default=0.0,
        metavar="N",
        help="frames a second; default: what each file says",
    )


def add_movie_options(parser: argparse._ActionsContainer) -> None:
    """Add how movies are read where their tags are not to be followed."""
    add = parser.add_argument
    add(
        "--matrix",
        default=AUTO,
        choices=(AUTO, *MATRICES),
        help="of movies; default: what each file says",
    )
    add(
        "--range",
        default=AUTO,
        choices=(AUTO, *COLOR_RANGES),
        help="of movies; default: what each file says",
    )
    add(
        "--deinterlace",
        action="store_true",
        help="make whole frames of interlaced movies with FFmpeg's bwdif; default: fields stay",
    )


def add_nearest_option(parser: argparse.ArgumentParser) -> None:
    """Add whether a model may show the subject nearest in meaning to one it does not know."""
    parser.add_argument("--nearest", action="store_true", help=_help("nearest"))


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command that runs a model: seed, steps, guidance."""
    add = parser.add_argument
    add("--seed", type=seed_number, metavar="N", help="the same seed gives the same pixels")
    add("--steps", type=positive_int, default=0, metavar="N", help=_help("steps"))
    add("--guidance", type=non_negative_float, default=-1.0, metavar="X", help=_help("guidance"))


def generate_spec(args: argparse.Namespace) -> GenerateSpec:
    """Return the request that the options describe; what was not given stays the default."""
    width, height = args.size
    return GenerateSpec(
        prompt=args.prompt,
        background_prompt=args.background,
        foreground_prompts=tuple(args.foreground),
        negative_prompt=args.negative,
        width=width,
        height=height,
        frames=args.frames,
        fps=args.fps,
        seed=args.seed,
        steps=args.steps,
        guidance=args.guidance,
        model=args.model,
        colorspace=args.colorspace,
        start_frame=args.start_frame,
        nearest=args.nearest,
        compression=args.compression,
        placements=tuple(args.place),
    )


def region(text: str) -> Placement:
    """Read a region and the number of its foreground, 1 where there is none."""
    try:
        return parse_placement(text)
    except SpecError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def state_number(text: str) -> int:
    """Read the number of a state from 1, written ``v003`` or ``3``."""
    match = re.fullmatch(r"v?0*([1-9][0-9]{0,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"write {text!r} as v003, as history shows it")
    return int(match[1])


def frame_size(text: str) -> tuple[int, int]:
    """Read width and height in pixels, written ``WxH``."""
    match = re.fullmatch(r"([1-9][0-9]{0,5})[xX]([1-9][0-9]{0,5})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"write {text!r} as WIDTHxHEIGHT, such as 96x96")
    return int(match[1]), int(match[2])


def seed_number(text: str) -> int:
    """Read a whole number that a seed can be, from 0."""
    return _whole_number(text, MAX_SEED)


def frame_number(text: str) -> int:
    """Read a whole number that a frame can have, from 0."""
    return _whole_number(text, MAX_FRAME)


def positive_int(text: str) -> int:
    """Read a whole number from 1."""
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def non_negative_int(text: str) -> int:
    """Read a whole number from 0."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 0 on")
    return int(text)


def non_negative_float(text: str) -> float:
    """Read a number from 0 in plain decimals."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]*)?|\.[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 0 on")
    return float(text)


def positive_float(text: str) -> float:
    """Read a number above 0 in plain decimals."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]*)?|\.[0-9]+", text) or float(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number above 0")
    return float(text)


def _help(field: str) -> str:
    """Return the tooltip of a field as a help text, which begins in lower case."""
    tooltip = LABELS[field].tooltip
    return tooltip[:1].lower() + tooltip[1:]


def _whole_number(text: str, largest: int) -> int:
    if not re.fullmatch(r"[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 0 on")
    # As text first: Python refuses to read numbers of thousands of digits.
    if len(text.lstrip("0")) > len(str(largest)) or int(text) > largest:
        raise argparse.ArgumentTypeError(f"{text!r} must be at most {largest}")
    return int(text)
