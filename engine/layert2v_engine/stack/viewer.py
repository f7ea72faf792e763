"""A stack as one HTML file: play, step, switch layers, look at alpha; no server and no network.

Frames are embedded as small WebP pictures, premultiplied color above and alpha below, so that the
browser's own premultiplication cannot touch them and light without alpha is kept; the page
composites in linear light as ``compositing`` does.
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from layert2v.stack import FlattenedSequence, Layer, Stack
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.image.color import ColorTransform
from layert2v_engine.stack.preview import (
    VIEWER,
    describe_sequence,
    load_frame,
    preview_folder,
    summary,
    to_srgb_bytes,
)

_LONGEST_SIDE = 512
# Small stacks are embedded without loss; bigger ones would make the page heavy.
_LOSSLESS_PIXELS = 2_000_000
_WEBP_QUALITY = 88


def write_viewer(folder: Path, stack: Stack, to_display: ColorTransform) -> Path:
    """Write the viewer beside the other previews; returns its path. Raises ``DiskFull``."""
    size = _embedded_size(stack)
    refs = [flat for flat in stack.flats if flat.name == "ref"]
    pixels = size[0] * size[1] * stack.frames * (len(stack.layers) + len(refs))
    lossless = pixels <= _LOSSLESS_PIXELS

    def embed(sequence: Layer | FlattenedSequence) -> dict[str, Any]:
        frames = _frames(folder, stack, sequence, size, to_display)
        return {
            "name": sequence.name,
            "role": describe_sequence(sequence),
            "prompt": sequence.prompt if isinstance(sequence, Layer) else "",
            "frames": [_data_url(frame, lossless) for frame in frames],
        }

    data = {
        "name": stack.name,
        "prompt": stack.prompt,
        "facts": summary(stack),
        "width": size[1],
        "height": size[0],
        "pixelAspect": stack.pixel_aspect,
        "fps": stack.fps,
        "startFrame": stack.start_frame,
        "frames": stack.frames,
        "layers": [embed(layer) for layer in stack.layers],
        "ref": embed(refs[0]) if refs else None,
    }
    template = resources.files(__package__).joinpath("viewer.html").read_text(encoding="utf-8")
    safe = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    page = template.replace("{{TITLE}}", html.escape(stack.name)).replace("{{DATA}}", safe)
    path = folder / preview_folder(stack.state) / VIEWER
    with atomic_write(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return path


def _embedded_size(stack: Stack) -> tuple[int, int]:
    """Return height and width of an embedded picture in pixels."""
    scale = min(1.0, _LONGEST_SIDE / max(stack.width, stack.height))
    return max(1, round(stack.height * scale)), max(1, round(stack.width * scale))


def _frames(
    folder: Path,
    stack: Stack,
    sequence: Layer | FlattenedSequence,
    size: tuple[int, int],
    to_display: ColorTransform,
) -> Iterator[np.ndarray]:
    for frame in range(stack.start_frame, stack.start_frame + stack.frames):
        yield _stack_color_and_alpha(
            _downscale(load_frame(folder, sequence, frame).float(), size), to_display
        )


def _downscale(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample premultiplied scene-linear float ``[H, W, 4]``, the only encoding fit for that."""
    if tuple(pixels.shape[:2]) == size:
        return pixels
    planes = pixels.movedim(-1, 0)[None]
    small = F.interpolate(planes, size=size, mode="bilinear", antialias=True, align_corners=False)
    return small[0].movedim(0, -1)


def _stack_color_and_alpha(pixels: Tensor, to_display: ColorTransform) -> np.ndarray:
    """Return premultiplied sRGB above alpha, bytes ``[2 * H, W, 3]``; ``[H, W, 3]`` if opaque."""
    color = to_srgb_bytes(pixels, to_display)
    alpha = pixels[..., 3:].clamp(0.0, 1.0)
    if bool((alpha == 1.0).all()):
        return color
    grey = (alpha * 255.0).round().to(torch.uint8).numpy().repeat(3, axis=-1)
    return np.concatenate((color, grey))


def _data_url(pixels: np.ndarray, lossless: bool) -> str:
    out = io.BytesIO()
    Image.fromarray(pixels).save(
        out, format="WEBP", lossless=lossless, quality=_WEBP_QUALITY, method=4
    )
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode("ascii")
