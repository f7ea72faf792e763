"""The arithmetic of layers: over, premultiplication, shadow opacity, rounding to half.

Pixels are ``[..., 4]`` tensors in R, G, B, A order, scene-linear and premultiplied unless a name
says otherwise. Nothing here knows a file or a color space.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

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


def to_half_rgba(rgb: Tensor, alpha: Tensor) -> Tensor:
    """Return straight ``rgb`` ``[3, H, W]`` and ``alpha`` ``[H, W]`` as half ``[H, W, 4]``.

    That is ``to_half`` of ``premultiply``, to the bit, with fewer copies.
    """
    pixels = torch.empty(*alpha.shape, 4, dtype=torch.float16, device=alpha.device)
    for channel, plane in enumerate(rgb):
        pixels[..., channel] = _limit_to_half((plane * alpha).float())
    pixels[..., 3] = _limit_to_half(alpha.clone().float())
    return pixels


def _limit_to_half(values: Tensor) -> Tensor:
    """Limit float values in place to what half holds."""
    values.nan_to_num_(nan=0.0, posinf=HALF_MAX, neginf=-HALF_MAX)
    return values.clamp_(-HALF_MAX, HALF_MAX)


def to_half(pixels: Tensor) -> Tensor:
    """Return pixels of any shape rounded to half.

    NaN becomes 0 and anything outside the half range its largest number.
    """
    finite = torch.nan_to_num(pixels.float(), nan=0.0, posinf=HALF_MAX, neginf=-HALF_MAX)
    return finite.clamp(-HALF_MAX, HALF_MAX).half()
