"""The commands about footage: decompose and refine.

Options that describe a subject belong to the ``--subject`` before them; those before the first one
belong to the first.
"""

from __future__ import annotations

import argparse
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from layert2v.command_options import (
    add_compression_option,
    add_movie_options,
    add_reading_options,
    frame_number,
    positive_float,
    state_number,
)
from layert2v.decompose import (
    RECIPES,
    Box,
    DecomposeSpec,
    Footage,
    Point,
    RefineSpec,
    SubjectSpec,
    shot_name,
    shots_of_error,
    shots_to_text,
    split_at_cuts,
)
from layert2v.limits import MAX_FRAME
from layert2v.rerender import ALPHAS, AUTO, FITS, Plate
from layert2v.stack import Stack
from layert2v_client.cli.common import (
    download_stack,
    open_client,
    output_folder,
    print_summary,
    report_result_path,
    run_to_completion,
    transfer_options,
    unused_folder,
)
from layert2v_client.cli.config import ClientConfig
from layert2v_client.cli.stack_commands import StackChange, run_stack_change
from layert2v_client.cli.terminal import ProgressLine
from layert2v_client.client import SUBMIT_TIMEOUT_S, Client
from layert2v_client.decompose_request import check_decompose, check_refine, footage_name
from layert2v_client.errors import JobFailed
from layert2v_client.jobs import Job
from layert2v_client.request_files import Input, Source
from layert2v_client.transfer import TransferOptions

PLATE = "plate"
_MATTE, _SCRIBBLE = "matte", "scribble"
_NUMBER = r"-?[0-9]{1,6}(?:\.[0-9]{1,6})?"
_HINT = re.compile(rf"([0-9]{{1,6}}):({_NUMBER}(?:,{_NUMBER})*)")

AddCommand = Callable[..., argparse.ArgumentParser]


def add_decompose_command(add_command: AddCommand) -> None:
    """Add the parser of ``decompose`` with ``add_command`` of the command line."""
    sub = add_command(
        decompose,
        "turn footage into a layer stack",
        example="layert2v decompose dog.mov --subject 'the dog' --subject 'the ball' --out STACK",
        may_embed=True,
    )
    sub.add_argument(
        "footage", type=Path, metavar="FOOTAGE", help="a movie, a folder, or shot.####.exr"
    )
    sub.add_argument(
        "--out", type=Path, metavar="DIR", help="a new or empty folder; default: after the footage"
    )
    sub.add_argument(
        "--recipe",
        default=RECIPES[0],
        choices=RECIPES,
        help="which networks take part, of those that the server has; default: %(default)s",
    )
    _add_subject_options(sub)
    _add_range_options(sub)
    _add_color_options(sub)
    add_compression_option(sub)


def add_refine_command(add_command: AddCommand) -> None:
    """Add the parser of ``refine``."""
    sub = add_command(
        refine,
        "give a foreground another matte, or correct its own, and solve it again",
        example="layert2v refine STACK --layer fg_01 --outside 1001:320,200",
        may_embed=True,
    )
    sub.add_argument("stack", metavar="STACK", help="a folder with stack.json, or a job's name")
    sub.add_argument("--layer", required=True, metavar="L", help="a foreground, such as fg_01")
    sub.add_argument("--matte", type=Path, metavar="CLIP", help="white where the foreground is")
    sub.set_defaults(points=[])
    for option, read, words in (
        ("--point", read_point, "on the subject, where the layer lacks it; repeatable"),
        ("--outside", read_outside, "beside it, where the layer has too much; repeatable"),
    ):
        sub.add_argument(
            option, dest="points", action="append", type=read, metavar="FRAME:X,Y", help=words
        )
    _add_plate_options(sub)
    add_movie_options(sub)
    sub.add_argument(
        "--out", type=Path, metavar="DIR", help="a copy with the change; default: in place"
    )
    sub.add_argument(
        "--at", type=state_number, default=0, metavar="v003", help="default: the newest state"
    )
    add_compression_option(sub)


def decompose(
    args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine
) -> None:
    """Turn footage into a stack in a folder; Ctrl-C cancels the job."""
    spec, inputs = decompose_request(args)
    paths = check_decompose(spec, inputs)  # a wrong request fails before any server is started
    spec = replace(spec, name=footage_name(args.footage, paths))
    folder = args.out or unused_folder(spec.name)
    with output_folder(folder), open_client(args, config, line) as client:
        try:
            _decompose_shot(client, spec, inputs, folder, line)
        except JobFailed as error:
            shots = shots_of_error(error.reason, error.hint) if args.split_at_cuts else ()
            parts, note = split_at_cuts(spec, shots)
            if not parts:
                raise
        else:
            print_summary(folder, out, line)
            return
        line.say(note or f"{len(parts)} shots: {shots_to_text(shots)}")
        for number, part in enumerate(parts, 1):
            _decompose_shot(client, part, inputs, folder / shot_name(number), line)
            print_summary(folder / shot_name(number), out, line)


