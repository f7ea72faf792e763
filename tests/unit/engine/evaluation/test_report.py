"""What is measured of a clip is what is seen of its layers."""

from __future__ import annotations

import torch

from layert2v_engine.evaluation.report import _video_metrics
from layert2v_engine.stream_codec import ForegroundFrames, LayerFrames


def test_color_outside_of_the_matte_is_no_detail() -> None:
    torch.manual_seed(0)
    comp, alpha = torch.rand(1, 3, 2, 32, 48), torch.zeros(1, 1, 2, 32, 48)
    alpha[..., 8:24, 10:30] = 1
    flat = torch.full_like(comp, 0.3)
    metrics = [
        _video_metrics(
            comp[0],
            LayerFrames(
                composite=comp,
                background=flat,
                foregrounds=(ForegroundFrames(color=color, alpha=alpha, shadow=alpha),),
            ),
        )
        for color in (flat, torch.where(alpha > 0, flat, torch.rand_like(comp)))
    ]
    assert metrics[0] == metrics[1]
    assert metrics[0]["gradient_fg"] > 0 == metrics[0]["gradient_bg"]
