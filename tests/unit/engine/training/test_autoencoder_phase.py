"""The decoders' phases: groups in a row, the weight of the temporal loss."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fakes.tiny_run import CLIPS, noise_clips
from layert2v_engine.model.autoencoder import PatchAutoencoder, decode_video
from layert2v_engine.training.autoencoder_phase import DecoderPhase, MattePhase, decode_groups
from layert2v_engine.training.chunks import ChunkConfig, fit_encoder
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


def test_groups_in_a_row_are_decoded_as_in_a_whole_clip(
    clips: ClipSet, autoencoder: PatchAutoencoder
) -> None:
    latents = autoencoder.encode_video(clips.streams(torch.arange(2))[:, 0])
    ends = torch.cat([latents[:, :, :1], latents, latents[:, :, -1:]], dim=2)
    whole = decode_video(autoencoder, latents)
    frames = decode_groups(autoencoder.decoder, ends, 1)
    torch.testing.assert_close(frames[:, :, 4:], whole[:, :, 1:])
    torch.testing.assert_close(frames[:, :, :4].mean(2), whole[:, :, 0])


def test_the_temporal_loss_grows_with_its_weight(
    clips: ClipSet, autoencoder: PatchAutoencoder
) -> None:
    ramp = torch.linspace(0, 255, 64).byte().expand_as(clips.pixels)
    soft = replace(clips, pixels=ramp.contiguous())

    def losses(temporal_consistency_weight: float) -> list[float]:
        config = ChunkConfig(
            batch=2, crop=32, groups=2, temporal_consistency_weight=temporal_consistency_weight
        )
        color = DecoderPhase(autoencoder, soft, soft, config)
        opacity = MattePhase(autoencoder, soft, soft, config, rank=2, alpha=2.0)
        return [phase.loss(0, 0.0).item() for phase in (color, opacity)]

    plain, once, twice = (losses(weight) for weight in (0.0, 1.0, 2.0))
    for without, single, double in zip(plain, once, twice, strict=True):
        assert without < single
        assert double - single == pytest.approx(single - without, rel=1e-2)
