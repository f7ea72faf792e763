"""The warping error tells motion from flicker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from layert2v_engine.metrics import flow
from layert2v_engine.metrics.flow import warping_error

HEIGHT, WIDTH, FRAMES = 48, 64, 3


def textured_clip(shift: int) -> Tensor:  # [3, T, H, W], moved by ``shift`` pixels a frame
    rng = np.random.default_rng(0)
    rough = torch.from_numpy(rng.random((1, 3, 12, 32)).astype(np.float32))
    wide = torch.nn.functional.interpolate(rough, (HEIGHT, 2 * WIDTH), mode="bicubic")[0]
    wide = wide.clamp(0, 1)
    return torch.stack([wide[:, :, k * shift : k * shift + WIDTH] for k in range(FRAMES)], 1)


def test_motion_alone_is_no_error_but_flicker_is() -> None:
    moving = textured_clip(2)
    flicker = moving + 0.2 * torch.tensor([0.0, 1.0, 0.0])[None, :, None, None]
    assert warping_error(moving, moving) < 0.01
    assert warping_error(flicker, moving) > 0.1


def test_what_is_measured_along_a_clip_shares_its_flow(monkeypatch: pytest.MonkeyPatch) -> None:
    clip, asked = textured_clip(3), list[int]()
    exact = flow.optical_flow

    def count_and_compute(*frames: Any) -> Any:
        asked.append(1)
        return exact(*frames)

    monkeypatch.setattr(flow, "optical_flow", count_and_compute)
    color, matte = warping_error(clip, clip), warping_error(clip[:1], clip)
    assert len(asked) == FRAMES - 1
    assert color != matte
    assert (color, matte) == (warping_error(clip, clip), warping_error(clip[:1], clip))
