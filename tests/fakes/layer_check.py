"""Every layer of the Mini in bfloat16 against float32: kernels were wrong for single shapes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn

from layert2v_engine.model.checkpoint import load_transformer
from layert2v_engine.model.components import load_autoencoder, load_matte_projection
from layert2v_engine.pipeline import find_model


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Return |actual - expected| / |expected|."""
    return float((actual.float() - expected.float()).norm() / expected.float().norm())


def layers() -> Iterator[tuple[str, nn.Module, tuple[int, ...]]]:
    """Yield every kind and shape of layer that the Mini multiplies in bfloat16, and its input."""
    folder, cpu = find_model("mini"), torch.device("cpu")
    networks = {
        "transformer": load_transformer(folder / "transformer"),
        "autoencoder": cast(nn.Module, load_autoencoder(folder / "autoencoder", cpu)),
        "projection": load_matte_projection(folder / "matte", cpu),
    }
    seen = set()
    for network, root in networks.items():
        for name, module in root.requires_grad_(True).named_modules():
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
