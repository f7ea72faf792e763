"""Layered clips: a bank of rendered figures and plates on disk, composited on demand.

Knows how layers add up: in scene-linear light, figure over shadow over plate, so the linear `over`
of the layers of a clip is its composite. The bank holds uint8 tensors in safetensors files and one
JSON index.
"""

from __future__ import annotations

import json
import math
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import Tensor

from . import creatures, places, tracer
from .anatomy import PHASES
from .light import LIGHTS, decode_srgb, encode_srgb
from .vocabulary import ABILITIES, COLOURS, PLACES, SUBJECTS, TIMES, is_painted, labels
from .vocabulary import Label as Label
from .vocabulary import is_held_out as is_held_out

FORMAT = 1
_GROUND = 0.86  # of the height: where figures stand
_WANDER = 0.05  # of the width: how far a figure may stand off the centre
# How much longer a soft shadow is than that of a point light, share of the height of the figure.
_PENUMBRA = 0.26
_INDEX, _FIGURES, _PLATES = "world.json", "figures.safetensors", "plates.safetensors"

Bytes = NDArray[np.uint8]
Generator = np.random.Generator
Report = Callable[[str, int, int], None]
J = TypeVar("J")
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Index entry of one rendered gait cycle; lengths in pixels."""

    subject: int
    colour: int
    action: str
    sun_side: int
    advance: float  # ground covered in one cycle
    room_left: int  # free columns beside figure and shadow
    room_right: int


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Index entry of one plate."""

    place: int
    time: int
    sun_side: int


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Streams of one clip, float32 0..1: display-referred sRGB pictures, linear opacities.

    `foreground` is the straight colour over mid-grey: straight * matte + 0.5 * (1 - matte).
    """

    composite: Tensor  # [T, 3, H, W]
    background: Tensor  # [T, 3, H, W]
    foreground: Tensor  # [T, 3, H, W]
    matte: Tensor  # [T, 1, H, W]
    shadow: Tensor  # [T, 1, H, W]
    label: Label


# ---- building the bank


@dataclass(frozen=True, kw_only=True)
class _FigureJob:
    subject: int
    colour: int
    action: str
    sun_side: int
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
    seed: int = 0,
    width: int = 112,
    height: int = 80,
    creatures_per_species: int = 24,
    plates_per_scene: int = 48,
    processes: int = 2,
    report: Report = lambda stage, done, total: None,
) -> None:
    """Render figures and plates into `folder` (created). `report` hears (stage, done, total).

    There is at least one creature for every action, side of the light and colour of a species.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = {"width": width, "height": height}
    figure_jobs = list(_figure_jobs(seed, creatures_per_species, width, height))
    plate_jobs = [
        _PlateJob(place=p, time=t, seed=(seed, 1, p, t, k), **size)
        for p in range(len(PLACES))
        for t in range(len(TIMES))
        for k in range(plates_per_scene)
    ]
    figures = list(_each(_render_figure, figure_jobs, processes, "figures", report))
    scenes = list(_each(_render_plate, plate_jobs, processes, "plates", report))
    save_file({"figures": np.stack([pixels for _, pixels in figures])}, folder / _FIGURES)
    save_file({"plates": np.stack([pixels for _, pixels in scenes])}, folder / _PLATES)
    index = {
        "format": FORMAT,
        "seed": seed,
        **size,
        "figures": [asdict(entry) for entry, _ in figures],
        "plates": [asdict(entry) for entry, _ in scenes],
    }
    (folder / _INDEX).write_text(json.dumps(index), encoding="utf-8")


def _figure_jobs(seed: int, per_species: int, width: int, height: int) -> Iterator[_FigureJob]:
    for subject in range(len(SUBJECTS)):
        looks = [
            (action, side, colour)
            for colour in (range(len(COLOURS)) if is_painted(subject) else (-1,))
            for side in (-1, 1)
            for action in ABILITIES[subject]
        ]
        for k in range(max(per_species, len(looks))):
            action, side, colour = looks[k % len(looks)]
            yield _FigureJob(
                subject=subject,
                colour=colour,
                action=action,
                sun_side=side,
                seed=(seed, 0, subject, k),
                width=width,
                height=height,
            )


