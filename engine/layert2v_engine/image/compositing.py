"""The arithmetic of layers: over, premultiplication, shadow opacity, rounding to half.

Pixels are ``[..., 4]`` tensors in R, G, B, A order, scene-linear and premultiplied unless a name
says otherwise. Nothing here knows a file or a color space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import cv2
import torch
from torch import Tensor

HALF_MAX = 65504.0

# The light that a shadow's opacity is meant for: linear, or that of a display-encoded picture.
ShadowDomain = Literal["linear", "display"]

# Darkening by opacity s in a display-encoded picture equals linear opacity 1 - (1 - s)^2.2: mean
# error 0.004 against 0.05 for s used unchanged. The sRGB curve is 2.2 closely enough for shadows.
DISPLAY_GAMMA = 2.2

# Below this alpha a stored color is mostly rounding: half has 11 bits, 8-bit sources have fewer.
UNPREMULTIPLY_FLOOR = 1.0 / 512.0

# Of 2**13 to 2**17, the fastest at 832 x 480 and at 1080p.
_BAND_PIXELS = 1 << 16


def over(top: Tensor, bottom: Tensor) -> Tensor:
    """Return ``top`` over ``bottom``, premultiplied ``[..., 4]``; alpha follows the same rule.

    The two roundings of ``bottom * (1 - a)`` and of the sum are part of the definition: numpy,
    torch and a host that do the same in float32 agree to the bit.
    """
    return top + bottom * (1.0 - top[..., 3:])


def flatten(layers: Iterable[Tensor]) -> Tensor:
    """Return the comp of half layers ``[..., 4]`` from bottom to top, premultiplied half.

    Over is computed in float32 and rounded to half once. Raises ``ValueError`` when there is no
    layer.
    """
    pixels: Tensor | None = None
    for layer in layers:
        pixels = layer.float() if pixels is None else over(layer.float(), pixels)
    if pixels is None:
        raise ValueError("a comp needs at least one layer")
    return to_half(pixels)


def premultiply(pixels: Tensor) -> Tensor:
    """Return straight ``[..., 4]`` premultiplied.

    Values must be scene-linear already, or soft edges go wrong.
    """
    alpha = pixels[..., 3:]
    return torch.cat((pixels[..., :3] * alpha, alpha), dim=-1)


def unpremultiply(pixels: Tensor, floor: float = UNPREMULTIPLY_FLOOR) -> Tensor:
    """Return premultiplied ``[..., 4]`` as straight.

    Alpha below ``floor`` divides by ``floor``, so that the noise of nearly empty pixels fades to
    black and does not become bright color.
    """
    alpha = pixels[..., 3:]
    return torch.cat((pixels[..., :3] / alpha.clamp_min(floor), alpha), dim=-1)


def shadow_to_linear(opacity: Tensor) -> Tensor:
    """Return the alpha 0..1 in linear light for a shadow opacity in a display-encoded picture."""
    return 1.0 - (1.0 - opacity.clamp(0.0, 1.0)).pow(DISPLAY_GAMMA)


def linear_to_shadow(alpha: Tensor) -> Tensor:
    """Return the opacity 0..1 in a display-encoded picture for a shadow alpha in linear light."""
    return 1.0 - (1.0 - alpha.clamp(0.0, 1.0)).pow(1.0 / DISPLAY_GAMMA)


def to_half_rgba(
    rgb: Tensor, alpha: Tensor, to_linear: Callable[[Tensor], Tensor] | None = None
) -> Tensor:
    """Return straight ``rgb`` ``[3, H, W]`` and ``alpha`` ``[H, W]`` as half ``[H, W, 4]``.

    That is ``to_half`` of ``premultiply``, of color that ``to_linear`` has converted. On the CPU it
    goes in bands of rows that stay in a core's cache.
    """
    height, width = alpha.shape
    rows = max(1, _BAND_PIXELS // max(1, width)) if alpha.device.type == "cpu" else height
    pixels = torch.empty(height, width, 4, dtype=torch.float16, device=alpha.device)
    for start in range(0, height, rows):
        band = slice(start, start + rows)
        color, coverage = rgb[:, band], alpha[band].float()
        linear = color.float() if to_linear is None else to_linear(color)
        pixels[band] = _limit_to_half(interleave(linear * coverage, coverage))
    return pixels


def interleave(rgb: Tensor, alpha: Tensor) -> Tensor:
    """Return float ``rgb`` ``[3, H, W]`` and ``alpha`` ``[H, W]`` as a new ``[H, W, 4]``."""
    if rgb.device.type != "cpu" or rgb.dtype != torch.float32:
        return torch.cat((rgb, alpha[None])).movedim(0, -1).contiguous()
    planes = (*rgb.detach(), alpha.detach())
    return torch.from_numpy(cv2.merge([plane.numpy() for plane in planes]))


def to_half(pixels: Tensor) -> Tensor:
    """Return pixels of any shape rounded to half.

    NaN becomes 0 and anything outside the half range its largest number.
    """
    return _limit_to_half(pixels.float()).half()


def _limit_to_half(values: Tensor) -> Tensor:
    """Return float values limited to what half holds; the same tensor where they already are."""
    if values.numel() and values.device.type == "cpu":  # elsewhere, looking would wait for them
        low, high = values.aminmax()
        if float(low) >= -HALF_MAX and float(high) <= HALF_MAX:  # never so with a NaN
            return values
    finite = torch.nan_to_num(values, nan=0.0, posinf=HALF_MAX, neginf=-HALF_MAX)
    return finite.clamp_(-HALF_MAX, HALF_MAX)
