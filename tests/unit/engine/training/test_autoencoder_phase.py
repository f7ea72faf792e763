"""What the decoders learn from: crops of frame groups in a row, and their latents."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fakes.tiny_run import CLIPS, noise_clips
from layert2v_engine.model.autoencoder import PatchAutoencoder, decode_video
from layert2v_engine.training.autoencoder_phase import DecoderPhase, MattePhase, decode_groups
from layert2v_engine.training.chunks import ChunkConfig, ChunkSampler, fit_encoder
from layert2v_engine.training.temporal_loss import temporal_consistency_loss
from layert2v_engine.world.dataset import ClipSet

COLOUR, EVEN = (0, 1, 2), (0.4, 0.3, 0.3)


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


def test_groups_in_a_row_are_decoded_as_in_a_whole_clip(
    clips: ClipSet, autoencoder: PatchAutoencoder
) -> None:
    latents = autoencoder.encode_video(clips.streams(torch.arange(2))[:, 0])
    ends = torch.cat([latents[:, :, :1], latents, latents[:, :, -1:]], dim=2)
    whole = decode_video(autoencoder, latents)
    frames = decode_groups(autoencoder.decoder, ends, 1)
    torch.testing.assert_close(frames[:, :, 4:], whole[:, :, 1:])
    torch.testing.assert_close(frames[:, :, :4].mean(2), whole[:, :, 0])


@pytest.mark.parametrize("groups", [1, 2])
def test_crops_lie_over_their_latents(
    clips: ClipSet, autoencoder: PatchAutoencoder, groups: int
) -> None:
    config = ChunkConfig(batch=3, crop=16, groups=groups, latent_noise=0.0)
    pictures, latents = ChunkSampler(clips, autoencoder, config).crops(COLOUR, EVEN)
    assert pictures.shape == (3, 3, 4 * groups, 16, 16)
    assert latents.shape == (3, 8, groups + 2, 2, 2)
    own = pictures.unflatten(2, (groups, 4)).transpose(1, 2).flatten(0, 1)
    encoded = autoencoder.encoder(autoencoder.patches(own)).unflatten(0, (3, groups))
    torch.testing.assert_close(encoded.transpose(1, 2), latents[:, :, 1 : 1 + groups])


def moving(pixels_a_frame: int) -> torch.Tensor:
    """Two frames of a soft texture in -1..1 that moves to the right, [1, 3, 2, 48, 64]."""
    rng = torch.Generator().manual_seed(1)
    coarse = torch.randn(1, 3, 6, 16, generator=rng)
    wide = torch.nn.functional.interpolate(coarse, (48, 128), mode="bicubic").clamp(-1, 1)
    return torch.stack([wide[..., x : x + 64] for x in (32, 32 - pixels_a_frame)], dim=2)


def test_an_error_that_moves_with_the_picture_does_not_flicker() -> None:
    truth = moving(2)
    faded = temporal_consistency_loss(-0.3 * truth, truth)
    still = temporal_consistency_loss(-0.3 * truth[:, :, :1].expand_as(truth), truth)
    assert faded < 0.01 < still


def test_a_jump_of_the_error_is_flicker() -> None:
    error = torch.zeros(1, 3, 2, 48, 64)
    error[:, :, 1] = 0.5
    assert float(temporal_consistency_loss(error, moving(0))) == pytest.approx(0.5)
    assert float(temporal_consistency_loss(error[:, :, 1:].expand_as(error), moving(0))) == 0.0


def test_flicker_costs_as_much_as_it_is_told_to(
    clips: ClipSet, autoencoder: PatchAutoencoder
) -> None:
    ramp = torch.linspace(0, 255, 64).byte().expand_as(clips.pixels)
    soft = replace(clips, pixels=ramp.contiguous())

    def losses(temporal_consistency_weight: float) -> list[float]:
        config = ChunkConfig(
            batch=2, crop=32, groups=2, temporal_consistency_weight=temporal_consistency_weight
        )
        colour = DecoderPhase(autoencoder, soft, soft, config)
        opacity = MattePhase(autoencoder, soft, soft, config, rank=2, alpha=2.0)
        return [phase.loss(0, 0.0).item() for phase in (colour, opacity)]

    plain, once, twice = (losses(weight) for weight in (0.0, 1.0, 2.0))
    for without, single, double in zip(plain, once, twice, strict=True):
        assert without < single
        assert double - single == pytest.approx(single - without, rel=1e-2)