def _each(
    work: Callable[[J], R], jobs: list[J], processes: int, stage: str, report: Report
) -> Iterator[R]:
    """Results in the order of the jobs, from this process or from several."""
    if processes <= 1:
        for done, job in enumerate(jobs, 1):
            yield work(job)
            report(stage, done, len(jobs))
        return
    with multiprocessing.get_context("spawn").Pool(processes, torch.set_num_threads, (1,)) as pool:
        for done, result in enumerate(pool.imap(work, jobs, chunksize=4), 1):
            yield result
            report(stage, done, len(jobs))


def _render_figure(job: _FigureJob) -> tuple[Figure, Bytes]:
    """One gait cycle, uint8 [PHASES, 6, H, W]: straight RGB, alpha, cast and contact shadow."""
    rng = np.random.default_rng(job.seed)
    body = creatures.body(job.subject, job.action, job.colour, rng)
    yaw = creatures.turn_of(job.subject) + rng.uniform(-0.07, 0.07)
    left, right, bottom, top = tracer.extent(body, yaw)
    share = creatures.SIZES[SUBJECTS[job.subject].name]
    scale = min(
        share[0] * job.width / (right - left), share[1] * job.height / (top - bottom)
    ) * rng.uniform(0.94, 1.06)
    view = tracer.View(
        width=job.width, height=job.height, centre=job.width / 2 - (left + right) / 2 * scale,
        ground=_GROUND * job.height, scale=scale, yaw=yaw,
    )  # fmt: skip
    sun = _sun(job, rng, view, body)
    with torch.inference_mode():
        frames = torch.stack([tracer.render(body, pose, view, sun) for pose in range(body.poses)])
    used = (frames[:, 3:5].amax((0, 1, 2)) > 0.02).nonzero()[:, 0]
    entry = Figure(
        subject=job.subject, colour=job.colour, action=job.action, sun_side=job.sun_side,
        advance=body.advance * scale,
        room_left=int(used[0]), room_right=job.width - 1 - int(used[-1]),
    )  # fmt: skip
    return entry, (frames * 255).round().byte().numpy()


def _sun(
    job: _FigureJob, rng: Generator, view: tracer.View, body: tracer.Body
) -> tuple[float, float, float]:
    """Where the light comes from: as low as drawn, as far as the shadow stays in the frame."""
    left, right, _, top = tracer.extent(body, view.yaw)
    beside = job.width * (0.5 - _WANDER) - (right - left) / 2 * view.scale
    sideways = min(rng.uniform(0.35, 0.55), beside / (top * view.scale))
    below = (job.height - 1 - view.ground) / (view.scale * math.sin(tracer.ELEVATION))
    near = float((body.end[..., 2] + body.radius[:, 1] / body.flatten).max())
    forward = (below - near) / top - _PENUMBRA
    return job.sun_side * sideways, 1.0, -min(rng.uniform(0.4, 0.6), forward)


def _render_plate(job: _PlateJob) -> tuple[Scene, Bytes]:
    """One plate as uint8 [3, H, W * OVERSCAN]."""
    plate = places.plate(
        job.place, job.time, width=job.width, height=job.height, rng=np.random.default_rng(job.seed)
    )
    scene = Scene(place=job.place, time=job.time, sun_side=plate.sun_side)
    return scene, np.ascontiguousarray(plate.pixels.transpose(2, 0, 1))


# ---- compositing clips


