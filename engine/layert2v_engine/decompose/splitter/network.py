"""The network that splits a frame, its clean plate and a rough mask into alpha and shadow.

A U-Net without attention: any size goes in, and every part of a picture is treated alike. It works
on display-like values (``network_values``), so that a difference is about as large as it looks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.image.srgb import decode_srgb, encode_srgb
from layert2v_engine.tensor_file import load_tensors

CONFIG, WEIGHTS = "config.json", "splitter.safetensors"
INPUT_CHANNELS = 11  # source, plate and difference (3 each), log ratio of light, mask
NO_PLATE = 0.0  # a plate that is none is black all over, in light and in network values
_SLOPE_AT_WHITE = 1.055 / 2.4  # of the sRGB curve
_BRIGHTEST = 4.0  # network value of a light about 900 times as bright as white
_LUMA = (0.2126, 0.7152, 0.0722)
_LEAST_LIGHT = 0.01  # added to both sides of a ratio: darker than this is noise
_OPTIONAL = ("groups", "context", "is_plate_optional")  # of a config that was written before
_MASK_LOGIT, _SHADOW_LOGIT = 8.0, -3.0  # what is said where nothing was learned


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitterConfig:
    """Sizes of the network: channels at the full size, at a half, a quarter and so on."""

    widths: tuple[int, ...] = (16, 32, 64, 112, 160)
    groups: int = 8  # of a normalization
    context: int = 0  # channels of the wide view at the coarsest level, 0 for none
    is_plate_optional: bool = False  # whether it has learned to find shadows without a plate


def network_values(linear: Tensor) -> Tensor:
    """Return display-like values of scene-linear ones: sRGB up to 1, a logarithm above."""
    light = linear.clamp_min(0)
    above = 1 + _SLOPE_AT_WHITE * light.clamp_min(1).log()
    return torch.where(light <= 1, encode_srgb(light.clamp_max(1)), above).clamp_max(_BRIGHTEST)


def linear_values(values: Tensor) -> Tensor:
    """Return scene-linear values of ``network_values``."""
    above = ((values.clamp_min(1) - 1) / _SLOPE_AT_WHITE).exp()
    return torch.where(values <= 1, decode_srgb(values.clamp(0, 1)), above)


def network_input(source: Tensor, plate: Tensor, mask: Tensor) -> Tensor:
    """Return the input [B, 11, H, W] for network values [B, 3, H, W] and a mask [B, 1, H, W]."""
    luma = torch.tensor(_LUMA, device=source.device).view(1, 3, 1, 1)
    light = [(linear_values(x) * luma).sum(1, keepdim=True) + _LEAST_LIGHT for x in (source, plate)]
    ratio = (light[0].log() - light[1].log()).clamp(-3, 3)
    difference = ((source - plate) * 4).clamp(-4, 4)
    return torch.cat([source - 0.5, plate - 0.5, difference, ratio, mask - 0.5], 1)


class _Block(nn.Sequential):
    """Two normalized convolutions."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.GroupNorm(groups, outputs),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.GroupNorm(groups, outputs),
            nn.SiLU(),
        )


class _Context(nn.Module):
    """What is far away, added: two convolutions with gaps, which reach over most of a picture.

    A shadow may lie farther from its subject than the blocks of a level see. Nothing is added
    until that is learned.
    """

    def __init__(self, width: int, inner: int, groups: int) -> None:
        super().__init__()
        self.near = nn.Conv2d(width, inner, 3, padding=2, dilation=2)
        self.norm = nn.GroupNorm(groups, inner)
        self.far = nn.Conv2d(inner, width, 3, padding=4, dilation=4)
        nn.init.zeros_(self.far.weight)
        nn.init.zeros_(cast(Tensor, self.far.bias))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.far(functional.silu(self.norm(self.near(x))))


class SplitterNetwork(nn.Module):
    """Inputs of ``network_input`` to alpha and shadow, each [B, 1, H, W] in 0..1."""

    def __init__(self, config: SplitterConfig | None = None) -> None:
        super().__init__()
        self.config = config or SplitterConfig()
        widths, groups = self.config.widths, self.config.groups
        inputs = (INPUT_CHANNELS, *widths[:-1])
        self.down = nn.ModuleList(_Block(i, o, groups) for i, o in zip(inputs, widths, strict=True))
        context = self.config.context
        self.context = _Context(widths[-1], context, groups) if context else nn.Identity()
        self.up = nn.ModuleList(
            _Block(deep + shallow, shallow, groups) for shallow, deep in pairwise(widths)
        )
        self.head = nn.Conv2d(widths[0], 2, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(cast(Tensor, self.head.bias))

    @property
    def multiple(self) -> int:
        """Sides are padded to a multiple of this many pixels."""
        return int(2 ** (len(self.config.widths) - 1))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        height, width = inputs.shape[-2:]
        bottom, right = (-side % self.multiple for side in (height, width))
        x = functional.pad(inputs, (0, right, 0, bottom), mode="replicate")
        levels: list[Tensor] = []
        for block in self.down:
            x = block(functional.avg_pool2d(x, 2) if levels else x)
            levels.append(x)
        x = self.context(x)
        for level, block in reversed(list(zip(levels[:-1], self.up, strict=True))):
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0), level], 1))
        logits = self.head(x)[..., :height, :width].float()
        alpha = (logits[:, :1] + _MASK_LOGIT * inputs[:, -1:].float()).sigmoid()
        return alpha, (logits[:, 1:] + _SHADOW_LOGIT).sigmoid()


def save_network(network: SplitterNetwork, folder: Path) -> None:
    """Write configuration and weights (half) into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).write_text(json.dumps(asdict(network.config), indent=2) + "\n")
    save_file(
        {name: value.detach().cpu().half() for name, value in network.state_dict().items()},
        folder / WEIGHTS,
    )


def load_network(folder: Path) -> SplitterNetwork:
    """Return what ``save_network`` wrote, in float32, ready to be used.

    Raises BadCheckpoint for a folder that does not hold a splitter.
    """
    try:
        values = json.loads((folder / CONFIG).read_text())
        weights = {name: tensor.float() for name, tensor in load_tensors(folder / WEIGHTS).items()}
        sizes = {name: values[name] for name in _OPTIONAL if name in values}
        config = SplitterConfig(widths=tuple(values["widths"]), **sizes)
        if len(config.widths) > len(weights):
            raise ValueError(f"{len(config.widths)} widths are too many")
        with torch.device("meta"):  # a config may ask for any size: compared before it is built
            network = SplitterNetwork(config)
        network.load_state_dict(weights, assign=True)
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise BadCheckpoint(
            f"{folder} holds no splitter: {error}.", "Train one, or leave the shipped one in use."
        ) from error
    return network.eval().requires_grad_(False)


def parameter_count(parameters: Sequence[nn.Parameter]) -> int:
    """Return the number of values in ``parameters``."""
    return sum(math.prod(p.shape) for p in parameters)
