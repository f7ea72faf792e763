"""Crops of frame groups lie over their latents."""

from __future__ import annotations

import pytest
import torch

from fakes.tiny_run import CLIPS, noise_clips
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.training.chunks import ChunkConfig, ChunkSampler, fit_encoder
from layert2v_engine.world.dataset import ClipSet

COLOR, EVEN = (0, 1, 2), (0.4, 0.3, 0.3)


@pytest.fixture(scope="module")
def clips() -> ClipSet:
    return noise_clips(1, CLIPS)


@pytest.fixture
def autoencoder(clips: ClipSet) -> PatchAutoencoder:
    """One that sees neighbours, with something to say of them."""
    torch.manual_seed(0)
    new = PatchAutoencoder(8, decoder_widths=(16, 8), decoder_blocks=1, neighbours=1)
    fit_encoder(new, clips, chunks=50)
    torch.nn.init.normal_(new.decoder.head.weight, std=0.05)
    return new


@pytest.mark.parametrize("groups", [1, 2])
def test_crops_lie_over_their_latents(
    clips: ClipSet, autoencoder: PatchAutoencoder, groups: int
) -> None:
    config = ChunkConfig(batch=3, crop=16, groups=groups, latent_noise=0.0)
    pictures, latents, _ = ChunkSampler(clips, autoencoder, config).crops(COLOR, EVEN)
    assert pictures.shape == (3, 3, 4 * groups, 16, 16)
    assert latents.shape == (3, 8, groups + 2, 2, 2)
    own = pictures.unflatten(2, (groups, 4)).transpose(1, 2).flatten(0, 1)
    encoded = autoencoder.encoder(autoencoder.patches(own)).unflatten(0, (3, groups))
    torch.testing.assert_close(encoded.transpose(1, 2), latents[:, :, 1 : 1 + groups])


def test_latents_of_a_transformer_lie_over_the_same_crops(
    clips: ClipSet, autoencoder: PatchAutoencoder
) -> None:
    videos = clips.streams(torch.arange(len(clips.scenes)))
    made = autoencoder.encode_video(videos.flatten(0, 1)).unflatten(0, videos.shape[:2])
    config = ChunkConfig(batch=6, crop=16, groups=2, latent_noise=0.0, denoised_share=0.5)
    plain = ChunkSampler(clips, autoencoder, config).crops(COLOR, EVEN)
    mixed = ChunkSampler(clips, autoencoder, config, made + 100).crops(COLOR, EVEN)
    assert not plain.is_denoised.any()
    assert 0 < mixed.is_denoised.sum() < 6
    assert torch.equal(mixed.pixels, plain.pixels)
    offset = 100.0 * mixed.is_denoised[:, None, None, None, None]
    torch.testing.assert_close(mixed.latents - offset, plain.latents, atol=1e-4, rtol=1e-4)
