from __future__ import annotations

import torch
from torch import Tensor

from fakes.layer_check import worst_layer
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.stream_codec import StreamDecoder

STEP = 1 / 255  # of a display


def test_layers_are_right_in_bfloat16() -> None:
    error, name = worst_layer(torch.device("cpu"))
    assert error < 0.02, name


@torch.no_grad()
def test_a_soft_sky_is_decoded_as_well_in_bfloat16() -> None:
    """No pixel is off by a step of a display, and no slope becomes a stair."""
    networks = LayeredPipeline.from_pretrained("mini").components
    slope = torch.linspace(-0.6, 0.6, 96)[:, None].expand(96, 160)
    sky = torch.stack([slope, 0.5 * slope, -slope])[None, :, None].expand(1, 3, 9, 96, 160)
    latents = networks.vae.encode_video(sky)
    plain, unit = torch.zeros(1, latents.shape[1]), torch.ones(1, latents.shape[1])

    def decode(dtype: torch.dtype | None) -> tuple[Tensor, Tensor]:
        decoder = StreamDecoder(networks.vae, networks.matte_vae, plain, unit, autocast=dtype)
        return tuple(  # type: ignore[return-value]
            torch.cat(list(groups), 2)
            for groups in (decoder.decode_color(latents, 0), decoder.decode_opacity(latents, 0))
        )

    for exact, coarse in zip(decode(None), decode(torch.bfloat16), strict=True):
        assert float((coarse - exact).abs().max()) < STEP
        rises, still_rises = (frames.diff(dim=-2) > 0 for frames in (exact, coarse))
        assert float((rises == still_rises).float().mean()) > 0.97
