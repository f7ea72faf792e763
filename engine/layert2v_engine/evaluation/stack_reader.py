"""Delivered stacks as the frames a model generates: display-referred, not premultiplied."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from layert2v.rerender import shadow_of
from layert2v.stack import FlattenedSequence, Layer, Role, frame_path
from layert2v_engine.image import exr
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.compositing import unpremultiply
from layert2v_engine.stack import manifest
from layert2v_engine.stream_codec import ForegroundFrames, LayerFrames


def read_layers(folder: Path, display: str) -> LayerFrames:
    """Read the newest state of a stack; ``display`` is the color space to show it in.

    Raises StackError where a file cannot be read or there is no full video.
    """
    stack = manifest.read(folder)
    to_display = ColorConfig.load().transform(stack.colorspace, display)

    def pixels(sequence: Layer | FlattenedSequence) -> Tensor:  # [T, H, W, 4] premultiplied, linear
        frames = range(stack.start_frame, stack.start_frame + stack.frames)
        paths = [folder / frame_path(sequence.pattern, frame) for frame in frames]
        return torch.stack([exr.read(path).float() for path in paths])

    def color(read: Tensor) -> Tensor:  # [1, 3, T, H, W]
        straight = unpremultiply(read)[..., :3].movedim(-1, 1)
        return torch.stack([to_display(frame).clamp(0, 1) for frame in straight], 1)[None]

    def foreground(layer: Layer) -> ForegroundFrames:
        read, shadow = pixels(layer), shadow_of(layer.name, stack)
        return ForegroundFrames(
            color=color(read),
            alpha=read[..., 3][None, None],
            shadow=None if shadow is None else pixels(stack.layer(shadow))[..., 3][None, None],
        )

    backgrounds = [layer for layer in stack.layers if layer.role is Role.background]
    return LayerFrames(
        composite=color(pixels(stack.flat("ref"))),
        background=color(pixels(backgrounds[0])),
        foregrounds=tuple(foreground(x) for x in stack.layers if x.role is Role.foreground),
    )
