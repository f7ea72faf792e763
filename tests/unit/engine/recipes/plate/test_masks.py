from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanVACEPipeline

from fakes.tiny_weights import tiny_vace
from layert2v_engine.recipes.plate.fun_inpaint import mask_channels
from layert2v_engine.recipes.plate.masks import dilate_mask, union_over_latent_frames
from layert2v_engine.recipes.plate.svor import UnionMaskPipeline

FRAMES, HEIGHT, WIDTH = 17, 32, 48


@pytest.fixture
def mask() -> torch.Tensor:
    """Return ``[1, 3, 17, H, W]``: a subject that is seen in frame 3 alone."""
    seen = torch.zeros(1, 3, FRAMES, HEIGHT, WIDTH)
    seen[:, :, 3, 8:24, 16:30] = 1
    return seen


def pipeline(kind: type) -> WanVACEPipeline:
    vae = AutoencoderKLWan(
        base_dim=3, dim_mult=[1, 1, 1, 1], num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    return kind(
        tokenizer=None,
        text_encoder=None,
        transformer=tiny_vace(),
        vae=vae,
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )


def test_a_subject_that_is_seen_in_one_frame_of_seventeen_keeps_its_mask(
    mask: torch.Tensor,
) -> None:
    ours = pipeline(UnionMaskPipeline).prepare_masks(mask, [[]])
    theirs = pipeline(WanVACEPipeline).prepare_masks(mask, [[]])
    assert ours.shape == theirs.shape == (1, 64, 5, HEIGHT // 8, WIDTH // 8)
    assert not theirs.any()  # what diffusers makes of it
    assert ours[:, :, 1].mean() == mask[0, 0, 3].mean()
    assert not ours[:, :, [0, 2, 3, 4]].any()


def test_masks_that_do_not_change_are_those_of_diffusers() -> None:
    still = (torch.rand(1, 1, 1, HEIGHT, WIDTH) > 0.5).float().expand(1, 3, FRAMES, -1, -1)
    ours = pipeline(UnionMaskPipeline).prepare_masks(still, [[]])
    assert torch.equal(ours, pipeline(WanVACEPipeline).prepare_masks(still, [[]]))


def test_a_union_is_the_largest_of_its_frames() -> None:
    values = torch.rand(2, 9, 4, 5)
    union = union_over_latent_frames(values, 4)
    assert torch.equal(union[:, 0], values[:, 0])
    assert torch.equal(union[:, 2], values[:, 5:9].max(1).values)
    assert union_over_latent_frames(values[:, :1], 4).shape == (2, 1, 4, 5)


def test_masks_grow_as_the_authors_programs_grow_them() -> None:
    plane = np.zeros((30, 40), bool)
    plane[12:15, 20], plane[0, 0] = True, True
    grown = dilate_mask(torch.from_numpy(plane.astype(np.float32))[None, None], 6)[0, 0]
    expected = scipy.ndimage.binary_dilation(plane, iterations=6)
    assert np.array_equal(grown.numpy() > 0, expected)


def test_each_frame_is_a_channel_of_its_latent_frame() -> None:
    mask = torch.arange(9.0).view(9, 1, 1, 1).expand(9, 1, 16, 16)
    channels = mask_channels(mask, (3, 2, 2), 4)
    assert channels.shape == (1, 4, 3, 2, 2)
    assert channels[0, :, :, 0, 0].T.tolist() == [[0, 0, 0, 0], [1, 2, 3, 4], [5, 6, 7, 8]]
