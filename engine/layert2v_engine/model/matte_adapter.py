"""Adapters with which an autoencoder decodes mattes without forgetting color.

Stage 1 of the paper (arXiv 2508.04228, "alpha-mask VAE"). The encoder stays frozen. A small trained
projection moves matte latents to where the transformer and decoder find them easy
(``MatteProjection``), and low-rank updates of the decoder's convolutions (``model.lora``) turn a
copy of the color decoder into one that decodes crisp mattes. Cast shadows are opacities too and
take the same way.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from layert2v_engine.model.autoencoder import ResidualBlock
from layert2v_engine.model.diffusers_classes import (
    ConfigMixin,
    ModelMixin,
    WanAttentionBlock,
    WanCausalConv3d,
    WanResidualBlock,
    register_to_config,
)


class MatteProjection(ModelMixin, ConfigMixin):
    """Projects latents [B, C, F, h, w] of a matte to latents of the same shape.

    z + tanh(gate) * h(z), gate 0 at start.
    """

    @register_to_config
    def __init__(self, latent_channels: int = 24, width: int = 64, blocks: int = 2) -> None:
        super().__init__()
        self.stem = nn.Conv2d(latent_channels, width, 3, padding=1)
        self.body = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.head = nn.Conv2d(width, latent_channels, 3, padding=1)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, latents: Tensor) -> Tensor:
        """Return projected latents [B, C, F, h, w]."""
        # [B*F, C, h, w]: no state between latent frames
        frames = latents.transpose(1, 2).flatten(0, 1)
        projected = frames + torch.tanh(self.gate) * self.head(self.body(self.stem(frames)))
        return cast(Tensor, projected.unflatten(0, (len(latents), -1)).transpose(1, 2))


class WanMatteProjection(ModelMixin, ConfigMixin):
    """The same for latents of Wan's autoencoder, in its own blocks, as LayerT2V trains it.

    z + tanh(gate) * h(z), gate 0 at start. attention: one over the pixels of a frame after every
    block.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 16,
        width: int = 64,
        blocks: int = 2,
        attention: bool = True,
    ) -> None:
        super().__init__()
        body: list[nn.Module] = []
        for _ in range(blocks):
            body.append(WanResidualBlock(width, width))
            if attention:
                body.append(WanAttentionBlock(width))
        self.stem = WanCausalConv3d(latent_channels, width, 3, padding=1)
        self.body = nn.Sequential(*body)
        self.head = WanCausalConv3d(width, latent_channels, 3, padding=1)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, latents: Tensor) -> Tensor:
        """Return projected latents [B, C, F, h, w]."""
        projected: Tensor = self.head(self.body(self.stem(latents)))
        return latents + torch.tanh(self.gate) * projected
