"""Layered clips: subjects, shadows and plates of a bank, composited on demand.

Knows how layers add up: in scene-linear light, every subject over its shadow, from the farthest to
the nearest, over the plate; so the linear ``over`` of the layers of a clip is its composite.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from layert2v_engine.image.srgb import decode_srgb, encode_srgb
from layert2v_engine.world.backdrops.light import LIGHTS, Light
from layert2v_engine.world.backdrops.weather import apply_weather
from layert2v_engine.world.bank import Bank, Generator, SubjectEntry
from layert2v_engine.world.bank import build_bank as build_bank
from layert2v_engine.world.camera import (
    DISTANCE,
    HORIZON,
    LAND,
    CameraPath,
    camera_path,
    sample_windows,
)
from layert2v_engine.world.text.scenes import Actor, Scene, sample_scene, scene_from_label
from layert2v_engine.world.text.vocabulary import Label as Label
from layert2v_engine.world.text.vocabulary import is_held_out as is_held_out

# By distance: size of a subject, and the band of the height its feet stand in.
_DEPTH_BANDS = {"close": (1.0, 0.86, 0.86), "near": (0.85, 0.83, 0.87), "far": (0.66, 0.71, 0.76)}
_SIZE_BY_COUNT = {1: 1.0, 2: 0.76, 3: 0.66}  # size by the number of subjects
_SPOTS = {  # column of a subject, share of the width, by the number of subjects
    1: {"left": 0.34, "middle": 0.5, "right": 0.66},
    2: {"left": 0.28, "right": 0.72},
    3: {"left": 0.20, "middle": 0.5, "right": 0.80},
}
_WANDER = 0.04  # share of the width a subject may stand off its spot
KEPT_OUT = 6  # one of so many plates, and subjects that look for the same, is not trained on
_FAINT = 1 / 255  # less cover than this is none: its color could not be told


@dataclass(frozen=True, kw_only=True)
class Foreground:
    """One subject and its shadow, float32 0..1.

    ``color`` is what it looks like unoccluded, display-referred, straight over mid-gray:
    straight * matte + 0.5 * (1 - matte). ``matte`` and ``shadow`` are linear opacities, unoccluded
    too.
    """

    color: Tensor  # [T, 3, H, W]
    matte: Tensor  # [T, 1, H, W]
    shadow: Tensor  # [T, 1, H, W]


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Streams of one clip, float32 0..1: display-referred sRGB pictures, linear opacities.

    ``composite`` is, in linear light, every foreground over its own shadow, bottom to top over the
    background.
    """

    composite: Tensor  # [T, 3, H, W]
    background: Tensor  # [T, 3, H, W]
    foregrounds: tuple[Foreground, ...]  # bottom to top
    scene: Scene

    @property
    def label(self) -> Label:
        """What the lowest foreground shows."""
        return self.scene.label()

    @property
    def foreground(self) -> Tensor:
        """Color of the lowest foreground."""
        return self.foregrounds[0].color

    @property
    def matte(self) -> Tensor:
        """Matte of the lowest foreground."""
        return self.foregrounds[0].matte

    @property
    def shadow(self) -> Tensor:
        """Shadow of the lowest foreground."""
        return self.foregrounds[0].shadow


@dataclass(frozen=True, kw_only=True)
class _Placement:
    """An actor with the subject that plays it, its size on screen and where it walks."""

    actor: Actor
    entry: SubjectEntry
    index: int
    scale: float
    column: float  # where it is in the middle of the clip
    row: float
    speed: float  # pixels of land a frame, to the right
    phase: int


