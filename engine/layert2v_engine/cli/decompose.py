"""``layert2v-engine decompose`` and ``refine``: footage to a layer stack, in this process."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from layert2v.command_options import (
    add_compression_option,
    add_movie_options,
    add_reading_options,
    frame_number,
    positive_float,
    state_number,
)
from layert2v.decompose import (
    FOOTAGE,
    RECIPES,
    Box,
    DecomposeSpec,
    Footage,
    Point,
    RefineSpec,
    SubjectSpec,
    shot_name,
    shots_of_error,
    split_at_cuts,
)
from layert2v.rerender import ALPHAS, AUTO, FITS, Plate
from layert2v.stack import Stack
from layert2v_engine.cli.options import (
    ProgressPrinter,
    add_progress_option,
    add_weights_options,
    options_error,
    weights_options,
)
from layert2v_engine.errors import EngineError, FootageError, InvalidSpec

PLATE = "plate"  # the key of a clean plate
OPTIONS = MappingProxyType(  # those that are not called like their field
    {
        "subjects": "--subject",
        "first": "--frames",
        "last": "--frames",
        "footage.fps": "--fps",
        "footage.start_frame": "--start-frame",
        "footage.colorspace": "--source-colorspace",
        "footage.matrix": "--matrix",
        "footage.color_range": "--range",
        "plate.colorspace": "--plate-colorspace",
    }
)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands."""
    parser = subparsers.add_parser(
        "decompose",
        help="turn footage into background, shadow and foreground layers",
        description="Find the subjects of a shot, make a clean plate, and write layers whose over "
        "is the footage. Hints name a frame and pixels of the footage; they belong to the main "
        "subject.",
        epilog="example: layert2v-engine decompose shot.####.exr --out stack",
    )
    parser.add_argument("footage", type=Path, metavar="FOOTAGE", help="movie, folder or pattern")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    subject = parser.add_argument_group("subjects")
    subject.add_argument(
        "--subject", action="append", default=[], metavar="WORDS", help="nearest first"
    )
    subject.add_argument(
        "--box", action="append", default=[], type=_box, metavar="FRAME:X,Y,W,H", help="around it"
    )
    subject.add_argument(
        "--point", action="append", default=[], type=_point(True), metavar="FRAME:X,Y"
    )
    subject.add_argument(
        "--outside", action="append", default=[], type=_point(False), metavar="FRAME:X,Y"
    )
    subject.add_argument(
        "--matte",
        action="append",
        default=[],
        type=Path,
        metavar="CLIP",
        help="white inside, for all frames or for some; once for each subject",
    )
    subject.add_argument("--scribble", type=Path, metavar="CLIP", help="white inside, black beside")
    parser.add_argument(
        "--recipe",
        default=RECIPES[0],
        metavar="NAME",
        help="which networks take part, see layert2v-engine recipes; default: %(default)s",
    )
    parser.add_argument("--device", default="auto", help="of those networks: auto, cpu, cuda, ...")
    _add_plate_options(parser)
    parser.add_argument("--frames", metavar="A-B", type=_frame_range, default=(None, None))
    parser.add_argument(
        "--handles", type=frame_number, default=0, metavar="N", help="more at both ends"
    )
    cuts = parser.add_mutually_exclusive_group()
    cuts.add_argument(
        "--split-at-cuts",
        action="store_true",
        help="a stack for each shot, in folders shot_01, shot_02, ... of --out",
    )
    cuts.add_argument(
        "--ignore-cuts",
        action="store_true",
        help="it is one shot, whatever looks like a cut: a flash, a fast pan",
    )
    parser.add_argument(
        "--scale", type=positive_float, default=1.0, metavar="X", help="0.5 for a look"
    )
    parser.add_argument("--start-frame", type=frame_number, help="number of the first frame")
    add_reading_options(parser)
    parser.add_argument("--alpha", choices=ALPHAS, default=AUTO, help="of the footage; likewise")
    parser.add_argument("--colorspace", default=AUTO, help="linear, of the layers")
    add_compression_option(parser)
    add_weights_options(parser)
    add_progress_option(parser)
    parser.set_defaults(run=_decompose)
    refine = subparsers.add_parser(
        "refine",
        help="give one foreground of a decomposed stack another matte, or correct its own",
        description="Solve a layer again with your own matte, or with its own corrected around "
        "points, in a new state; others stay.",
        epilog="example: layert2v-engine refine stack --layer fg_01 --outside 1001:320,200",
    )
    refine.add_argument("stack", type=Path, metavar="STACK", help="folder of the stack")
    refine.add_argument("--layer", required=True, metavar="NAME")
    refine.add_argument("--matte", type=Path, metavar="CLIP", help="white inside")
    refine.set_defaults(points=[])
    for option, is_subject, words in (
        ("--point", True, "on the subject, where the layer lacks it; repeatable"),
        ("--outside", False, "beside it, where the layer has too much; repeatable"),
    ):
        read = _point(is_subject)
        refine.add_argument(
            option, dest="points", action="append", type=read, metavar="FRAME:X,Y", help=words
        )
    _add_plate_options(refine)
    add_movie_options(refine)
    refine.add_argument(
        "--at", type=state_number, default=0, metavar="vNNN", help="an earlier state"
    )
    add_compression_option(refine)
    add_weights_options(refine)
    refine.set_defaults(run=_refine)