class World:
    """Clips composited from a bank. Any number of processes may open the same folder.

    Raises FileNotFoundError when the folder holds no bank, ValueError when its format is another.
    """

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        if index["format"] != FORMAT:
            raise ValueError(
                f"the bank in {folder} has format {index['format']}, this version reads {FORMAT}"
            )
        self.width, self.height = int(index["width"]), int(index["height"])
        self._figures = [Figure(**entry) for entry in index["figures"]]
        self._scenes = [Scene(**entry) for entry in index["plates"]]
        self._figure_pixels = _read(folder / _FIGURES, "figures")
        self._plate_pixels = _read(folder / _PLATES, "plates")
        self._labels = {
            out: [x for x in labels() if is_held_out(x.subject, x.place, x.time) == out]
            for out in (True, False)
        }
        ramp = torch.arange(256, dtype=torch.float32) / 255
        self._linear = decode_srgb(ramp)
        tints = torch.tensor([light.figure for light in LIGHTS])  # [time, 3]
        self._tinted = tints[:, :, None] * self._linear  # [time, 3, 256] scene-linear

    def clip(
        self, seed: int, *, frames: int = 9, label: Label | None = None, held_out: bool = False
    ) -> Clip:
        """The clip of a seed: of `label`, or of a random one (held out of training or not)."""
        rng = np.random.default_rng(seed)
        label = label or self._draw(held_out, rng)
        plate, side = self._plate(label, rng)
        choices = [i for i, f in enumerate(self._figures) if _fits(f, label, side)]
        which = choices[int(rng.integers(len(choices)))]
        figure = self._figures[which]
        cycle = (int(rng.integers(PHASES)) + np.arange(frames)) % PHASES
        layers = self._placed(self._figure_pixels[which][torch.from_numpy(cycle)], figure, rng)
        background = self._panned(plate, figure.advance / PHASES, frames, rng)
        return self._compose(background, layers, label)

    def _draw(self, held_out: bool, rng: Generator) -> Label:
        """A random label; subjects are equally likely whatever their colours and actions."""
        pool = self._labels[held_out]
        present = sorted({x.subject for x in pool})
        subject = present[int(rng.integers(len(present)))]
        matching = [x for x in pool if x.subject == subject]
        return matching[int(rng.integers(len(matching)))]

    def _plate(self, label: Label, rng: Generator) -> tuple[Tensor, int]:
        """A plate of the scene, mirrored half of the time, and the side of its light."""
        choices = [
            i for i, s in enumerate(self._scenes) if (s.place, s.time) == (label.place, label.time)
        ]
        which = choices[int(rng.integers(len(choices)))]
        side = self._scenes[which].sun_side
        pixels = self._plate_pixels[which]
        return (pixels.flip(-1), -side) if rng.random() < 0.5 else (pixels, side)

    def _placed(self, layers: Tensor, figure: Figure, rng: Generator) -> Tensor:
        """The figure's layers [T, 6, H, W] moved a little off the centre, kept in the frame."""
        reach = round(_WANDER * self.width)
        low, high = (
            -min(reach, max(0, figure.room_left - 1)),
            min(reach, max(0, figure.room_right - 1)),
        )
        shift = int(rng.integers(low, high + 1))
        return layers.roll(shift, -1)

    def _panned(self, plate: Tensor, speed: float, frames: int, rng: Generator) -> Tensor:
        """The window [T, 3, H, W], display 0..1, that moves over the plate by `speed` a frame."""
        spare = plate.shape[-1] - self.width - 1
        way = min(speed * (frames - 1), float(spare))
        centre = spare / 2 + rng.uniform(-0.15, 0.15) * (spare - way)
        starts = torch.linspace(centre - way / 2, centre + way / 2, frames)
        whole = starts.floor().long()
        wide = (
            torch.stack([plate[..., x : x + self.width + 1] for x in whole.tolist()]).float() / 255
        )
        part = (starts - whole)[:, None, None, None]
        return torch.lerp(wide[..., :-1], wide[..., 1:], part)

    def _compose(self, background: Tensor, layers: Tensor, label: Label) -> Clip:
        light = LIGHTS[label.time]
        index = layers[:, :3].int()
        colour = torch.stack(
            [self._tinted[label.time, c][index[:, c]] for c in range(3)], 1
        )  # linear, lit by the scene
        rest = layers[:, 3:].float() / 255
        matte, cast, contact = rest[:, :1], rest[:, 1:2] * light.shadow, rest[:, 2:] * light.contact
        shadow = 1 - (1 - cast) * (1 - contact)
        under = decode_srgb(background) * (1 - shadow)
        composite = encode_srgb(under + (colour - under) * matte)
        foreground = torch.lerp(torch.tensor(0.5), encode_srgb(colour), matte)
        return Clip(
            composite=composite,
            background=background,
            foreground=foreground,
            matte=matte,
            shadow=shadow,
            label=label,
        )


def _fits(figure: Figure, label: Label, sun_side: int) -> bool:
    return (figure.subject, figure.colour, figure.action, figure.sun_side) == (
        label.subject,
        label.colour,
        label.action,
        sun_side,
    )


def _read(path: Path, name: str) -> Tensor:
    with safe_open(path, framework="pt") as file:
        tensor: Tensor = file.get_tensor(name)
    return tensor
