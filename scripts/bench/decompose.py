"""Seconds a frame and memory of a decomposition, per stage, against writing the same files.

A textured ball rolls in front of a wall and throws a shadow, the camera pans, and there is grain.
The baseline reads that footage and writes five EXR sequences of it, as many as a decomposition of
one subject has, with the same writer: what any such tool has to do.

``cpu`` are processor seconds of all threads, which other work on the machine hardly changes:
divided by the free cores they are the least that a frame takes. ``wall`` is what it took here. The
ratio is of processor seconds. ``memory`` is the largest resident set of the process; with
``--matte`` nothing is looked for, which makes long clips cheap.
Example: python scripts/bench/decompose.py --size 1920x1080 --frames 24
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from layert2v.decompose import DecomposeSpec, SubjectSpec
from layert2v.stack import Role
from layert2v_engine.engine import Engine
from layert2v_engine.image import exr
from layert2v_engine.image.exr_header import ExrOptions, Tags
from layert2v_engine.progress import Progress
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.writer import StackWriter

FIRST, FPS, SPACE = 1001, 24.0, "lin_rec709_scene"
GRAIN = 0.01  # standard deviation, in linear light


class Times(NamedTuple):
    """Seconds: of processors, and by the clock on the wall."""

    cpu: float = 0.0
    wall: float = 0.0

    @classmethod
    def now(cls) -> Times:
        """Return the times of this process so far."""
        return cls(time.process_time(), time.monotonic())

    def since(self, before: Times) -> Times:
        """Return the times from another one on."""
        return Times(self.cpu - before.cpu, self.wall - before.wall)

    def plus(self, other: Times) -> Times:
        """Return the sum of two."""
        return Times(self.cpu + other.cpu, self.wall + other.wall)


class StageClock:
    """Adds up the time between reports by their stage; remembers when a picture came first."""

    def __init__(self) -> None:
        self.stages: dict[str, Times] = {}
        self.first_preview: Times | None = None
        self._began = self._last = Times.now()
        self._stage = "start"

    def __call__(self, progress: Progress) -> None:
        self.tick()
        self._stage = progress.stage
        if progress.preview is not None and self.first_preview is None:
            self.first_preview = self._last.since(self._began)

    def tick(self) -> None:
        """Give the time since the last report to the stage that it was about."""
        now = Times.now()
        before = self.stages.get(self._stage, Times())
        self.stages[self._stage] = before.plus(now.since(self._last))
        self._last = now


def main() -> None:
    """Print one row per stage, the ratio, and the memory."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="1920x1080", help="width x height")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--pan", type=float, default=0.002, help="of the width, each frame")
    parser.add_argument("--matte", action="store_true", help="give the ball's matte")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_footage(folder, width, height, args.frames, args.pan)
        floor = write_only(folder, args.frames)
        clock = decompose(folder, has_matte=args.matte)
    print_rows(clock, floor, args.frames, f"{width} x {height}")


def decompose(folder: Path, *, has_matte: bool) -> StageClock:
    """Return the times of a decomposition of what ``write_footage`` wrote."""
    subjects = (SubjectSpec(matte="matte"),) if has_matte else ()
    clock = StageClock()
    Engine().decompose(
        DecomposeSpec(subjects),
        folder / "layers",
        inputs={"footage": folder / "footage", "matte": folder / "matte"},
        report=clock,
        cancelled=lambda: False,
    )
    clock.tick()
    return clock


def print_rows(clock: StageClock, floor: Times, frames: int, size: str) -> None:
    """Print what was measured."""
    total = Times()
    print(f"{size}, {frames} frames, seconds a frame")
    print(f"{'':12s} {'cpu':>8s} {'wall':>8s}")
    for stage, times in clock.stages.items():
        total = total.plus(times)
        print(f"{stage:12s} {times.cpu / frames:8.3f} {times.wall / frames:8.3f}")
    print(f"{'all':12s} {total.cpu / frames:8.3f} {total.wall / frames:8.3f}")
    print(f"{'baseline':12s} {floor.cpu / frames:8.3f} {floor.wall / frames:8.3f}")
    print(f"ratio {total.cpu / floor.cpu:.2f}")
    minutes = total.cpu / frames / 2 * 100 / 60
    print(f"minutes for 100 frames on two free cores: {minutes:.1f} at least")
    if clock.first_preview is not None:
        first = clock.first_preview
        print(f"first matte seen after {first.cpu:.1f} s of cpu, {first.wall:.1f} s by the wall")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"memory {peak:.2f} GiB")


def write_footage(folder: Path, width: int, height: int, frames: int, pan: float) -> None:
    """Write a ball that rolls before a wall, and its matte, as half EXR frames."""
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
        write_frame(folder / "footage", index, picture.clip(0))
        write_frame(folder / "matte", index, np.repeat(alpha[..., None], 3, -1))


def write_frame(folder: Path, index: int, picture: np.ndarray) -> None:
    """Write ``[H, W, 3]`` as an opaque half EXR frame."""
    folder.mkdir(exist_ok=True)
    pixels = torch.ones((*picture.shape[:2], 4), dtype=torch.float16)
    pixels[..., :3] = torch.from_numpy(picture).half()
    tags = Tags(colorspace=SPACE, fps=FPS, frame=FIRST + index)
    exr.write(folder / f"shot.{FIRST + index}.exr", pixels, tags, ExrOptions())


def make_texture(rng: np.random.Generator, width: int, height: int, mean: float) -> np.ndarray:
    """Return a picture ``[height, width, 3]`` with detail of all sizes."""
    total = np.zeros((height, width, 3), np.float32)
    for octave in range(1, 8):
        coarse = rng.random((2 + height // 2**octave, 2 + width // 2**octave, 3), np.float32) - 0.5
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * 0.7 ** (
            7 - octave
        )
    return (mean * np.exp(total)).astype(np.float32)


def write_only(folder: Path, frames: int) -> Times:
    """Return the times that reading the footage and writing five sequences of it takes."""
    files = sorted((folder / "footage").iterdir())
    height, width = exr.read(files[0]).shape[:2]
    began = Times.now()
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
    return Times.now().since(began)


if __name__ == "__main__":
    main()
