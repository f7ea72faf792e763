"""Clips whose layers are known, as footage on disk: of the world, rendered ones, real samples."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from layert2v.decompose import Box, Point, SubjectSpec
from layert2v_engine.decompose.splitter.network import linear_values
from layert2v_engine.image import exr
from layert2v_engine.image.exr_header import ExrOptions, Tags
from layert2v_engine.training.splitter.frames import HeldOut, rendered_clips, world_clips
from layert2v_engine.training.stages import WorldConfig, build_world, report
from layert2v_engine.world.dataset import TEST_SEED
from layert2v_engine.world.text.vocabulary import Selection

logger = logging.getLogger(__name__)

FIRST_FRAME, FPS = 1001, 24.0
COLORSPACE = "lin_rec709_scene"
_FULL_VIDEO, _MATTE = "full_video.mp4", "mask.mp4"  # of a sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Footage on disk and what is known of it; planes [T, H, W] in 0..1, None where unknown."""

    name: str
    group: str  # "world", "rendered" or "sample"
    footage: Path
    alpha: Tensor
    shadow: Tensor | None = None
    plate: Tensor | None = None  # [T, 3, H, W] scene-linear

    def boxed_subject(self) -> SubjectSpec:
        """Return what an artist would say first: a box around the subject on the middle frame."""
        masks = (self.alpha > 0.5).numpy()
        seen = np.flatnonzero(masks.any((1, 2)))
        middle = int(seen[len(seen) // 2]) if len(seen) else 0
        rows, columns = (np.flatnonzero(masks[middle].any(axis)) for axis in (1, 0))
        box = Box(
            frame=FIRST_FRAME + middle,
            x=float(columns[0]),
            y=float(rows[0]),
            width=float(columns[-1] - columns[0] + 1),
            height=float(rows[-1] - rows[0] + 1),
        )
        return SubjectSpec(boxes=(box,))

    def next_click(self, alpha: Tensor) -> Point | None:
        """Return where an artist who sees a matte ``[T, H, W]`` would click; None if it is right.

        In the middle of the largest connected error of all frames, as usual for interactive
        segmentation (Sofiiuk et al., arXiv 2102.06583).
        """
        true, found = ((each > 0.5).numpy() for each in (self.alpha, alpha))
        errors = (
            _largest_part(wrong, FIRST_FRAME + frame, is_subject)
            for frame in range(len(true))
            for wrong, is_subject in (
                (true[frame] & ~found[frame], True),
                (~true[frame] & found[frame], False),
            )
        )
        area, click = max(errors, key=lambda each: each[0])
        return click if area > 0 else None


def _largest_part(wrong: np.ndarray, frame: int, is_subject: bool) -> tuple[int, Point]:
    """Return the area of the largest connected part [H, W], and the place deepest inside of it."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(wrong.astype(np.uint8), connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = 1 + int(areas.argmax()) if len(areas) else -1
    part = np.pad(labels == largest, 1).astype(np.uint8)
    depth = cv2.distanceTransform(part, cv2.DIST_L2, 3)[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(areas.max(initial=0)), Point(frame, float(x) + 0.5, float(y) + 0.5, is_subject)


def truth_cases(clips: Iterator[tuple[Tensor, str]], group: str, folder: Path) -> Iterator[Case]:
    """Yield clips [T, 8, H, W] as cases, their footage written as EXR below ``folder``."""
    for number, (planes, what) in enumerate(clips):
        name = f"{group}_{number:02d}_{what.replace(' ', '_')}"
        source = linear_values(planes[:, :3].float())
        yield Case(
            name=name,
            group=group,
            footage=write_footage(folder / name, source),
            alpha=planes[:, 6].float(),
            shadow=planes[:, 7].float(),
            plate=linear_values(planes[:, 3:6].float()),
        )


def write_footage(folder: Path, source: Tensor) -> Path:
    """Write scene-linear frames [T, 3, H, W] as half EXR files; return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(source):
        pixels = torch.cat([picture, torch.ones_like(picture[:1])]).movedim(0, -1).half()
        frame = FIRST_FRAME + index
        tags = Tags(colorspace=COLORSPACE, fps=FPS, frame=frame)
        exr.write(folder / f"shot.{frame}.exr", pixels.contiguous(), tags, ExrOptions())
    return folder


def world_cases(world: Path, folder: Path, count: int, frames: int) -> Iterator[Case]:
    """Yield clips of places and subjects that no splitter was trained on."""
    clips = world_clips(
        world, HeldOut(), first_seed=TEST_SEED, count=count, frames=frames, is_test=True
    )
    return truth_cases(clips, "world", folder)


def rendered_cases(rendered: Path, folder: Path) -> Iterator[Case]:
    """Yield the clips that scripts/rendered_clips made with --test."""
    return truth_cases(rendered_clips(rendered), "rendered", folder)


def sample_cases(samples: Path) -> Iterator[Case]:
    """Yield real clips: folders with the footage and the authors' matte as movies."""
    for folder in sorted(samples.iterdir()):
        if not (folder / _MATTE).is_file():
            continue
        frames = list(_movie_frames(folder / _MATTE))
        matte = torch.from_numpy(np.stack(frames)).float().mean(-1) / 255
        yield Case(name=folder.name, group="sample", footage=folder / _FULL_VIDEO, alpha=matte)


def _movie_frames(path: Path) -> Iterator[np.ndarray]:
    movie = cv2.VideoCapture(str(path))
    try:
        while True:
            is_read, frame = movie.read()
            if not is_read:
                return
            yield frame
    finally:
        movie.release()


def find_world(run: Path | None, out: Path) -> Path:
    """Return a run's world, or build a small one of what is held out, once, in minutes."""
    if run is not None:
        return run / "world"
    held_out = HeldOut()
    selection = Selection(places=held_out.places, subjects=held_out.subjects, colors=("red",))
    config = WorldConfig(
        width=320, height=192, frames=9, creatures_per_species=1, plates_per_scene=1, processes=1,
        selection=selection,
    )  # fmt: skip
    logger.info("evaluate=decompose building a world of held-out places and subjects")
    build_world(out, config)
    report("world", 1, 1)
    return out / "world"
