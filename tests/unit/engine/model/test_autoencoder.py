from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKLWan

from layert2v_engine.model.autoencoder import PatchAutoencoder, WanAutoencoder, decode_video


@pytest.fixture
def autoencoder() -> PatchAutoencoder:
    torch.manual_seed(0)
    model = PatchAutoencoder(latent_channels=6, decoder_widths=(16, 8, 8), decoder_blocks=1).eval()
    torch.nn.init.normal_(model.decoder.head.weight, std=0.1)
    return model.requires_grad_(False)


def video(frames: int = 9) -> torch.Tensor:
    return torch.rand(2, 3, frames, 32, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_latents_are_eight_times_smaller_and_four_times_shorter(
    autoencoder: PatchAutoencoder,
) -> None:
    assert autoencoder.encode_video(video()).shape == (2, 6, 3, 4, 6)


def test_decoding_group_by_group_equals_decoding_each_latent_frame_apart(
    autoencoder: PatchAutoencoder,
) -> None:
    latents = autoencoder.encode_video(video())
    whole = decode_video(autoencoder, latents)
    assert whole.shape == video().shape
    last = next(autoencoder.decode_groups(latents[:, :, 2:]))
    torch.testing.assert_close(whole[:, :, 5:].mean(2, keepdim=True), last)


def test_a_decoder_sees_a_latent_frame_and_its_context_only() -> None:
    torch.manual_seed(0)
    model = PatchAutoencoder(6, decoder_widths=(16, 8), decoder_blocks=1, neighbours=1)
    torch.nn.init.normal_(model.decoder.head.weight, std=0.1)
    latents = torch.randn(1, 6, 4, 4, 6)
    other = latents.clone()
    other[:, :, 3] += 1
    with torch.no_grad():
        pairs = zip(model.decode_groups(latents), model.decode_groups(other), strict=True)
        same = [torch.equal(a, b) for a, b in pairs]
    assert same == [True, True, False, False]


@pytest.mark.parametrize("neighbours", [0, 1])
def test_latents_can_match_those_of_the_video_scaled_down(
    autoencoder: PatchAutoencoder, neighbours: int
) -> None:
    autoencoder.fit_encoder(torch.randn(500, 768) * torch.linspace(3, 0.01, 768))
    large = PatchAutoencoder(
        6, spatial_factor=16, decoder_widths=(16, 8, 8, 8), decoder_blocks=1, neighbours=neighbours
    )
    large.match_latents_of(autoencoder)
    small = video()
    enlarged = small.repeat_interleave(2, -1).repeat_interleave(2, -2)
    with torch.no_grad():
        latents = large.encode_video(enlarged)
        torch.testing.assert_close(latents, autoencoder.encode_video(small), atol=1e-4, rtol=1e-4)
        assert decode_video(large, latents).shape == enlarged.shape


def test_latents_of_another_kind_are_refused(autoencoder: PatchAutoencoder) -> None:
    with pytest.raises(ValueError, match="cannot match the latents"):
        PatchAutoencoder(8, spatial_factor=16).match_latents_of(autoencoder)


def test_frame_counts_off_the_grid_are_refused(autoencoder: PatchAutoencoder) -> None:
    with pytest.raises(ValueError, match="8 frames are not 1 \\+ a multiple of 4"):
        autoencoder.encode_video(video(8))


def test_the_fitted_linear_encoder_is_an_orthogonal_projection(
    autoencoder: PatchAutoencoder,
) -> None:
    columns = torch.randn(500, 768) * torch.linspace(3, 0.01, 768)
    deviations = autoencoder.fit_encoder(columns)
    basis = autoencoder.encoder.weight[:, :, 0, 0]
    torch.testing.assert_close(basis @ basis.T, torch.eye(6), atol=1e-4, rtol=0)
    assert (deviations.diff() <= 1e-4).all()


def test_wan_streams_with_the_same_result_as_a_whole_decode() -> None:
    torch.manual_seed(0)
    vae = AutoencoderKLWan(
        base_dim=8,
        z_dim=4,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        latents_mean=[0.0] * 4,
        latents_std=[1.0] * 4,
    ).eval()
    wan = WanAutoencoder(vae)
    with torch.no_grad():
        latents = wan.encode_video(video()[:1])
        whole = vae.decode(latents).sample
        torch.testing.assert_close(decode_video(wan, latents), whole, atol=1e-5, rtol=1e-5)


WAN = {"base_dim": 4, "z_dim": 4, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
# Wan 2.2 5B: residual shortcuts, and pixels in patches of 2 x 2.
WAN_22 = WAN | {"is_residual": True, "patch_size": 2, "in_channels": 12, "out_channels": 12}
WAN_22 |= {"scale_factor_spatial": 16, "decoder_base_dim": 4}


def wan(**config: object) -> WanAutoencoder:
    torch.manual_seed(0)
    statistics = {"latents_mean": [0.1] * 4, "latents_std": [2.0] * 4}
    vae = AutoencoderKLWan(**config, **statistics).eval()
    return WanAutoencoder(vae.requires_grad_(False))


@pytest.mark.parametrize("config", [WAN, WAN_22], ids=["2.1", "2.2"])
def test_wan_is_encoded_and_decoded_as_diffusers_does(config: dict) -> None:
    autoencoder = wan(**config)
    clip = video()
    latents = autoencoder.encode_video(clip)
    factor = autoencoder.spatial_factor
    assert latents.shape == (2, 4, 3, 32 // factor, 48 // factor)
    theirs = autoencoder.vae.decode(latents * 2.0 + 0.1).sample
    assert torch.equal(decode_video(autoencoder, latents), theirs)


def test_streams_of_wan_that_are_decoded_side_by_side_equal_each_alone() -> None:
    autoencoder = wan(**WAN)
    latents = torch.randn(5, 1, 4, 3, 4, 6)
    running = [autoencoder.decode_groups(stream) for stream in latents]
    groups = list(zip(*running, strict=True))  # the first group of all, the second of all, ...
    for index, stream in enumerate(latents):
        together = torch.cat([group[index] for group in groups], dim=2)
        assert torch.equal(together, decode_video(autoencoder, stream))
