"""Adapters with which an autoencoder decodes mattes without forgetting color.

Stage 1 of the paper (arXiv 2508.04228, "alpha-mask VAE"). The encoder stays frozen. A small trained
projection moves matte latents to where the transformer and decoder find them easy
(``MatteProjection``), and low-rank updates of the decoder's convolutions (``add_lora``,
``merge_lora``) turn a copy of the color decoder into one that decodes crisp mattes. Cast shadows
are opacities too and take the same way.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from layert2v_engine.model.autoencoder import ResidualBlock
from layert2v_engine.model.diffusers_classes import (
    AutoencoderKLWan,
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


class LoRAConv2d(nn.Module):
    """A frozen convolution plus scale * up(down(x)).

    ``up`` starts at zero, so it starts equal to its base.
    """

    def __init__(self, base: nn.Conv2d, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / rank
        kernel, stride, padding = (
            cast(Any, x) for x in (base.kernel_size, base.stride, base.padding)
        )
        self.down = nn.Conv2d(base.in_channels, rank, kernel, stride, padding, bias=False)
        self.up = nn.Conv2d(rank, base.out_channels, 1, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve [N, C, h, w] to [N, out_channels, h', w']."""
        return cast(Tensor, self.base(x) + self.scale * self.up(self.down(x)))


class LoRACausalConv3d(nn.Module):
    """The same for a causal convolution of Wan's autoencoder, which has a cache of past frames."""

    def __init__(self, base: WanCausalConv3d, rank: int, alpha: float) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.scale = alpha / rank
        side, _, rows, _, frames, _ = base._padding  # twice the frames, all of them before
        kernel, stride = (cast(Any, x) for x in (base.kernel_size, base.stride))
        padding = (frames // 2, rows, side)
        self.down = WanCausalConv3d(base.in_channels, rank, kernel, stride, padding)
        self.down.register_parameter("bias", None)
        self.up = nn.Conv3d(rank, base.out_channels, 1, bias=False)
        nn.init.kaiming_uniform_(self.down.weight, a=5**0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor, cache: Tensor | None = None) -> Tensor:
        """Convolve [N, C, F, h, w] after the frames ``cache`` to [N, out_channels, F, h', w']."""
        update: Tensor = self.up(self.down(x, cache))
        return cast(Tensor, self.base(x, cache) + self.scale * update)


def add_wan_lora(vae: AutoencoderKLWan, *, rank: int, alpha: float) -> AutoencoderKLWan:
    """Return Wan's autoencoder with trainable updates of all causal convolutions it decodes with.

    Its other weights are frozen and shared with the one that was given.
    """
    adapted = _share_weights(vae.requires_grad_(False))
    for name, module in list(adapted.named_modules()):
        is_decoded_with = name.startswith("decoder.") or name == "post_quant_conv"
        if isinstance(module, WanCausalConv3d) and is_decoded_with:
            parent, _, attribute = name.rpartition(".")
            low_rank = LoRACausalConv3d(module, min(rank, module.out_channels), alpha)
            setattr(adapted.get_submodule(parent), attribute, low_rank)
    return cast(AutoencoderKLWan, adapted)


def add_lora(decoder: nn.Module, *, rank: int, alpha: float) -> nn.Module:
    """Return a copy of a decoder whose convolutions carry trainable low-rank updates.

    All else in it is frozen.
    """
    adapted = copy.deepcopy(decoder).requires_grad_(False)
    for name, module in list(adapted.named_modules()):
        if isinstance(module, nn.Conv2d):
            parent = adapted.get_submodule(name.rpartition(".")[0])
            setattr(
                parent,
                name.rpartition(".")[2],
                LoRAConv2d(module, min(rank, module.out_channels), alpha),
            )
    return adapted


def lora_state(adapted: nn.Module) -> dict[str, Tensor]:
    """Return the trained tensors: ``<conv>.down.weight``, ``<conv>.up.weight``, ``<conv>.scale``.

    The scale is a tensor [1].
    """
    state: dict[str, Tensor] = {}
    for name, module in adapted.named_modules():
        if isinstance(module, LoRAConv2d | LoRACausalConv3d):
            state[f"{name}.down.weight"] = module.down.weight.detach().clone()
            state[f"{name}.up.weight"] = module.up.weight.detach().clone()
            state[f"{name}.scale"] = torch.tensor([module.scale])
    return state


@torch.no_grad()
def merge_lora(network: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Return a network with the updates of ``lora_state`` merged into its convolutions.

    W + scale * up @ down, exact, in any number of dimensions. Weights without an update are shared
    with the network that was given, which stays as it is.
    """
    merged = _share_weights(network)
    for name in sorted({key.rsplit(".", 2)[0] for key in state if key.endswith(".down.weight")}):
        conv = cast(nn.Conv2d, merged.get_submodule(name))
        down, up = state[f"{name}.down.weight"].float(), state[f"{name}.up.weight"].float()
        scale = state[f"{name}.scale"].float()
        update = torch.einsum("or,r...->o...", up.flatten(1), down) * scale.to(down)
        weight = conv.weight + update.to(conv.weight)
        conv.weight = nn.Parameter(weight, requires_grad=conv.weight.requires_grad)
    return merged


def _share_weights(network: nn.Module) -> nn.Module:
    """Return a copy of a network whose parts can be given other weights, and have the same now."""
    shared = copy.copy(network)
    shared._parameters = dict(network._parameters)
    shared._buffers = dict(network._buffers)
    shared._modules = {
        name: None if part is None else _share_weights(part)
        for name, part in network._modules.items()
    }
    return shared
