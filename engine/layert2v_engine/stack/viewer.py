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

INDEX, STYLE, SCRIPT = "index.html", "viewer.css", "viewer.js"  # of a web server's viewer

_LONGEST_SIDE = 512
# Small stacks are embedded without loss; bigger ones would make the page heavy.
_LOSSLESS_PIXELS = 2_000_000
_WEBP_QUALITY = 88


def write_viewer(folder: Path, stack: Stack, to_display: ColorTransform) -> Path:
    """Write the viewer beside the other previews; returns its path. Raises ``DiskFull``."""
    path = folder / preview_folder(stack.state) / VIEWER
    with atomic_write(path) as temporary:
        temporary.write_text(_page(folder, stack, to_display), encoding="utf-8")
    return path


def write_web_viewer(folder: Path, stack: Stack, to_display: ColorTransform, out: Path) -> None:
    """Write the viewer into the folder ``out`` for a web server that allows no inline script.

    ``index.html`` holds the frames and loads ``viewer.css`` and ``viewer.js`` from beside it.
    """
    page = _page(folder, stack, to_display, is_linked=True)
    out.mkdir(parents=True, exist_ok=True)
    files = {name: _resource(name) for name in (STYLE, SCRIPT)}
    for name, text in {**files, INDEX: page}.items():  # the page last: it shows that all is here
        with atomic_write(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


def _page(
    folder: Path, stack: Stack, to_display: ColorTransform, *, is_linked: bool = False
) -> str:
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
    template = _linked_template() if is_linked else _inline_template()
    safe = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    return template.replace("{{TITLE}}", html.escape(stack.name)).replace("{{DATA}}", safe)


def _inline_template() -> str:
    page = _resource(VIEWER)
    return page.replace("{{STYLE}}", _resource(STYLE)).replace("{{SCRIPT}}", _resource(SCRIPT))


def _linked_template() -> str:
    start, _, rest = _resource(VIEWER).partition("<meta http-equiv=")  # the server says the policy
    page = start + rest[rest.index("<title>") :]
    page = page.replace("<header>", '<header><a href="..">Back to the job</a>')
    links = f'<link rel="icon" href="data:,">\n<link rel="stylesheet" href="{STYLE}">'
    return page.replace("<style>\n{{STYLE}}</style>", links).replace(
        "<script>\n{{SCRIPT}}</script>", f'<script src="{SCRIPT}"></script>'
    )


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


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