def _add_plate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plate", type=Path, metavar="CLIP", help="your own clean plate")
    parser.add_argument("--plate-colorspace", default=AUTO, help="default: what its files say")
    parser.add_argument("--fit", choices=FITS, default=FITS[0], help="exact refuses other sizes")


def _decompose(args: argparse.Namespace) -> int:
    from layert2v_engine.devices import pick_device  # heavy, and not needed for a help text
    from layert2v_engine.engine import Engine

    spec, inputs = _spec(args)
    engine = Engine(device=str(pick_device(args.device)), **weights_options(args))

    def make(part: DecomposeSpec, folder: Path) -> int:
        return _run(
            lambda: engine.decompose(
                part,
                folder,
                inputs=inputs,
                report=ProgressPrinter(args.progress),
                cancelled=lambda: False,
            ),
            folder,
        )

    try:
        return make(spec, args.out)
    except FootageError as error:
        shots = shots_of_error(error.reason, error.hint) if args.split_at_cuts else ()
        spec = replace(spec, name=args.footage.name.split(".")[0])
        parts, note = split_at_cuts(spec, shots)
        if not parts:
            raise
    if note:
        print(f"note: {note}", file=sys.stderr)
    for number, part in enumerate(parts, 1):
        make(part, args.out / shot_name(number))
    return 0


def _refine(args: argparse.Namespace) -> int:
    from layert2v_engine.engine import Engine

    spec, inputs = _refine_spec(args)
    engine = Engine(**weights_options(args))
    return _run(
        lambda: engine.refine(
            spec, args.stack, inputs=inputs, report=ProgressPrinter(), cancelled=lambda: False
        ),
        args.stack,
    )


def _run(make: Callable[[], Stack], folder: Path) -> int:
    try:
        stack = make()
    except InvalidSpec as error:
        raise options_error(error, OPTIONS) from error
    finally:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # below the bar
    if stack.history[-1].note:
        print(f"note: {stack.history[-1].note}", file=sys.stderr)
    print(folder)
    return 0


def _spec(args: argparse.Namespace) -> tuple[DecomposeSpec, dict[str, Path]]:
    inputs = {FOOTAGE: args.footage}
    if args.plate is not None:
        inputs[PLATE] = args.plate
    if args.scribble is not None:
        inputs["scribble"] = args.scribble
    for number, matte in enumerate(args.matte, 1):
        inputs[f"matte_{number}"] = matte
    first, last = args.frames
    return DecomposeSpec(
        subjects=_subjects(args),
        footage=Footage(
            colorspace=args.source_colorspace,
            alpha=args.alpha,
            fps=args.fps,
            start_frame=args.start_frame,
            matrix=args.matrix,
            color_range=args.range,
            deinterlace=args.deinterlace,
        ),
        plate=_plate(args),
        first=first,
        last=last,
        handles=args.handles,
        scale=args.scale,
        colorspace=args.colorspace,
        compression=args.compression,
        recipe=args.recipe,
        ignore_cuts=args.ignore_cuts,
    ), inputs


def _refine_spec(args: argparse.Namespace) -> tuple[RefineSpec, dict[str, Path]]:
    inputs = {} if args.matte is None else {"matte": args.matte}
    if args.plate is not None:
        inputs[PLATE] = args.plate
    return RefineSpec(
        layer=args.layer,
        matte="" if args.matte is None else "matte",
        points=tuple(args.points),
        plate=_plate(args),
        at=args.at,
        compression=args.compression,
        matrix=args.matrix,
        color_range=args.range,
        deinterlace=args.deinterlace,
    ), inputs


def _plate(args: argparse.Namespace) -> Plate | None:
    if args.plate is None:
        return None
    return Plate(input=PLATE, colorspace=args.plate_colorspace, fit=args.fit)


def _subjects(args: argparse.Namespace) -> tuple[SubjectSpec, ...]:
    points = (*args.point, *args.outside)
    has_hints = bool(args.box or points or args.scribble is not None)
    count = max(len(args.subject), len(args.matte), int(has_hints))
    if has_hints and count > 1:
        raise EngineError(
            "--box, --point and --scribble do not say which of several subjects they are for.",
            "Show one subject, or give each a --matte.",
            reason="SUBJECT_UNCLEAR",
        )
    return tuple(
        SubjectSpec(
            words=args.subject[number] if number < len(args.subject) else "",
            boxes=tuple(args.box),
            points=points,
            matte=f"matte_{number + 1}" if number < len(args.matte) else "",
            scribble="scribble" if args.scribble is not None else "",
        )
        for number in range(count)
    )


def _frame_range(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not (dash and text.isascii() and first.isdigit() and last.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no range of frames such as 1001-1024")
    return int(first), int(last)


def _numbers(text: str, count: int, example: str) -> tuple[int, list[float]]:
    frame, _, rest = text.partition(":")
    try:
        numbers = [float(each) for each in rest.split(",")]
        if len(numbers) == count:
            return int(frame), numbers
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is not of the form {example}")


def _box(text: str) -> Box:
    frame, (x, y, width, height) = _numbers(text, 4, "1001:120,80,400,300")
    return Box(frame=frame, x=x, y=y, width=width, height=height)


def _point(is_subject: bool) -> Callable[[str], Point]:
    def read(text: str) -> Point:
        frame, (x, y) = _numbers(text, 2, "1001:320,200")
        return Point(frame=frame, x=x, y=y, is_subject=is_subject)

    return read