def _decompose_shot(
    client: Client,
    spec: DecomposeSpec,
    inputs: dict[str, Input],
    folder: Path,
    line: ProgressLine,
) -> None:
    """Turn footage without cuts into a stack in ``folder``."""
    options = transfer_options(line, "uploading")
    request = client.prepare_decompose(spec, inputs, uuid.uuid4(), options)

    def submit(timeout_s: float) -> Job:
        return client.create(request, timeout_s=timeout_s)

    job, status = run_to_completion(submit, SUBMIT_TIMEOUT_S, line)
    with report_result_path(status, line):
        download_stack(job, folder, line)


def refine(args: argparse.Namespace, config: ClientConfig, out: TextIO, line: ProgressLine) -> None:
    """Make a new state of a stack, in which one foreground has another matte."""
    run_stack_change(_Refinement(args), args, config, out, line)


class _Refinement(StackChange):
    """A refinement as the options describe it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args

    def check(self, start: Stack) -> bool:
        """Check the request against the state it starts from; it needs no other job."""
        self._spec, self._inputs = refine_request(self._args)
        check_refine(self._spec, start)
        return True

    def prepare(
        self, client: Client, source: Source, options: TransferOptions, *, with_states: bool
    ) -> Any:
        """Upload what is needed and return the request."""
        return client.prepare_refine(
            source, self._spec, self._inputs, uuid.uuid4(), options, with_states=with_states
        )


def decompose_request(args: argparse.Namespace) -> tuple[DecomposeSpec, dict[str, Input]]:
    """Return the request that the options describe, with its inputs by key."""
    inputs: dict[str, Input] = {"footage": args.footage}
    subjects = tuple(_subject(number, said, inputs) for number, said in enumerate(args.subjects, 1))
    plate = None
    if args.plate is not None:
        inputs[PLATE] = args.plate
        plate = Plate(PLATE, args.plate_colorspace, AUTO, args.fit)
    first, last = args.frames
    spec = DecomposeSpec(
        subjects=subjects,
        footage=Footage(
            colorspace=args.source_colorspace,
            alpha=args.alpha,
            fps=args.fps,
            start_frame=args.start_frame,
            matrix=args.matrix,
            color_range=args.range,
            deinterlace=args.deinterlace,
        ),
        plate=plate,
        first=first,
        last=last,
        handles=args.handles,
        scale=args.scale,
        colorspace=args.colorspace,
        compression=args.compression,
        recipe=args.recipe,
        ignore_cuts=args.ignore_cuts,
    )
    return spec, inputs


def refine_request(args: argparse.Namespace) -> tuple[RefineSpec, dict[str, Input]]:
    """Return the request that the options describe, with its inputs by key."""
    inputs: dict[str, Input] = {} if args.matte is None else {_MATTE: args.matte}
    plate = None
    if args.plate is not None:
        inputs[PLATE] = args.plate
        plate = Plate(PLATE, args.plate_colorspace, AUTO, args.fit)
    spec = RefineSpec(
        layer=args.layer,
        matte="" if args.matte is None else _MATTE,
        points=tuple(args.points),
        plate=plate,
        at=args.at,
        compression=args.compression,
        matrix=args.matrix,
        color_range=args.range,
        deinterlace=args.deinterlace,
    )
    return spec, inputs


def _subject(number: int, said: dict[str, Any], inputs: dict[str, Input]) -> SubjectSpec:
    keys = {}
    for kind in (_MATTE, _SCRIBBLE):
        if kind in said:
            keys[kind] = f"{kind}_{number}"
            inputs[keys[kind]] = said[kind]
    return SubjectSpec(
        words=said.get("words", ""),
        boxes=tuple(said.get("boxes", ())),
        points=tuple(said.get("points", ())),
        matte=keys.get(_MATTE, ""),
        scribble=keys.get(_SCRIBBLE, ""),
    )


class _AddToSubject(argparse.Action):
    """Adds what an option says to the subject before it; ``const`` is what it says it about.

    Words begin a subject, and so do a second matte or scribble.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        subjects = list(getattr(namespace, self.dest))
        is_list = self.const in ("boxes", "points")
        if not subjects or (not is_list and self.const in subjects[-1]) or self._begins(subjects):
            subjects.append({})
        if is_list:
            before = subjects[-1].get(self.const, [])
            subjects[-1] = {**subjects[-1], self.const: [*before, values]}
        else:
            subjects[-1] = {**subjects[-1], self.const: values}
        setattr(namespace, self.dest, subjects)

    def _begins(self, subjects: Sequence[dict[str, Any]]) -> bool:
        # What was said before the first words is about the subject that they name.
        return self.const == "words" and any("words" in each for each in subjects)


