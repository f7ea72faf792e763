"""One multilayer file per frame, written on demand from a finished stack.

Root R, G, B, A hold the comp, then come ``<layer>.R/.G/.B/.A``: one part, one window, one dot in a
name. That is the form in which Nuke and every Blender show all layers of one file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from layert2v.stack import Stack, frame_path
from layert2v_engine.image import exr
from layert2v_engine.image.exr_header import ExrOptions, Tags
from layert2v_engine.stack.packed_names import packed_channels, packed_pattern, packed_sequences


def pack(
    folder: Path,
    stack: Stack,
    options: ExrOptions | None = None,
    *,
    prefix: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write the packed frames of the stack in ``folder``; returns their paths.

    Frames hold the pixels of the layer files to the bit when ``options`` are lossless. Raises
    ``DiskFull`` or ``StackError``; packed frames of this call are then taken back. The names of
    layers begin with ``prefix``.
    """
    channels = packed_channels(stack, prefix)
    written: list[Path] = []
    try:
        for index in range(stack.frames):
            frame = stack.start_frame + index
            path = folder / frame_path(packed_pattern(stack), frame)
            sequences = packed_sequences(stack)
            images = [exr.read(folder / frame_path(each.pattern, frame)) for each in sequences]
            pixels = torch.cat(images, dim=-1)
            exr.write(path, pixels, _tags(stack, frame, prefix), options or ExrOptions(), channels)
            written.append(path)
            if progress is not None:
                progress(index + 1, stack.frames)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return written


def _tags(stack: Stack, frame: int, prefix: str) -> Tags:
    order = [
        {"name": layer.name, "role": layer.role.value, "caster": layer.caster}
        for layer in stack.layers
    ]
    return Tags(
        colorspace=stack.colorspace,
        fps=stack.fps,
        frame=frame,
        pixel_aspect=stack.pixel_aspect,
        comments=stack.prompt,
        custom={
            "layers": json.dumps(order),
            **({"layer_prefix": prefix} if prefix else {}),
            "seed": str(stack.seed),
            "model": stack.model,
            "model_digest": stack.model_digest,
        },
    )
