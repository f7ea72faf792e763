"""A delivered stack read back as the pictures a model draws: display-referred, straight."""

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
    """The newest state of a stack; `display` is the colour space to show it in.

    Raises StackError where a file cannot be read or there is no full video.
    """
    stack = manifest.read(folder)
    to_display = ColorConfig.load().transform(stack.colorspace, display)

    def pixels(sequence: Layer | FlattenedSequence) -> Tensor:  # [T, H, W, 4] premultiplied, linear
        frames = range(stack.start_frame, stack.start_frame + stack.frames)
        paths = [folder / frame_path(sequence.pattern, frame) for frame in frames]
        return torch.stack([exr.read(path).float() for path in paths])

    def colour(read: Tensor) -> Tensor:  # [1, 3, T, H, W]
        straight = unpremultiply(read)[..., :3].movedim(-1, 1)
        return torch.stack([to_display(frame).clamp(0, 1) for frame in straight], 1)[None]

    def actor(layer: Layer) -> ForegroundFrames:
        read, shadow = pixels(layer), shadow_of(layer.name, stack)
        return ForegroundFrames(
            color=colour(read),
            alpha=read[..., 3][None, None],
            shadow=None if shadow is None else pixels(stack.layer(shadow))[..., 3][None, None],
        )

    grounds = [layer for layer in stack.layers if layer.role is Role.background]
    return LayerFrames(
        composite=colour(pixels(stack.flat("ref"))),
        background=colour(pixels(grounds[0])),
        foregrounds=tuple(actor(x) for x in stack.layers if x.role is Role.foreground),
    )
