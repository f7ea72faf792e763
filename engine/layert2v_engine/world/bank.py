"""The bank: rendered subjects and plates on disk, from which clips are composited.

One cycle of every subject is rendered for each side and height of the light, heading right; the
compositor mirrors, scales and re-times it. Tensors are uint8 in safetensors files beside one JSON
index. Knows how to render and store, not how layers add up.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor

from layert2v_engine.tensor_file import count_tensors
from layert2v_engine.world.backdrops import places
from layert2v_engine.world.backdrops.light import LIGHTS
from layert2v_engine.world.subjects import render
from layert2v_engine.world.text.vocabulary import (
    ABILITIES,
    SPRITE_INDICES,
    V0,
    Selection,
    is_painted,
    is_possible,
)

FORMAT = 2
INDEX = "world.json"
_SUBJECT_FILE, _PLATE_FILE = "figures.safetensors", "plates.safetensors"
_STORED_KEYS = {"color": "colour"}  # of a subject in the index

Bytes = NDArray[np.uint8]
Generator = np.random.Generator
Report = Callable[[str, int, int], None]
J = TypeVar("J")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class SubjectEntry:
    """Index entry of one rendered gait cycle that heads right; lengths in pixels.

    The origin is the spot on the ground under the body; left and right say how far the body reaches
    from it over the whole cycle.
    """

    subject: int
    color: int
    action: str
    sun_side: int
    low_sun: bool
    poses: int
    advance: float  # ground covered in one cycle
    column: float
    row: float
    left: float
    right: float


@dataclass(frozen=True, kw_only=True)
class PlateEntry:
    """Index entry of one plate."""

    place: int
    time: int
    sun_side: int


@dataclass(frozen=True, kw_only=True)
class _SubjectJob:
    variant: render.SubjectVariant
    seed: tuple[int, ...]
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class _PlateJob:
    place: int
    time: int
    seed: tuple[int, ...]
    width: int
    height: int


def build_bank(
    folder: Path,
    *,
    selection: Selection = V0,
    seed: int = 0,
    width: int = 112,
    height: int = 80,
    creatures_per_species: int = 24,
    plates_per_scene: int = 48,
    processes: int = 2,
    report: Report = lambda stage, done, total: None,
) -> None:
    """Render what a selection needs into ``folder`` (created), for frames of width x height pixels.

    There is at least one cycle for every action, light and color of a subject, however few
    ``creatures_per_species`` asks for; of a sprite, which has no individuals, just one. ``report``
    hears (stage, done, total).
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = {"width": width, "height": height}
    subject_jobs = list(_subject_jobs(selection, seed, creatures_per_species, width, height))
    plate_jobs = [
        _PlateJob(place=p, time=t, seed=(seed, 1, p, t, k), **size)
        for p in selection.place_indices
        for t in selection.time_indices
        if is_possible(p, t)
        for k in range(plates_per_scene)
    ]
    subjects = list(_map_jobs(_render_subject, subject_jobs, processes, "subjects", report))
    plates = list(_map_jobs(_render_plate, plate_jobs, processes, "plates", report))
    save_file({_key(i): pixels for i, (_, pixels) in enumerate(subjects)}, folder / _SUBJECT_FILE)
    save_file({_key(i): pixels for i, (_, pixels) in enumerate(plates)}, folder / _PLATE_FILE)
    index = {
        "format": FORMAT,
        "seed": seed,
        **size,
        "selection": selection.to_dict(),
        "figures": [_to_stored(asdict(entry)) for entry, _ in subjects],
        "plates": [asdict(entry) for entry, _ in plates],
    }
    (folder / INDEX).write_text(json.dumps(index), encoding="utf-8")


