"""Draw the contact sheets of the picture world and the page that shows them.

python scripts/world_gallery.py [--docs docs] [--bank FOLDER]

Without a bank, a small one is built in a temporary folder for the scenes (minutes).
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from layert2v_engine.world.backdrops import places
from layert2v_engine.world.clips import Clip, World, build_bank
from layert2v_engine.world.subjects import render
from layert2v_engine.world.text.descriptions import describe
from layert2v_engine.world.text.phrases import with_article
from layert2v_engine.world.text.sprite_words import SPRITES
from layert2v_engine.world.text.vocabulary import (
    ABILITIES,
    ACTIONS,
    CAMERAS,
    COLORS,
    PLACES,
    SPRITE_INDICES,
    SUBJECTS,
    TIMES,
    Selection,
    Word,
    is_painted,
    is_possible,
)

CELL = (168, 120)
GROUND = torch.tensor([0.56, 0.66, 0.52])[:, None, None]
SCENES = Selection(
    subjects=(
        "fox", "cat", "elephant", "dinosaur", "ostrich", "car", "bicycle", "soccer ball", "owl",
        "balloon",
    ),
    foregrounds=(0, 1, 2, 2, 3, 3),
)  # fmt: skip

Cell = tuple[str, Tensor]  # caption and picture [3, h, w], display-referred


def sheet(cells: Iterable[Cell], columns: int, path: Path) -> None:
    """Write captioned pictures as one JPEG, left to right and top to bottom."""
    tiles = [label_picture(*cell) for cell in cells]
    width, height = max(t.width for t in tiles), max(t.height for t in tiles)
    rows = -(-len(tiles) // columns)
    page = Image.new("RGB", (columns * width, rows * height), (40, 40, 40))
    for k, tile in enumerate(tiles):
        page.paste(tile, ((k % columns) * width, (k // columns) * height))
    page.save(path, quality=86)
    sys.stderr.write(f"{path.name} {page.width}x{page.height} {path.stat().st_size // 1000} kB\n")


def label_picture(caption: str, picture: Tensor) -> Image.Image:
    pixels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    tile = Image.new("RGB", (picture.shape[2], picture.shape[1] + 13), (24, 24, 24))
    tile.paste(Image.fromarray(np.ascontiguousarray(pixels)), (0, 13))
    ImageDraw.Draw(tile).text((3, 0), caption, fill=(235, 235, 235))
    return tile


def subject_cell(subject: int, color: int = -1) -> Cell:
    """Return two poses of a subject on plain ground, and its silhouette."""
    variant = render.SubjectVariant(
        subject=subject, color=color, action=ABILITIES[subject][0], sun_side=-1, low_sun=False
    )
    cycle = render.render_cycle(variant, *CELL, np.random.default_rng((7, subject)))
    poses = cycle.frames[[0, len(cycle.frames) // 3]]
    tiles = [center_on_cell(composite_on_ground(pose), cycle) for pose in poses]
    silhouette = (1 - poses[0][3]).expand(3, -1, -1)
    tiles.append(center_on_cell(silhouette, cycle, fill=1.0))
    name = SUBJECTS[subject].name
    return (name if color < 0 else f"{COLORS[color].name} {name}"), torch.cat(tiles, -1)


def composite_on_ground(pose: Tensor) -> Tensor:
    alpha, cast, contact = pose[3], pose[4] * 0.6, pose[5] * 0.5
    under = GROUND * (1 - cast) * (1 - contact)
    return under * (1 - alpha) + pose[:3] * alpha


def center_on_cell(
    picture: Tensor, cycle: render.RenderedCycle, fill: float | None = None
) -> Tensor:
    """Return the picture on a cell, with its origin in the middle near the lower edge."""
    cell = torch.ones(3, CELL[1], CELL[0]) * (GROUND if fill is None else fill)
    left, top = round(CELL[0] / 2 - cycle.column), round(CELL[1] * 0.86 - cycle.row)
    x0, y0 = max(0, left), max(0, top)
    part = picture[:, max(0, -top) : CELL[1] - top, max(0, -left) : CELL[0] - left]
    cell[:, y0 : y0 + part.shape[1], x0 : x0 + part.shape[2]] = part
    return cell


def place_cells() -> Iterable[Cell]:
    """Yield every place at every time it has."""
    for p, place in enumerate(PLACES):
        for t, moment in enumerate(TIMES):
            plate = torch.zeros(3, CELL[1], CELL[0])
            if is_possible(p, t):
                rng = np.random.default_rng((3, p, t))
                pixels = places.paint_plate(p, t, width=CELL[0], height=CELL[1], rng=rng).pixels
                wide = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
                whole = wide[3:6] * wide[6:] + wide[:3] * (1 - wide[6:])
                left = (whole.shape[2] - CELL[0]) // 2
                plate = whole[:, :, left : left + CELL[0]]
            yield f"{place.name}, {moment.name}", plate


def scene_cell(clip: Clip, seed: int) -> Cell:
    """Composite at three times, the background, then color and shadow of every foreground."""
    middle = len(clip.composite) // 2
    tiles = [clip.composite[0], clip.composite[middle], clip.composite[-1], clip.background[middle]]
    for k in range(3):
        if k < len(clip.foregrounds):
            fg = clip.foregrounds[k]
            tiles += [fg.color[middle], fg.shadow[middle].expand(3, -1, -1)]
        else:
            tiles += [torch.full_like(tiles[0], 0.16)] * 2
    text = describe(clip.scene, random.Random(seed))  # noqa: S311  chance, not secrets
    layers = "  |  ".join(("", *text.foregrounds))
    return f"{text.whole}{layers}", torch.cat(tiles, -1)


def page(speeds: Sequence[float], size: tuple[int, int]) -> str:
    """Return the page as Markdown."""
    walkers = [i for i in range(len(SUBJECTS)) if i not in SPRITE_INDICES]
    animals = [
        f"| {SUBJECTS[i].name}{' (painted)' if is_painted(i) else ''} | {synonyms(SUBJECTS[i])} | "
        f"{', '.join(ABILITIES[i])} |"
        for i in walkers
    ]
    sprites = [
        f"| {action.name} | "
        + ", ".join(s.name + ("*" if s.painted else "") for s in SPRITES if s.action == action.name)
        + " |"
        for action in ACTIONS
        if any(s.action == action.name for s in SPRITES)
    ]
    return PAGE.format(
        walkers=len(walkers), sprite_count=len(SPRITES), place_count=len(PLACES),
        time_count=len(TIMES), animals="\n".join(animals), sprites="\n".join(sprites),
        places=rows(PLACES), times=rows(TIMES), colors=", ".join(w.name for w in COLORS),
        cameras=", ".join(CAMERAS), width=size[0], height=size[1],
        speeds=" / ".join(f"{speed:.0f}" for speed in speeds),
    )  # fmt: skip


def synonyms(word: Word) -> str:
    return ", ".join(word.synonyms)


def rows(words: Sequence[Word]) -> str:
    return "\n".join(f"| {with_article(w.name)} | {synonyms(w)} |" for w in words)


PAGE = """# The procedural world

