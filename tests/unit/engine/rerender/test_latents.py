"""Latents of layers that are there: encoded pixels come back, masks become shares of cells."""

from __future__ import annotations

import pytest
import torch

from fakes.sample_stacks import disc
from layert2v_engine.layout import Stream, StreamLayout, StreamRole
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.rerender.latents import StreamEncoder, latent_mask


def test_latent_masks_are_shares_of_cells() -> None:
    mask = torch.zeros(5, 16, 16)
    mask[0, :8, :8], mask[1:3, 8:] = 1, 1
    result = latent_mask(mask, (2, 2, 2))
    assert result.tolist() == [[[1, 0], [0, 0]], [[0, 0], [0.5, 0.5]]]
    assert latent_mask(mask[:1], (1, 2, 2)).shape == (1, 2, 2)


@pytest.fixture(scope="module")
def mini() -> LayeredPipeline:
    return LayeredPipeline.from_pretrained("mini")


@pytest.mark.parametrize("role", ["background", "foreground", "matte", "shadow"])
def test_what_is_encoded_is_decoded_again(mini: LayeredPipeline, role: str) -> None:
    """With the shipped model: smooth pictures come back nearly as they were."""
    layout = StreamLayout.for_foregrounds(1)
    number = None if role == "background" else 1
    stream = Stream(role=StreamRole(role), foreground=number)
    height, width = mini.info.default_height, mini.info.default_width
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    alpha = torch.ones(height, width) if role == "background" else disc(height, width)
    pixels = torch.stack((x * 0.5, y * 0.4, 0.3 * torch.ones_like(x), torch.ones_like(x)), -1)
    pixels = (pixels * alpha[..., None]).half()
    latents = StreamEncoder(mini, layout, "lin_rec709_scene").encode(stream, [pixels] * 5)
    batch = torch.zeros(1, 5, *latents.shape)
    batch[0, layout.index(stream.name)] = latents
    first = next(mini.decode_streams(batch, layout, [stream.name]))[stream.name][0, :, 0]
    wanted = StreamEncoder(mini, layout, "lin_rec709_scene").model_input(
        stream.role, pixels.float()
    )
    assert float((first - wanted).square().mean().sqrt()) < 0.03