class Bank:
    """A bank on disk; tensors are read when asked for. Any number of processes may open one.

    Raises FileNotFoundError when the folder holds no bank, ValueError when its format is another.
    """

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise ValueError(
                f"the bank in {folder} has format {index['format']}, this version reads {FORMAT}"
            )
        self.width, self.height = int(index["width"]), int(index["height"])
        self.selection = Selection.from_dict(index["selection"])
        self.subjects = tuple(SubjectEntry(**_from_stored(entry)) for entry in index["figures"])
        self.plates = tuple(PlateEntry(**entry) for entry in index["plates"])
        for name in (_SUBJECT_FILE, _PLATE_FILE):
            count_tensors(folder / name)
        self._subject_file = safe_open(folder / _SUBJECT_FILE, framework="pt")
        self._plate_file = safe_open(folder / _PLATE_FILE, framework="pt")

    def subject_cycle(self, index: int) -> Tensor:
        """Return uint8 [poses, 6, h, w]: straight RGB, alpha, cast and contact shadow."""
        tensor: Tensor = self._subject_file.get_tensor(_key(index))
        return tensor

    def plate(self, index: int) -> Tensor:
        """Return uint8 [7, H, W * OVERSCAN]: display-referred distance RGB, land RGB, cover."""
        tensor: Tensor = self._plate_file.get_tensor(_key(index))
        return tensor


def _to_stored(entry: dict[str, Any]) -> dict[str, Any]:
    return {_STORED_KEYS.get(name, name): value for name, value in entry.items()}


def _from_stored(entry: dict[str, Any]) -> dict[str, Any]:
    names = {stored: name for name, stored in _STORED_KEYS.items()}
    return {names.get(key, key): value for key, value in entry.items()}


def _key(index: int) -> str:
    return f"{index:05d}"


def _subject_jobs(
    selection: Selection, seed: int, per_species: int, width: int, height: int
) -> Iterator[_SubjectJob]:
    heights = sorted({LIGHTS[t].low_sun for t in selection.time_indices})
    for subject in selection.subject_indices:
        variants = [
            (action, side, low, color)
            for color in (selection.color_indices if is_painted(subject) else (-1,))
            for low in heights
            for side in (-1, 1)
            for action in ABILITIES[subject]
        ]
        individuals = 0 if subject in SPRITE_INDICES else per_species
        for k in range(max(individuals, len(variants))):
            action, side, low, color = variants[k % len(variants)]
            variant = render.SubjectVariant(
                subject=subject, color=color, action=action, sun_side=side, low_sun=low
            )
            yield _SubjectJob(
                variant=variant, seed=(seed, 0, subject, k), width=width, height=height
            )


def _map_jobs(
    work: Callable[[J], R], jobs: list[J], processes: int, stage: str, report: Report
) -> Iterator[R]:
    """Yield results in the order of the jobs, from this process or from several."""
    if processes <= 1:
        for done, job in enumerate(jobs, 1):
            yield work(job)
            report(stage, done, len(jobs))
        return
    with multiprocessing.get_context("spawn").Pool(processes, torch.set_num_threads, (1,)) as pool:
        for done, result in enumerate(pool.imap(work, jobs, chunksize=4), 1):
            yield result
            report(stage, done, len(jobs))


def _render_subject(job: _SubjectJob) -> tuple[SubjectEntry, Bytes]:
    """Return one cycle as uint8 [poses, 6, h, w], cropped to what is opaque, and its entry."""
    variant = job.variant
    cycle = render.render_cycle(variant, job.width, job.height, np.random.default_rng(job.seed))
    frames = cycle.frames
    used = frames[:, 3:].amax((0, 1)) > 0.01
    rows, columns = used.any(1).nonzero()[:, 0], used.any(0).nonzero()[:, 0]
    y0, y1, x0, x1 = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    across = (frames[:, 3].amax((0, 1)) > 0.02).nonzero()[:, 0]
    entry = SubjectEntry(
        subject=variant.subject,
        color=variant.color,
        action=variant.action,
        sun_side=variant.sun_side,
        low_sun=variant.low_sun,
        poses=len(frames),
        advance=cycle.advance,
        column=cycle.column - x0,
        row=cycle.row - y0,
        left=cycle.column - float(across[0]),
        right=float(across[-1]) + 1 - cycle.column,
    )
    pixels = (frames[..., y0:y1, x0:x1] * 255).round().byte().contiguous()
    return entry, pixels.numpy()


def _render_plate(job: _PlateJob) -> tuple[PlateEntry, Bytes]:
    """Return one plate as uint8 [7, H, W * OVERSCAN], and its entry."""
    plate = places.paint_plate(
        job.place, job.time, width=job.width, height=job.height, rng=np.random.default_rng(job.seed)
    )
    entry = PlateEntry(place=job.place, time=job.time, sun_side=plate.sun_side)
    return entry, np.ascontiguousarray(plate.pixels.transpose(2, 0, 1))
