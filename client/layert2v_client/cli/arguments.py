"""The options of the command line: what a request may say, and one sentence for what it may not."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, NoReturn

from layert2v.rerender import ALPHAS, FITS
from layert2v.spec import MAX_FRAME, MAX_SEED, GenerateSpec

EXIT_INPUT = 2


class Parser(argparse.ArgumentParser):
    """Says one sentence about a wrong option instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_INPUT, f"{self.prog}: {message}. See {self.prog} --help.\n")


def add_generate_options(sub: argparse.ArgumentParser) -> None:
    """The options that make a request."""
    plain = GenerateSpec(prompt="")
    add = sub.add_argument
    add("prompt", metavar="PROMPT", help="one sentence about the whole picture")
    add("--out", type=Path, metavar="DIR", help="a new or empty folder; default: after the prompt")
    add(
        "--foreground",
        action="append",
        default=[],
        metavar="TEXT",
        help="the prompt of one foreground layer; repeat it for more, from bottom to top",
    )
    add("--background", default="", metavar="TEXT", help="the prompt of the background layer")
    add("--negative", default="", metavar="TEXT", help="what should not be seen")
    add("--size", type=frame_size, default=(0, 0), metavar="WxH", help="pixels, such as 96x96")
    add("--frames", type=positive_int, default=0, metavar="N", help="number of frames")
    add("--fps", type=non_negative_float, default=0.0, metavar="N", help="frames a second")
    add("--seed", type=seed_number, metavar="N", help="the same seed gives the same pictures")
    add("--steps", type=positive_int, default=0, metavar="N", help="denoising steps")
    add(
        "--guidance",
        type=non_negative_float,
        default=-1.0,
        metavar="X",
        help="classifier-free scale",
    )
    add("--model", default=plain.model, metavar="NAME", help="default: %(default)s")
    add(
        "--colorspace",
        default=plain.colorspace,
        metavar="NAME",
        help="what the EXR files are written in; default: %(default)s",
    )
    add(
        "--start-frame",
        type=frame_number,
        default=plain.start_frame,
        metavar="N",
        help="number of the first frame; default: %(default)s",
    )


def add_rerender_options(sub: argparse.ArgumentParser) -> None:
    """The options of everything that draws."""
    add = sub.add_argument
    add(
        "--freeze",
        action="append",
        default=[],
        metavar="L",
        help="a layer that stays although it would follow, such as shadow_01; repeatable",
    )
    add("--seed", type=seed_number, metavar="N", help="the same seed gives the same pictures")
    add("--steps", type=positive_int, default=0, metavar="N", help="denoising steps")
    add(
        "--guidance",
        type=non_negative_float,
        default=-1.0,
        metavar="X",
        help="classifier-free scale",
    )
    add("--model", default="", metavar="NAME", help="default: the model of the stack")


def add_plate_options(sub: argparse.ArgumentParser, choice: Any) -> None:
    """``--plate`` into the group ``choice``, and what says how it is read into ``sub``."""
    choice.add_argument(
        "--plate", type=Path, metavar="PATH", help="own pictures: a folder of frames, or one file"
    )
    add = sub.add_argument
    add("--colorspace", default="", metavar="NAME", help="of the plate; default: EXR as the stack")
    add("--alpha", default="", choices=ALPHAS, help="of the plate; default: PNG straight")
    add("--fit", default=FITS[0], choices=FITS, help="exact refuses other sizes; fit scales")


def state_number(text: str) -> int:
    """``v003`` or ``3``."""
    found = re.fullmatch(r"v?0*([1-9]\d{0,5})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"write {text!r} as v003, as history shows it")
    return int(found[1])


def frame_size(text: str) -> tuple[int, int]:
    """``WxH`` in pixels."""
    found = re.fullmatch(r"([1-9]\d{0,5})[xX]([1-9]\d{0,5})", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"write {text!r} as WIDTHxHEIGHT, such as 96x96")
    return int(found[1]), int(found[2])


def seed_number(text: str) -> int:
    """A whole number that a seed can be."""
    return _whole(text, MAX_SEED)


def frame_number(text: str) -> int:
    """A whole number that a frame can have."""
    return _whole(text, MAX_FRAME)


def positive_int(text: str) -> int:
    """A whole number from 1."""
    if not re.fullmatch(r"0*[1-9]\d{0,8}", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)


def non_negative_float(text: str) -> float:
    """A number from 0."""
    if not re.fullmatch(r"\d{1,9}(\.\d*)?|\.\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be a number from 0 on")
    return float(text)


def generate_spec(args: argparse.Namespace) -> GenerateSpec:
    """The request in the options; what was not given stays the default."""
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
    )


def _whole(text: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]+", text):
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 0 on")
    # As text first: Python refuses to read numbers of thousands of digits.
    if len(text.lstrip("0")) > len(str(most)) or int(text) > most:
        raise argparse.ArgumentTypeError(f"{text!r} must be at most {most}")
    return int(text)
