from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from fakes.moving_disc import DiscClip, disc_clip
from layert2v_engine.decompose.arrays import Size
from layert2v_engine.decompose.protocols import RemovalFrames
from layert2v_engine.recipes.plate.remover import WindowedRemover


class Oracle:
    """Knows the background, and records what it was shown."""

    def __init__(self, clip: DiscClip) -> None:
        self.clip, self.seen = clip, []

    def remove(
        self, video: torch.Tensor, mask: torch.Tensor, on_step: Callable[[float], None]
    ) -> torch.Tensor:
        self.seen.append((tuple(video.shape), tuple(mask.shape)))
        on_step(1.0)
        assert video.min() >= 0
        assert video.max() <= 1
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        return video * (1 - mask) + 0.5 * mask


def frames_of(clip: DiscClip) -> RemovalFrames:
    count, height, width = clip.alpha.shape
    return RemovalFrames(
        length=count,
        size=Size(width, height),
        colorspace="lin_rec709_scene",
        frame=lambda index: clip.source[index],
        hole=lambda index: clip.alpha[index, ::2, ::2] > 0.1,
    )


def test_every_frame_has_a_plate_of_its_size_from_windows_of_exact_lengths() -> None:
    clip = disc_clip(frames=12)
    oracle, shares = Oracle(clip), []
    remover = WindowedRemover(oracle, window=9, overlap=3, area=48 * 32)
    plates = dict(remover.plates(frames_of(clip), shares.append))
    assert [*plates] == [*range(12)]
    assert {plate.shape for plate in plates.values()} == {(64, 96, 3)}
    assert oracle.seen == [((9, 3, 32, 48), (9, 1, 32, 48))] * 2
    assert shares == [0.5, 1.0]
    assert "48 x 32 pixels from ACEScct" in remover.note


def test_a_short_shot_is_padded_for_the_network_alone() -> None:
    clip = disc_clip(frames=6)
    oracle = Oracle(clip)
    plates = [*WindowedRemover(oracle).plates(frames_of(clip), lambda share: None)]
    assert (len(plates), oracle.seen[0][0][0]) == (6, 9)
    for index, plate in plates:
        is_far = np.abs(np.indices((64, 96))[1] - (16 + index * 64 / 5)) > 30
        assert np.array_equal(plate[is_far], clip.source[index][is_far])
