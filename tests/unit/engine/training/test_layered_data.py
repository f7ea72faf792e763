from __future__ import annotations

from pathlib import Path

import torch

from layert2v_engine.training.latents import LatentSet
from layert2v_engine.training.layered_data import ClipFormat, to_pixels
from layert2v_engine.vidlayer.readers.sample import (
    LayeredSample,
    LayerFiles,
    SampleFiles,
    SampleLayer,
)

FILES = SampleFiles(
    name="clip",
    full=Path("full"),
    background=Path("background"),
    foregrounds=(LayerFiles(matte=Path("matte"), caption="a dog"),),
    caption="a dog on a lawn",
    background_caption="a lawn",
)


def test_a_sample_becomes_the_channels_of_a_clip() -> None:
    full, background = torch.full((6, 3, 32, 64), 0.8), torch.full((6, 3, 32, 64), 0.2)
    matte = torch.zeros(6, 1, 32, 64)
    matte[..., 32:] = 1
    layer = SampleLayer(color=full, matte=matte, shadow=None)
    sample = LayeredSample(files=FILES, full=full, background=background, foregrounds=(layer,))

    pixels = to_pixels(sample, ClipFormat(foregrounds=1, frames=4, height=16, width=16))

    assert pixels.shape == (11, 4, 16, 16)
    assert pixels[:3].eq(204).all()
    assert pixels[3:6].eq(51).all()
    assert pixels[6, 0, 0, 0] == 128  # mid-gray where there is no foreground
    assert pixels[6, 0, 0, -1] == 204
    assert pixels[9, 0, 0].tolist()[0] == 0
    assert pixels[9, 0, 0].tolist()[-1] == 255
    assert pixels[10].eq(0).all()


def test_captions_of_data_sets_follow_those_of_scenes() -> None:
    world = LatentSet(latents=torch.zeros(0, 1), coverage=torch.zeros(0, 1), scenes=())
    other = LatentSet(latents=torch.ones(2, 1), coverage=torch.ones(2, 1), scenes=())

    both = world.extend(other, (("a", "b", "c"), FILES.captions))

    assert len(both) == 2
    assert both.captions_of(1) == ("a dog on a lawn", "a dog", "a lawn")