def _add_subject_options(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group(
        "subjects", "nearest first; without any, the main moving or salient subject"
    )
    sub.set_defaults(subjects=[])

    def add(option: str, about: str, read: Callable[[str], Any], metavar: str, words: str) -> None:
        group.add_argument(
            option,
            dest="subjects",
            action=_AddToSubject,
            const=about,
            type=read,
            metavar=metavar,
            help=words,
            default=argparse.SUPPRESS,
        )

    add("--subject", "words", str, "TEXT", "what it is, such as 'the dog'; repeatable")
    add("--matte", _MATTE, Path, "CLIP", "white where the subject is, on all frames or on some")
    add("--scribble", _SCRIBBLE, Path, "CLIP", "strokes: white on the subject, black beside it")
    add("--box", "boxes", read_box, "FRAME:X,Y,W,H", "around the subject; repeatable")
    add("--point", "points", read_point, "FRAME:X,Y", "on the subject; repeatable")
    add("--outside", "points", read_outside, "FRAME:X,Y", "beside the subject; repeatable")


def _add_range_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--frames",
        type=read_range,
        default=(None, None),
        metavar="A-B",
        help="by the footage's numbers; default: all",
    )
    cuts = sub.add_mutually_exclusive_group()
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
    sub.add_argument(
        "--handles", type=frame_number, default=0, metavar="N", help="frames more at both ends"
    )
    sub.add_argument(
        "--scale", type=positive_float, default=1.0, metavar="X", help="such as 0.5, for a look"
    )
    sub.add_argument(
        "--start-frame",
        type=frame_number,
        metavar="N",
        help="number of the first frame; default: that of its name, 1001 for a movie",
    )


def _add_color_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--colorspace",
        default=AUTO,
        metavar="NAME",
        help="of the layers; default: linear with the footage's primaries",
    )
    add_reading_options(sub)
    sub.add_argument(
        "--alpha", default=AUTO, choices=ALPHAS, help="of the footage; default: what it says"
    )
    _add_plate_options(sub)


def _add_plate_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--plate", type=Path, metavar="CLIP", help="your own clean plate")
    sub.add_argument(
        "--plate-colorspace", default=AUTO, metavar="NAME", help="default: what it says"
    )
    sub.add_argument(
        "--fit", default=FITS[0], choices=FITS, help="exact refuses another size; fit scales"
    )


def read_box(text: str) -> Box:
    """Read a box, written ``FRAME:X,Y,W,H``."""
    frame, (x, y, width, height) = _read_hint(text, 4, "1001:120,80,400,300")
    return Box(frame, x, y, width, height)


def read_point(text: str) -> Point:
    """Read a point on a subject, written ``FRAME:X,Y``."""
    frame, (x, y) = _read_hint(text, 2, "1001:320,200")
    return Point(frame, x, y)


def read_outside(text: str) -> Point:
    """Read a point beside a subject, written ``FRAME:X,Y``."""
    return replace(read_point(text), is_subject=False)


def read_range(text: str) -> tuple[int, int]:
    """Read a range of frames, written ``A-B``."""
    match = re.fullmatch(r"([0-9]{1,6})-([0-9]{1,6})", text)
    if match is None or int(match[1]) > int(match[2]) or int(match[2]) > MAX_FRAME:
        raise argparse.ArgumentTypeError(f"write {text!r} as FIRST-LAST, such as 1001-1048")
    return int(match[1]), int(match[2])


def _read_hint(text: str, count: int, example: str) -> tuple[int, list[float]]:
    match = _HINT.fullmatch(text)
    numbers = [] if match is None else [float(number) for number in match[2].split(",")]
    if match is None or len(numbers) != count:
        raise argparse.ArgumentTypeError(f"write {text!r} like {example}, in pixels")
    return int(match[1]), numbers
