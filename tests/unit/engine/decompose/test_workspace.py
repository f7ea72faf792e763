"""A shadow that no frame lets go of: a subject that stays, so the plate is made of one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes.moving_disc import HEIGHT, WIDTH, DiscClip, disc_clip
from layert2v_engine.decompose.arrays import Size, encode
from layert2v_engine.decompose.footage import FrameRange
from layert2v_engine.decompose.networks.u2netp import U2NetP
from layert2v_engine.decompose.plate.fill import SmoothFiller
from layert2v_engine.decompose.scratch import Scratch
from layert2v_engine.decompose.split import ClosedFormSplitter
from layert2v_engine.decompose.stages import Stages
from layert2v_engine.decompose.workspace import Workspace
from layert2v_engine.progress import Progress, ProgressReporter

FRAMES = 3


class KnowingSplitter(ClosedFormSplitter):
    """Says the shadow as it is, whatever is shown."""

    def __init__(self, shadow: np.ndarray) -> None:
        self._shadow = shadow

    def find_shadow(self, source: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self._shadow, mask.shape)


@pytest.fixture(scope="module")
def clip() -> DiscClip:
    return disc_clip()


def fill(
    clip: DiscClip, splitter: ClosedFormSplitter, folder: Path
) -> tuple[Workspace, list[Progress]]:
    """Return the arrays of a shot in which a disc and its shadow stay where they are."""
    size, reports = Size(WIDTH, HEIGHT), list[Progress]()
    numbers = FrameRange(first=1001, frames=FRAMES, start=0, size=size, full=size, pixel_aspect=1.0)
    stages = Stages(saliency=U2NetP(), detector=None, filler=SmoothFiller(), splitter=splitter)
    progress = ProgressReporter(folder, reports.append, lambda: False)
    progress.stage_weights = {"shadow": 0.5, "plate": 0.5}
    space = Workspace(numbers, Scratch(folder / "scratch", "key"), stages, progress)
    for index in range(FRAMES):
        space.source[index] = clip.source[2]
        space.pictures[index] = (encode(clip.source[2]).clip(0, 1) * 255).astype(np.uint8)
        space.mask(0)[index] = clip.alpha[2]
    space.make_plate(1, None)
    return space, reports


def test_the_plate_is_without_a_shadow_that_is_known(clip: DiscClip, tmp_path: Path) -> None:
    dark = (clip.shadow[2] > 0.2) & (clip.alpha[2] == 0)
    held, _ = fill(clip, ClosedFormSplitter(), tmp_path / "held")
    known, reports = fill(clip, KnowingSplitter(clip.shadow[2]), tmp_path / "known")

    def error(space: Workspace) -> float:
        plate = np.asarray(space.half("plate", 3)[1], np.float32)
        return float(np.abs(plate - clip.background[2])[dark].mean())

    assert known.invention[1][dark].all()
    assert error(known) < 0.5 * error(held)
    assert {each.stage for each in reports} == {"shadow", "plate"}


def test_what_is_faint_and_apart_is_no_shadow(clip: DiscClip, tmp_path: Path) -> None:
    stain = np.zeros((HEIGHT, WIDTH), np.float32)
    stain[4:14, 80:92] = 0.1
    space, _ = fill(clip, KnowingSplitter(stain), tmp_path / "faint")
    assert not np.asarray(space.shadow(0)[0]).any()

    space, _ = fill(clip, KnowingSplitter(3 * stain), tmp_path / "deep")
    assert np.asarray(space.shadow(0)[0])[5:13, 81:91].min() > 0.25
