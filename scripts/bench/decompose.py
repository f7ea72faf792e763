"""Seconds a frame and memory of a decomposition, per stage, against writing the same files.

The footage is made here: a textured ball rolls in front of a wall and throws a shadow, the camera
pans, and there is grain. The baseline reads the footage and writes five EXR sequences of it, as
many as a decomposition of one subject has, with the same writer: what any such tool has to do.
Seconds are by the wall clock with all cores of the machine; the ratio cancels out a slow disk, not
other work on the machine. ``memory`` is the largest resident set of the process.
Example: python scripts/bench/decompose.py --size 1920x1080 --frames 24
"""

from __future__ import annotations

import argparse
import cProfile
import resource
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from layert2v.decompose import DecomposeSpec
from layert2v.stack import Role
from layert2v_engine.engine import Engine
from layert2v_engine.image import exr
from layert2v_engine.progress import Progress
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.writer import StackWriter

FIRST, FPS, SPACE = 1001, 24.0, "lin_rec709_scene"
GRAIN = 0.01  # standard deviation, in linear light


class StageClock:
    """Adds up the time between reports by their stage; remembers when a picture came first."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.first_preview: float | None = None
        self._began = self._last = time.monotonic()
        self._stage = "start"

    def __call__(self, progress: Progress) -> None:
        self.tick()
        self._stage = progress.stage
        if progress.preview is not None and self.first_preview is None:
            self.first_preview = self._last - self._began

    def tick(self) -> None:
        """Give the time since the last report to the stage that it was about."""
        now = time.monotonic()
        self.seconds[self._stage] = self.seconds.get(self._stage, 0.0) + now - self._last
        self._last = now


def main() -> None:
    """Print one row per stage, the ratio, and the memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="1920x1080", help="width x height")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--pan", type=float, default=0.002, help="of the width, each frame")
    parser.add_argument("--profile", type=Path, help="file for cProfile's statistics")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_footage(folder / "footage", width, height, args.frames, args.pan)
        floor = write_only(folder, args.frames)
        profile = cProfile.Profile()
        if args.profile is not None:
            profile.enable()
        clock = decompose(folder)
        if args.profile is not None:
            profile.disable()
            profile.dump_stats(args.profile)
    print_rows(clock, floor, args.frames, f"{width} x {height}")


def decompose(folder: Path) -> StageClock:
    """Return the times of a decomposition, with nothing said about its subject."""
    clock = StageClock()
    Engine().decompose(
        DecomposeSpec(),
        folder / "layers",
        inputs={"footage": folder / "footage"},
        report=clock,
        cancelled=lambda: False,
    )
    clock.tick()
    return clock


def print_rows(clock: StageClock, floor: float, frames: int, size: str) -> None:
    """Print what was measured."""
    total = sum(clock.seconds.values())
    print(f"{size}, {frames} frames, seconds a frame; the ratio is to reading and writing alone")
    for stage, seconds in clock.seconds.items():
        print(f"{stage:12s} {seconds / frames:8.3f}")
    print(f"{'all':12s} {total / frames:8.3f}   {total / frames * 100 / 60:.1f} min / 100 frames")
    print(f"{'baseline':12s} {floor / frames:8.3f}   ratio {total / floor:.1f}")
    if clock.first_preview is not None:
        print(f"first matte seen after {clock.first_preview:.1f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"memory {peak:.2f} GiB")


def write_footage(folder: Path, width: int, height: int, frames: int, pan: float) -> None:
    """Write a ball that rolls before a wall as half EXR frames."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    wall = make_texture(rng, width + round(pan * width * frames) + 2, height, 0.25)
    radius = 0.16 * height
    skin = make_texture(rng, round(4 * radius), round(4 * radius), 0.5) * (1.0, 0.25, 0.15)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    for index in range(frames):
        place = np.array([[1, 0, -pan * width * index], [0, 1, 0]], np.float32)
        picture = cv2.warpAffine(wall, place, (width, height))
        center = (width * (0.25 + 0.5 * index / max(frames - 1, 1)), 0.55 * height)
        shade = np.exp(
            -(((columns - center[0]) / radius) ** 2)
            - (((rows - center[1] - radius) / (0.25 * radius)) ** 2)
        )
        picture *= 1 - 0.6 * shade[..., None]
        turn = cv2.getRotationMatrix2D((2 * radius, 2 * radius), -6.0 * index, 1.0)
        turn[:, 2] += np.array(center) - 2 * radius
        ball = cv2.warpAffine(skin.astype(np.float32), turn, (width, height))
        alpha = np.clip(radius - np.hypot(columns - center[0], rows - center[1]) + 0.5, 0, 1)
        picture += alpha[..., None] * (ball - picture)
        picture += GRAIN * rng.standard_normal(picture.shape, np.float32)
        pixels = torch.ones((height, width, 4), dtype=torch.float16)
        pixels[..., :3] = torch.from_numpy(picture.clip(0)).half()
        tags = exr.Tags(colorspace=SPACE, fps=FPS, frame=FIRST + index)
        exr.write(folder / f"shot.{FIRST + index}.exr", pixels, tags, exr.ExrOptions())


def make_texture(rng: np.random.Generator, width: int, height: int, mean: float) -> np.ndarray:
    """Return a picture ``[height, width, 3]`` with detail of all sizes."""
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(1, 8):
        coarse = rng.random((2 + height // 2**octave, 2 + width // 2**octave, 3), np.float32) - 0.5
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * 0.7 ** (
            7 - octave
        )
    return (mean * np.exp(total)).astype(np.float32)


def write_only(folder: Path, frames: int) -> float:
    """Return the seconds that reading the footage and writing five sequences of it takes."""
    files = sorted((folder / "footage").iterdir())
    height, width = exr.read(files[0]).shape[:2]
    began = time.monotonic()
    with StackWriter(
        folder / "copies", name="copies", width=width, height=height, fps=FPS, start_frame=FIRST,
        frames=frames, colorspace=SPACE, source_colorspace=SPACE,
    ) as writer:  # fmt: skip
        writer.add_layer("bg", Role.background, source="imported")
        writer.add_layer("shadow_01", Role.shadow, caster="fg_01", source="imported")
        writer.add_layer("fg_01", Role.foreground, source="imported")
        for index, path in enumerate(files):
            pixels = exr.read(path)
            writer.write_ref(index, pixels)
            for layer in ("bg", "shadow_01", "fg_01"):
                writer.write_pixels(layer, index, pixels)
        writer.finish(Provenance(action="decompose"))
    return time.monotonic() - began


if __name__ == "__main__":
    main()
