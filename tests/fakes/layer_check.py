"""Every layer of Mini v1 in bfloat16 against float32: kernels have been wrong for single shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from layert2v_engine import training
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.matte_adapter import MatteProjection
from layert2v_engine.training.config import load_config
from layert2v_engine.training.joint_stage import JointStage
from layert2v_engine.training.network import new_transformer
from layert2v_engine.training.stages import AutoencoderStage

MINI_V1 = Path(training.__path__[0]) / "configs" / "mini_v1_gpu"


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Return |actual - expected| / |expected|."""
    return float((actual.float() - expected.float()).norm() / expected.float().norm())


def layers() -> Iterator[tuple[str, nn.Module, tuple[int, ...]]]:
    """Yield every kind and shape of layer that Mini v1 multiplies in bfloat16, and its input."""
    joint = load_config(JointStage, "joint", MINI_V1)
    first = load_config(AutoencoderStage, "autoencoder", MINI_V1)
    autoencoder = PatchAutoencoder(**first.autoencoder)
    channels = autoencoder.latent_channels
    networks = {
        "transformer": new_transformer(joint.transformer, channels),
        "autoencoder": autoencoder,
        "projection": MatteProjection(channels),
    }
    seen = set()
    for network, root in networks.items():
        for name, module in root.named_modules():
            shape = input_shape(module)
            if shape is not None and (repr(module), shape) not in seen:
                seen.add((repr(module), shape))
                yield f"{network}.{name}", module, shape


def input_shape(module: nn.Module) -> tuple[int, ...] | None:
    """Return the shape of a small input, None for a module without a product."""
    if isinstance(module, nn.Linear):
        return 64, module.in_features
    if isinstance(module, nn.Conv2d):
        return 4, module.in_channels, 12, 16
    if isinstance(module, nn.Conv3d):
        return 4, module.in_channels, 3, 12, 16
    return None


def gradients(module: nn.Module, x: Tensor, device: torch.device, half: bool) -> list[Tensor]:
    """Return output and gradients of a layer, under the same random projection; float32, CPU."""
    x = x.to(device).requires_grad_()
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        out = module(x)
    rng = torch.Generator().manual_seed(2)
    (out.float() * torch.randn(out.shape, generator=rng).to(device)).sum().backward()
    tensors = [out.detach(), x.grad, *(p.grad for p in module.parameters())]
    module.zero_grad()
    return [g.float().cpu() for g in tensors if g is not None]


def worst_layer(device: torch.device) -> tuple[float, str]:
    """Return the largest relative error of bfloat16 against float32, and the layer's name."""
    worst = (0.0, "")
    torch.manual_seed(0)
    for name, module, shape in layers():
        layer = module.to(device).float()
        for parameter in layer.parameters():  # zeros would hide everything
            nn.init.normal_(parameter, std=0.05)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        pairs = zip(
            gradients(layer, x, device, True), gradients(layer, x, device, False), strict=True
        )
        worst = max(worst, (max(relative_error(half, full) for half, full in pairs), name))
    return worst
