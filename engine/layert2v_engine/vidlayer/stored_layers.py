"""A stack's scene-linear layers as the lossless 8-bit movies of a data set.

What training takes: straight display-referred color, linear matte and shadow, and display-referred
light, which adds to what lies below. A foreground's color is solved against what the files below it
hold, so that the rounding of matte, shadow and background does not show where layers meet. A
subject that adds more than its matte can show in white, such as a glow, leaves the rest to light.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from layert2v.stack import Role, Stack
from layert2v_engine.image.srgb import decode_srgb, encode_srgb
from layert2v_engine.stack.preview import load_frame
from layert2v_engine.vidlayer.movies import Pictures, write_lossless
from layert2v_engine.vidlayer.readers.own import OVER

_LEAST = 1 / 255
_SEEN = 2 / 255  # what is missing from full video, display-referred; less is rounding


def write_layers(folder: Path, stack: Stack, out: Path, fps: float) -> None:
    """Write the layers of a stack as lossless movies, and the background after each peel."""
    streams: dict[str, list[Pictures]] = {}
    for frame in range(stack.start_frame, stack.start_frame + stack.frames):
        for name, pixels in _stored_frame(folder, stack, frame).items():
            streams.setdefault(name, []).append(pixels.numpy())
    for name, pictures in streams.items():
        write_lossless(out / f"{name}.mkv", np.stack(pictures), fps)


def _stored_frame(folder: Path, stack: Stack, frame: int) -> dict[str, Tensor]:
    """Return the bytes of one frame by the names of their movies."""
    ref = load_frame(folder, stack.flat("ref"), frame).float()
    stored = {"full_video": _color_bytes(ref[..., :3])}
    exact = below = torch.zeros_like(ref[..., :3])  # over of the layers, and of what is stored
    for layer in stack.layers:
        pixels = load_frame(folder, layer, frame).float()
        rgb, alpha = pixels[..., :3], pixels[..., 3:]
        number = layer.name.rpartition("_")[2]
        exact = rgb if layer.role is Role.background else rgb + exact * (1 - alpha)
        if layer.role is Role.background:
            stored["background"] = _color_bytes(rgb)
            below = _linear(stored["background"])
        elif layer.role is Role.shadow:
            stored[f"shadow_{number}"] = _opacity_bytes(alpha[..., 0])
            stored[f"light_{number}"] = _color_bytes(rgb)
            kept = 1 - stored[f"shadow_{number}"][..., None] / 255
            below = _linear(stored[f"light_{number}"]) + below * kept
        else:
            stored[f"matte_{number}"] = _opacity_bytes(alpha[..., 0])
            cover = stored[f"matte_{number}"][..., None] / 255
            wanted = exact.clamp(0, 1)
            color = (wanted - below * (1 - cover)) / cover.clamp_min(_LEAST)
            stored[f"foreground_{number}"] = _color_bytes(color * (cover > 0))
            color = _linear(stored[f"foreground_{number}"])
            missing = _missing_light(wanted, below + (color - below) * cover, cover)
            old = stored[f"light_{number}"]
            stored[f"light_{number}"] = _color_bytes(_linear(old) + missing)
            below = below + _linear(stored[f"light_{number}"]) - _linear(old)
            below = below + (color - below) * cover
            if layer is not stack.layers[-1]:
                stored[Path(OVER.format(int(number))).stem] = _color_bytes(exact)
    return stored


def _missing_light(wanted: Tensor, comp: Tensor, cover: Tensor) -> Tensor:
    """Return the light below a foreground that makes a comp, linear, as bright as it should be."""
    is_seen = encode_srgb(wanted) - encode_srgb(comp.clamp(0, 1)) > _SEEN
    missing = (wanted - comp).clamp_min(0) / (1 - cover).clamp_min(_LEAST)
    return missing * is_seen * (cover < 1)


def _color_bytes(linear: Tensor) -> Tensor:
    return (encode_srgb(linear.clamp(0, 1)) * 255).round().byte()


def _opacity_bytes(plane: Tensor) -> Tensor:
    return (plane.clamp(0, 1) * 255).round().byte()


def _linear(stored: Tensor) -> Tensor:
    return decode_srgb(stored.float() / 255)
