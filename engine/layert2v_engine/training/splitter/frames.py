"""Frames with true layers that the splitter learns from: of the world, and rendered ones.

Places and subjects of the world that are named as held out occur in test clips alone; so do kinds
of subjects and grounds of rendered clips, by the script that renders them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from layert2v_engine.decompose.splitter.network import network_values
from layert2v_engine.errors import MissingStage
from layert2v_engine.image import exr
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.tensor_file import load_tensors
from layert2v_engine.world.clips import World
from layert2v_engine.world.text.scenes import sample_scene
from layert2v_engine.world.text.vocabulary import PLACES, Selection

PLANES = 8  # source and plate (3 each), alpha, shadow
LUMA = (0.2126, 0.7152, 0.0722)
_DARK = 1e-3  # less light than this casts no shadow that could be told
Report = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """What of the world is never trained on."""

    places: tuple[str, ...] = ("beach", "village", "autumn forest")
    subjects: tuple[str, ...] = ("dog", "camel", "ostrich", "bus")


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameSet:
    """Frames as half [N, 8, H, W]: source and plate in network values, alpha, shadow."""

    planes: Tensor

    def save(self, path: Path) -> None:
        """Write as one safetensors file, complete or not at all."""
        with atomic_write(path) as temporary:
            save_file({"planes": self.planes}, temporary)

    @classmethod
    def load(cls, path: Path) -> FrameSet:
        """Read what ``save`` wrote."""
        return cls(planes=load_tensors(path)["planes"])

    def __len__(self) -> int:
        return len(self.planes)


def world_clips(
    folder: Path, held_out: HeldOut, *, first_seed: int, count: int, frames: int, is_test: bool
) -> Iterator[tuple[Tensor, str]]:
    """Yield ``count`` clips [T, 8, H, W] of one subject and what they show.

    A test clip shows a held-out place and a held-out subject, others neither.
    """
    world = World(folder)
    selection = _part_of(world.selection, held_out, is_test)
    for seed in range(first_seed, first_seed + count):
        scene = sample_scene(random.Random(seed), selection, foregrounds=1)  # noqa: S311
        clip = world.clip(seed, frames=frames, scene=scene, unseen=is_test)
        layer = clip.foregrounds[0]
        planes = (clip.composite, clip.background, layer.matte, layer.shadow)
        yield torch.cat(planes, 1), PLACES[scene.place].name


def _part_of(selection: Selection, held_out: HeldOut, is_test: bool) -> Selection:
    def keep(names: tuple[str, ...], reserved: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(name for name in names if (name in reserved) == is_test)

    return replace(
        selection,
        subjects=keep(selection.subjects, held_out.subjects),
        places=keep(selection.places, held_out.places),
    )


def rendered_clips(folder: Path) -> Iterator[tuple[Tensor, str]]:
    """Yield the clips [T, 8, H, W] of ``scripts/rendered_clips`` and the kind of their subject.

    Raises MissingStage where there are none.
    """
    clips = sorted(folder.glob("clip_*/clip.json"))
    if not clips:
        raise MissingStage(
            f"{folder} holds no rendered clips.",
            "Render them with scripts/rendered_clips, or set rendered_share to 0.",
        )
    for path in clips:
        about = json.loads(path.read_text())
        frames = [_rendered_frame(path.parent, k + 1) for k in range(about["frames"])]
        yield torch.stack(frames), about["kind"]


def _rendered_frame(folder: Path, frame: int) -> Tensor:
    """Return one frame [8, H, W] of three pictures: a premultiplied subject and two plates."""
    subject, plate, shadowed = (
        exr.read(folder / f"{name}.{frame:04d}.exr").float().permute(2, 0, 1)
        for name in ("subject", "plate", "shadowed")
    )
    alpha = subject[3:].clamp(0, 1)
    source = subject[:3] + (1 - alpha) * shadowed[:3]
    luma = torch.tensor(LUMA).view(3, 1, 1)
    before, after = ((x[:3] * luma).sum(0, keepdim=True) for x in (plate, shadowed))
    shadow = torch.where(before > _DARK, 1 - after / before.clamp_min(_DARK), 0).clamp(0, 1)
    shadow = torch.where(shadow < 0.01, 0, shadow)  # what differs of two renders by chance
    return torch.cat([network_values(source), network_values(plate[:3]), alpha, shadow])


def collect(
    clips: Iterator[tuple[Tensor, str]], every: int, report: Report, total: int
) -> FrameSet:
    """Return every so many frames of the clips as one set.

    Raises MissingStage where clips are not all of one size.
    """
    chosen: list[Tensor] = []
    for done, (planes, _) in enumerate(clips, 1):
        if chosen and chosen[0].shape[1:] != planes.shape[1:]:
            sizes = " and ".join(f"{x.shape[-1]} x {x.shape[-2]}" for x in (chosen[0], planes))
            raise MissingStage(
                f"Rendered clips are of different sizes: {sizes}.", "Render all of them at one."
            )
        chosen.append(planes[::every].half())
        report("frames", done, total)
    return FrameSet(planes=torch.cat(chosen))
