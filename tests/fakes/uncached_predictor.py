"""The network asked about all streams at every step, which a cached predictor must equal."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.guidance import Conditioning, Predictor


def uncached_predictor(
    model: LayeredWanTransformer3DModel,
    layout: StreamLayout,
    *,
    frozen: Sequence[int] = (),
    autocast: torch.dtype | None = None,
) -> Predictor:
    """Return a predictor of one full pass; the streams ``frozen`` see one another only."""
    roles = layout.modulation_rows(model.config.roles)
    is_frozen = torch.zeros(1, len(layout), dtype=torch.bool)
    is_frozen[:, list(frozen)] = True

    def predict(latents: Tensor, times: Tensor, text: Conditioning) -> Tensor:
        with torch.autocast(latents.device.type, autocast, enabled=autocast is not None):
            out: Tensor = model(
                latents.to(model.dtype),
                times,
                text.states.to(model.dtype),
                roles=roles,
                attended_prompts=layout.attended_prompts,
                prompt_mask=text.mask,
                frozen=is_frozen.expand(len(latents), -1) if frozen else None,
                return_dict=False,
            )[0]
        return out

    return predict
