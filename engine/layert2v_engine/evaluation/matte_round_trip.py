"""Mattes through a model's autoencoder and back: how much of them its latents can hold."""

from __future__ import annotations

import torch
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.stream_codec import clean_opacity

_STREAM = "matte_01"


def round_trip_mattes(pipeline: LayeredPipeline, mattes: Tensor) -> Tensor:
    """Return mattes [B, T, H, W] in 0..1 as they come back from the autoencoder of a model."""
    layout = StreamLayout.for_foregrounds(1)
    decoded = []
    for matte in mattes:
        latents = pipeline.encode(matte[:, None], layout, _STREAM)
        streams = torch.zeros(1, len(layout), *latents.shape, device=latents.device)
        streams[0, layout.index(_STREAM)] = latents
        groups = pipeline.decode_streams(streams, layout, (_STREAM,))
        decoded.append(torch.cat([clean_opacity(group[_STREAM])[0, 0] for group in groups]))
    return torch.stack(decoded).cpu()