Mini is trained on clips that `layert2v_engine.world` renders: complete layers, exact mattes,
shadows from the light of the scene. This page and its images are written by
`scripts/world_gallery.py`; no clip was selected. Why there is such a world: [decision
0050](decisions/0050-procedural-world.md); how it grew:
[0056](decisions/0056-three-unoccluded-subjects.md),
[0057](decisions/0057-sprites-in-the-repository.md),
[0058](decisions/0058-two-planes-three-cameras.md).

A model learns a `Selection` of it: which subjects, places, times, colors, how many subjects
at once, headings, spots, distances and cameras. `V0` is what Mini v0 learned, `V1` is everything
below.

## Scenes

Composite at three times, background, then color and shadow of every foreground, bottom to top.
Foregrounds are stored unoccluded. Cameras: {cameras}. The caption is the sentence for the whole
and, after each `|`, the one of a foreground.

![Scenes](images/world_scenes.jpg)

One thread composites {speeds} clips a second with 1 / 2 / 3 subjects (9 frames, {width} x
{height}).

## {walkers} modelled subjects

Ray-marched from capsules and boxes, in twelve poses a cycle. All but the car have a gait, and feet
on the ground do not slide. Two poses and the silhouette.

![Modelled subjects](images/world_animals.jpg)

| subject | also called | actions |
|---|---|---|
{animals}

## {sprite_count} sprites

Images of Fluent Emoji (MIT, see THIRD_PARTY.md) that move as a whole. Those with * come in
the colors {colors}.

![Sprites](images/world_sprites.jpg)

| how it moves | which |
|---|---|
{sprites}

## {place_count} places, {time_count} times and weathers

Two planes, the distance and the land; rain and snow fall behind the subjects. There is no
weather on the moon.

![Places](images/world_places.jpg)

| place | also called |
|---|---|
{places}

| time | also called |
|---|---|
{times}
"""


def clips_per_second(world: World) -> list[float]:
    speeds = []
    for count in (1, 2, 3):
        start = time.process_time()
        for seed in range(40):
            world.clip(seed, foregrounds=count)
        speeds.append(40 / (time.process_time() - start))
    return speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    parser.add_argument("--bank", type=Path, help="a bank of the world to draw scenes from")
    args = parser.parse_args()
    torch.set_num_threads(1)
    images = args.docs / "images"
    sheet((subject_cell(i) if not is_painted(i) else subject_cell(i, 0)
           for i in range(SPRITE_INDICES.start)), 3, images / "world_animals.jpg")  # fmt: skip
    sheet(
        (subject_cell(i, k % len(COLORS) if is_painted(i) else -1)
         for k, i in enumerate(SPRITE_INDICES)), 4, images / "world_sprites.jpg")  # fmt: skip
    sheet(place_cells(), len(TIMES), images / "world_places.jpg")
    with tempfile.TemporaryDirectory() as folder:
        bank = args.bank or Path(folder)
        if args.bank is None:
            build_bank(bank, selection=SCENES, width=112, height=80, creatures_per_species=1,
                       plates_per_scene=1)  # fmt: skip
        world = World(bank)
        cells = [scene_cell(world.clip(seed, frames=13), seed) for seed in range(24)]
        sheet(cells, 1, images / "world_scenes.jpg")
        text = page(clips_per_second(world), (world.width, world.height))
    (args.docs / "world.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
