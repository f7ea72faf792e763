"""Build a bank of the picture world if there is none, and write contact sheets of it as PNG.

python scripts/world_gallery.py BANK_FOLDER OUT_FOLDER
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from layert2v_engine.world.captions import canonical
from layert2v_engine.world.clips import Clip, World, build_bank
from layert2v_engine.world.vocabulary import ABILITIES, PLACES, SUBJECTS, TIMES, Label, is_painted


def _bar(stage: str, done: int, total: int) -> None:
    if done == total or done % 20 == 0:
        sys.stderr.write(f"\r{stage} {done}/{total}   ")


def strip(clip: Clip) -> torch.Tensor:
    """Composite at three times, background, foreground, matte, shadow side by side, [3, H, 7W]."""
    last = len(clip.composite) - 1
    times = [clip.composite[i] for i in (0, last // 2, last)]
    grey = [x[last // 2].expand(3, -1, -1) for x in (clip.matte, clip.shadow)]
    return torch.cat([*times, clip.background[last // 2], clip.foreground[last // 2], *grey], -1)


def save(rows: list[tuple[str, torch.Tensor]], path: Path, zoom: int = 2) -> None:
    """Stack captioned rows [3, H, W] into one PNG."""
    tiles = []
    for caption, row in rows:
        pixels = (row.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        image = Image.fromarray(np.ascontiguousarray(pixels)).resize(
            (row.shape[2] * zoom, row.shape[1] * zoom), Image.Resampling.LANCZOS
        )
        ImageDraw.Draw(image).text(
            (4, 2), caption, fill=(255, 255, 255), stroke_width=1, stroke_fill=(0, 0, 0)
        )
        tiles.append(np.asarray(image))
    Image.fromarray(np.concatenate(tiles, 0)).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bank", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--creatures", type=int, default=24)
    parser.add_argument("--plates", type=int, default=48)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not (options.bank / "world.json").exists():
        start = time.perf_counter()
        build_bank(
            options.bank,
            creatures_per_species=options.creatures,
            plates_per_scene=options.plates,
            report=_bar,
        )
        sys.stderr.write(f"\nbank built in {time.perf_counter() - start:.0f} s\n")
    world = World(options.bank)
    options.out.mkdir(parents=True, exist_ok=True)
    rows, shapes = [], []
    for s in range(len(SUBJECTS)):
        actions = ABILITIES[s]
        for k in range(2):
            label = Label(
                subject=s, place=(s + 3 * k) % len(PLACES), time=(s + 2 * k) % len(TIMES),
                colour=(s + k) % 3 if is_painted(s) else -1, action=actions[k % len(actions)],
            )  # fmt: skip
            clip = world.clip(s * 10 + k, label=label)
            rows.append((canonical(label)[0], strip(clip)))
            shapes.append(
                (SUBJECTS[s].name, torch.cat(list(1 - clip.matte[::2]), -1).expand(3, -1, -1))
            )
    save(rows, options.out / "clips.png")
    save(shapes, options.out / "silhouettes.png")
    start = time.perf_counter()
    for seed in range(100):
        world.clip(seed)
    sys.stderr.write(f"{100 / (time.perf_counter() - start):.0f} clips/s on one thread\n")


if __name__ == "__main__":
    main()
