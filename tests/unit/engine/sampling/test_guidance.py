"""Classifier-free guidance, and two conditionings as one batch."""

from __future__ import annotations

import pytest
import torch

from fakes.tiny_transformer import tiny_transformer
from fakes.uncached_predictor import uncached_predictor
from layert2v_engine.layout import StreamLayout
from layert2v_engine.sampling import guidance
from layert2v_engine.sampling.denoise import stream_noise
from layert2v_engine.sampling.guidance import Conditioning, classifier_free_guidance, concat

LAYOUT = StreamLayout.for_foregrounds(1)
NOISE = stream_noise(LAYOUT.names, (4, 2, 6, 8), seed=3)


def conditioning(value: float, length: int) -> Conditioning:
    return Conditioning(torch.full((1, 3, length, 8), value), None)


def test_prompts_of_two_lengths_are_concatenated_under_a_mask() -> None:
    both = concat(conditioning(1.0, 5), conditioning(2.0, 3))
    assert both.states.shape == (2, 3, 5, 8)
    assert both.mask is not None
    assert both.mask.sum(-1).tolist() == [[5, 5, 5], [3, 3, 3]]
    assert concat(conditioning(1.0, 5), conditioning(1.0, 5)).mask is None


@torch.no_grad()
@pytest.mark.parametrize("batched", [0, 1 << 18])
def test_guidance_in_one_batch_equals_two_forwards(
    batched: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guidance, "BATCHED_NUMBERS", batched)
    network = tiny_transformer()
    predict = uncached_predictor(network, LAYOUT)
    prompts = Conditioning(torch.randn(1, 3, 5, 8), torch.arange(5).expand(1, 3, 5) < 4)
    negative = Conditioning(torch.randn(1, 3, 3, 8), None)
    times = torch.full((1, len(LAYOUT)), 600.0)
    cond, uncond = (predict(NOISE, times, text) for text in (prompts, negative))
    sizes: list[int] = []
    network.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    together = classifier_free_guidance(predict, NOISE, times, 2.5, prompts, negative)
    torch.testing.assert_close(together, uncond + 2.5 * (cond - uncond), atol=1e-5, rtol=0)
    assert sizes == ([2] if batched else [1, 1])
