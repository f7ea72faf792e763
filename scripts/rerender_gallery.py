"""Draw the pictures of docs/rerender.md.

They show one fox in four worlds, one forest with four animals, and one subject changed by strength.
Every stack is a real one, made and changed by the engine.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v.stack import Stack, read_state
from layert2v_engine.engine import Engine
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.stack.preview import (
    composite_on_checker,
    display_transform,
    load_frame,
    to_srgb_bytes,
)

PROMPT = "a fox running through a forest on a sunny day"
SEED = 7
WORLDS = (
    ("a desert at sunset", 5),
    ("a snowy forest on an overcast day", 7),
    ("the moon at night", 4),
)
ANIMALS = (("a lion walking", 2), ("a cow walking", 8), ("a horse running", 3))
STRENGTHS = (0.6, 0.75, 0.85, 0.92)
LEG = (0.26, 0.5, 0.54, 1.0)  # left, top, right, bottom of the hind leg, as shares of the picture
LINES, GAP, MARGIN, LINE = 160, 8, 16, 20
GROUND, TEXT, QUIET = "#15171a", "#e6e6e3", "#8d939b"


class Cell(NamedTuple):
    """One picture of a sheet: a layer or flat of a state of the stack, at a frame."""

    state: int
    name: str
    frame: int


class Gallery:
    """One stack and the changes made to it."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine, self.folder = engine, folder
        spec = GenerateSpec(prompt=PROMPT, seed=SEED)
        self.stack = engine.generate(spec, folder, report=_quiet, cancelled=_never)

    def change(self, spec: RerenderSpec, **inputs: Path) -> int:
        """Re-render the first state; return the number of the new one."""
        made = self.engine.rerender(
            replace(spec, at=1), self.folder, inputs=inputs, report=_quiet, cancelled=_never
        )
        print(f"v{made.state:03d} {made.prompt_interpretation}; {made.history[-1].versions}")
        return made.state

    def picture(self, cell: Cell) -> Image.Image:
        """Return a cell, over a checkerboard where it is not opaque."""
        stack: Stack = read_state(self.folder, cell.state)
        sequences = {each.name: each for each in (*stack.layers, *stack.flats)}
        pixels = composite_on_checker(load_frame(self.folder, sequences[cell.name], cell.frame))
        image = to_srgb_bytes(pixels, display_transform(stack, ColorConfig.load()))
        width = round(LINES * stack.width / stack.height)
        return Image.fromarray(image).resize((width, LINES), Image.Resampling.BICUBIC)

    def sheet(self, path: Path, rows: list[list[Cell]], captions: list[str]) -> None:
        """Write a sheet with a caption over each column."""
        pictures = [[self.picture(cell) for cell in row] for row in rows]
        width, height = pictures[0][0].size
        wide = 2 * MARGIN + len(captions) * (width + GAP) - GAP
        high = 2 * MARGIN + 2 * LINE + len(rows) * (height + GAP) - GAP
        sheet = Image.new("RGB", (wide, high), GROUND)
        draw = ImageDraw.Draw(sheet)
        for column, caption in enumerate(captions):
            x = MARGIN + column * (width + GAP)
            first, _, second = caption.partition("\n")
            draw.text((x, MARGIN), first, fill=TEXT, font=ImageFont.load_default(14))
            draw.text((x, MARGIN + LINE - 2), second, fill=QUIET, font=ImageFont.load_default(12))
            for row, line in enumerate(pictures):
                sheet.paste(line[column], (x, MARGIN + 2 * LINE + row * (height + GAP)))
        sheet.save(path, quality=90)
        print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--models", type=Path, help="folder of checkpoints")
    parser.add_argument("--only", choices=SHEETS, action="append", help="default: all of them")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        gallery = Gallery(Engine(args.models), Path(name) / "fox")
        for sheet in args.only or SHEETS:
            SHEETS[sheet](gallery, args.out)


def _worlds(gallery: Gallery, out: Path) -> None:
    states = [1]
    for prompt, seed in WORLDS:
        spec = RerenderSpec(action="regenerate", layers=("bg",), prompts={"bg": prompt}, seed=seed)
        states.append(gallery.change(spec))
    frames = _ends(gallery.stack)
    rows = [[Cell(state, "comp", frame) for state in states] for frame in frames]
    rows.append([Cell(state, "bg", frames[0]) for state in states])
    rows.append([Cell(state, "fg_01", frames[0]) for state in states])
    captions = [f"{gallery.stack.layer('bg').prompt}\nas generated"]
    captions += [f"{prompt}\nbg v{number:03d}" for number, (prompt, _) in enumerate(WORLDS, 2)]
    gallery.sheet(out / "rerender_worlds.jpg", rows, captions)


def _animals(gallery: Gallery, out: Path) -> None:
    states = [1]
    for prompt, seed in ANIMALS:
        prompts = {"fg_01": prompt}
        spec = RerenderSpec(action="regenerate", layers=("fg_01",), prompts=prompts, seed=seed)
        states.append(gallery.change(spec))
    frames = _ends(gallery.stack)
    rows = [[Cell(state, "comp", frame) for state in states] for frame in frames]
    rows += [[Cell(state, name, frames[0]) for state in states] for name in ("fg_01", "shadow_01")]
    captions = [f"{gallery.stack.layer('fg_01').prompt}\nas generated"]
    captions += [f"{prompt}\nfg_01 and its shadow" for prompt, _ in ANIMALS]
    gallery.sheet(out / "rerender_animals.jpg", rows, captions)


def _strengths(gallery: Gallery, out: Path) -> None:
    mask = gallery.folder.with_name("mask")
    _write_mask(mask, gallery.stack)
    rows: list[list[Cell]] = []
    frame = gallery.stack.start_frame
    for masks in ({}, {"fg_01": "mask"}):
        row = [Cell(1, "comp", frame)]
        for strength in STRENGTHS:
            spec = RerenderSpec(
                action="regenerate",
                layers=("fg_01",),
                frozen=("shadow_01",) if masks else (),
                masks=masks,
                strength=strength,
                seed=21,
            )
            row.append(Cell(gallery.change(spec, mask=mask), "comp", frame))
        rows.append(row)
    captions = ["as generated", *(f"strength {strength:g}" for strength in STRENGTHS)]
    gallery.sheet(out / "rerender_strength.jpg", rows, captions)


def _write_mask(folder: Path, stack: Stack) -> None:
    """Write a mask that is white but for the hind leg."""
    mask = Image.new("L", (stack.width, stack.height), 255)
    sides = (stack.width, stack.height, stack.width, stack.height)
    box = [round(share * side) for share, side in zip(LEG, sides, strict=True)]
    ImageDraw.Draw(mask).rectangle(box, fill=0)
    folder.mkdir(exist_ok=True)
    mask.save(folder / "mask.png")


def _ends(stack: Stack) -> tuple[int, int]:
    """Return the first frame and the middle one."""
    return stack.start_frame, stack.start_frame + stack.frames // 2


def _quiet(_progress: object) -> None:
    pass


def _never() -> bool:
    return False


SHEETS = {"worlds": _worlds, "animals": _animals, "strength": _strengths}


if __name__ == "__main__":
    main()