class World:
    """Clips composited from a bank. Any number of processes may open the same folder.

    Raises FileNotFoundError when the folder holds no bank, ValueError when its format is another.
    """

    def __init__(self, folder: Path) -> None:
        self._bank = Bank(folder)
        self.selection = self._bank.selection
        self.width, self.height = self._bank.width, self._bank.height
        self._subjects_by_variant: dict[tuple[object, ...], list[int]] = {}
        for i, f in enumerate(self._bank.subjects):
            variant = (f.subject, f.color, f.action, f.sun_side, f.low_sun)
            self._subjects_by_variant.setdefault(variant, []).append(i)
        self._plates_by_scene: dict[tuple[int, int], list[int]] = {}
        for i, p in enumerate(self._bank.plates):
            self._plates_by_scene.setdefault((p.place, p.time), []).append(i)
        ramp = torch.arange(256, dtype=torch.float32) / 255
        tints = torch.tensor([light.subject for light in LIGHTS])  # [time, 3]
        self._tinted = tints[:, :, None] * decode_srgb(ramp)  # [time, 3, 256] scene-linear

    def clip(
        self,
        seed: int,
        *,
        frames: int = 9,
        scene: Scene | None = None,
        label: Label | None = None,
        held_out: bool = False,
        foregrounds: int | None = None,
        unseen: bool = False,
    ) -> Clip:
        """Return the clip of a seed: of ``scene``, of one subject as ``label`` says, or at random.

        A random scene is held out of training or not, and has as many ``foregrounds`` as asked for,
        or as the selection allows. An ``unseen`` clip is made of the plates and subjects that are
        kept out of training, the last ones of those that look for the same.
        """
        if scene is None and label is not None:
            scene = scene_from_label(label, self.selection)
        if scene is None:
            scene_rng = random.Random(seed)  # noqa: S311  chance, not secrets
            scene = sample_scene(
                scene_rng, self.selection, held_out=held_out, foregrounds=foregrounds
            )
        rng = np.random.default_rng(seed)
        plate, side = self._choose_plate(scene, rng, unseen)
        placements = self._place_actors(scene, side, frames, rng, unseen)
        speed = (
            float(np.mean([placement.speed for placement in placements]))
            if placements
            else self._idle_pan(rng)
        )
        view = self._camera_path(scene.camera, speed, frames, plate.shape[-1])
        placements = [self._keep_in_frame(placement, view) for placement in placements]
        light = LIGHTS[scene.time]
        background = self._render_background(plate, view, light, rng)
        layers = [self._render_subject(placement, view, scene.time) for placement in placements]
        return self._compose(background, layers, scene)

    def _choose_plate(self, scene: Scene, rng: Generator, unseen: bool) -> tuple[Tensor, int]:
        """Return a plate of the scene, mirrored half of the time, and the side of its light."""
        choices = _part_of(self._plates_by_scene[scene.place, scene.time], unseen)
        index = choices[int(rng.integers(len(choices)))]
        pixels, side = self._bank.plate(index), self._bank.plates[index].sun_side
        return (pixels.flip(-1), -side) if rng.random() < 0.5 else (pixels, side)

    def _idle_pan(self, rng: Generator) -> float:
        """Return a camera speed in pixels a frame, for scenes without a subject to follow."""
        return float(rng.uniform(-0.012, 0.012)) * self.width

    def _place_actors(
        self, scene: Scene, side: int, frames: int, rng: Generator, unseen: bool
    ) -> list[_Placement]:
        """Place a subject for every actor; of equally far ones a later actor stands lower."""
        count = len(scene.actors)
        rows = [_DEPTH_BANDS[actor.distance][1:] for actor in scene.actors]
        shares = sorted(rng.random(count))
        placements = []
        for actor, (low, high), share in zip(scene.actors, rows, shares, strict=True):
            index = self._choose_subject(actor, scene, side, rng, unseen)
            entry = self._bank.subjects[index]
            scale = _DEPTH_BANDS[actor.distance][0] * _SIZE_BY_COUNT[count]
            onwards = 1 if actor.heading == "right" else -1
            column = _SPOTS[count][actor.spot] + rng.uniform(-_WANDER, _WANDER)
            placements.append(
                _Placement(
                    actor=actor, entry=entry, index=index, scale=scale,
                    column=column * self.width, row=(low + (high - low) * share) * self.height,
                    speed=onwards * entry.advance / entry.poses * scale,
                    phase=int(rng.integers(entry.poses)),
                )
            )  # fmt: skip
        return placements

    def _choose_subject(
        self, actor: Actor, scene: Scene, side: int, rng: Generator, unseen: bool
    ) -> int:
        """Return the index of a subject; a mirrored one needs light from its other side."""
        lit_from = side if actor.heading == "right" else -side
        wanted = (actor.subject, actor.color, actor.action, lit_from, LIGHTS[scene.time].low_sun)
        choices = _part_of(self._subjects_by_variant[wanted], unseen)
        return choices[int(rng.integers(len(choices)))]

    def _camera_path(self, camera: str, speed: float, frames: int, plate_width: int) -> CameraPath:
        """Return the scene's camera path, no faster than the plate is wide."""
        fastest = (plate_width - self.width - 4) / max(frames - 1, 1)
        speed = min(max(speed, -fastest), fastest)
        return camera_path(camera, frames=frames, speed=speed, width=self.width, height=self.height)

    def _keep_in_frame(self, placement: _Placement, view: CameraPath) -> _Placement:
        """Move a placement sideways so that its subject stays in the frame as far as it can."""
        ahead, behind = (
            placement.entry.right * placement.scale,
            placement.entry.left * placement.scale,
        )
        left, right = (behind, ahead) if placement.actor.heading == "right" else (ahead, behind)
        steps = torch.arange(len(view.zoom)) - (len(view.zoom) - 1) / 2
        pan = placement.speed * steps - view.offset
        half = self.width / 2 / view.zoom
        low = float((self.width / 2 - half + left - pan).max())
        high = float((self.width / 2 + half - right - pan).min())
        column = (low + high) / 2 if low > high else min(max(placement.column, low), high)
        return replace(placement, column=column)

    def _render_background(
        self, plate: Tensor, view: CameraPath, light: Light, rng: Generator
    ) -> Tensor:
        """Return the plate as the camera sees it, display-referred [T, 3, H, W]."""
        planes = plate.float() / 255
        cover = planes[6:]
        behind = self._view_plane(planes[:3], view, DISTANCE)
        land = self._view_plane(torch.cat([planes[3:6] * cover, cover]), view, LAND)
        picture = (land[:, :3] + behind * (1 - land[:, 3:])).clamp(0, 1)
        drops = torch.Generator().manual_seed(int(rng.integers(2**31)))
        return apply_weather(picture, light.weather, view.offset, drops)

    def _view_plane(self, plane: Tensor, view: CameraPath, depth: float) -> Tensor:
        """Return what the camera sees of a plane as wide as a plate, [T, C, H, W]."""
        offset, zoom = view.at_depth(depth)
        x = plane.shape[-1] / 2 + offset - self.width / 2 / zoom
        y = HORIZON * self.height * (1 - 1 / zoom)
        extent = (plane.shape[-1], plane.shape[-2])
        return sample_windows(plane, x, y, 1 / zoom, (self.width, self.height), extent=extent)

    def _render_subject(self, placement: _Placement, view: CameraPath, time: int) -> Tensor:
        """Return the subject on its way through the frame, linear [T, 6, H, W].

        Channels are premultiplied color, matte, cast and contact shadow.
        """
        frames = len(view.zoom)
        cycle = (placement.phase + torch.arange(frames)) % placement.entry.poses
        pixels = self._bank.subject_cycle(placement.index)[cycle]
        column = placement.entry.column
        if placement.actor.heading == "left":
            pixels, column = pixels.flip(-1), pixels.shape[-1] - column
        rest = pixels[:, 3:].float() / 255
        index = pixels[:, :3].int()
        lit = torch.stack([self._tinted[time, c][index[:, c]] for c in range(3)], 1)
        layers = torch.cat([lit * rest[:, :1], rest], 1)
        steps = torch.arange(frames) - (frames - 1) / 2
        x, y = view.project(placement.column + placement.speed * steps, placement.row)
        step = 1 / (placement.scale * view.zoom)
        return sample_windows(
            _reduce(layers, placement.scale),
            column - x * step, placement.entry.row - y * step, step, (self.width, self.height),
            extent=(layers.shape[-1], layers.shape[-2]),
        )  # fmt: skip

    def _compose(self, background: Tensor, layers: list[Tensor], scene: Scene) -> Clip:
        light = LIGHTS[scene.time]
        composite, foregrounds = decode_srgb(background), []
        for layer in layers:
            matte = torch.where(layer[:, 3:4] < _FAINT, 0, layer[:, 3:4])
            color = (layer[:, :3] / matte.clamp_min(_FAINT)).clamp(0, 1) * (matte > 0)
            shadow = 1 - (1 - layer[:, 4:5] * light.shadow) * (1 - layer[:, 5:] * light.contact)
            under = composite * (1 - shadow)
            composite = under + (color - under) * matte
            on_gray = torch.lerp(torch.tensor(0.5), encode_srgb(color), matte)
            foregrounds.append(Foreground(color=on_gray, matte=matte, shadow=shadow))
        return Clip(
            composite=encode_srgb(composite),
            background=background,
            foregrounds=tuple(foregrounds),
            scene=scene,
        )


def _part_of(choices: list[int], unseen: bool) -> list[int]:
    """Return the choices of training, or the others; one or two choices are for both."""
    if len(choices) < 3:
        return choices
    kept_out = max(1, len(choices) // KEPT_OUT)
    return choices[-kept_out:] if unseen else choices[:-kept_out]


def _reduce(layers: Tensor, scale: float) -> Tensor:
    """Return layers [T, C, h, w] so small that no detail is lost when sampled at ``scale``."""
    if scale > 0.9:
        return layers
    size = [max(1, round(extent * scale)) for extent in layers.shape[-2:]]
    return functional.interpolate(layers, size, mode="bilinear", antialias=True)
