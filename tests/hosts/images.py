"""EXR files as arrays, a small hand-made stack, and the over that hosts are measured against."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from layert2v import stack as manifest

Image = NDArray[np.float32]  # [H, W, 4], premultiplied, scene-linear

WIDTH, HEIGHT, FRAMES = 24, 16, 3


def read_rgba(path: Path) -> Image:
    """Return the file's R, G, B, A as float32 ``[H, W, 4]``."""
    buffer = oiio.ImageBuf(str(path))
    assert not buffer.has_error, buffer.geterror()
    names = buffer.spec().channelnames
    pixels = np.asarray(buffer.get_pixels(oiio.FLOAT))
    return np.ascontiguousarray(pixels[..., [names.index(channel) for channel in "RGBA"]])


def write_rgba(path: Path, pixels: Image) -> None:
    """Write a plain half-float RGBA file from float32 ``[H, W, 4]``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], 4, oiio.HALF)
    output = oiio.ImageOutput.create(str(path))
    assert output is not None, oiio.geterror()
    assert output.open(str(path), spec), output.geterror()
    assert output.write_image(pixels), output.geterror()
    output.close()


def over(layers: list[Image]) -> Image:
    """Return the linear over of premultiplied layers, given from bottom to top."""
    result = layers[0]
    for layer in layers[1:]:
        result = layer + result * (1 - layer[..., 3:])
    return result


def write_small_stack(folder: Path, *, colorspace: str, start_frame: int) -> manifest.Stack:
    """Write a background up to 6, a soft shadow, soft foreground; no frame equals another."""
    pictures = {"bg": _background, "shadow_01": _shadow, "fg_01": _foreground}
    patterns = {name: manifest.layer_pattern(name, 1) for name in (*pictures, "comp")}
    files: dict[str, list[manifest.FileRecord]] = {name: [] for name in patterns}
    for index in range(FRAMES):
        frame = {name: picture(index) for name, picture in pictures.items()}
        frame["comp"] = over(list(frame.values()))
        for name, pixels in frame.items():
            path = manifest.frame_path(patterns[name], start_frame + index)
            write_rgba(folder / path, pixels)
            data = (folder / path).read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            files[name].append(manifest.FileRecord(path, len(data), digest))
    roles = {"bg": "background", "shadow_01": "shadow", "fg_01": "foreground"}
    stack = manifest.Stack(
        name="small", width=WIDTH, height=HEIGHT, pixel_aspect=1.0, fps=24.0,
        start_frame=start_frame, frames=FRAMES, colorspace=colorspace,
        layers=tuple(
            manifest.Layer(
                name=name, role=manifest.Role(roles[name]), version=1, pattern=patterns[name],
                prompt="", seed=0, caster="fg_01" if name == "shadow_01" else None,
                files=tuple(files[name]), source="imported",
            )
            for name in pictures
        ),
        flats=(manifest.FlattenedSequence("comp", 1, patterns["comp"], tuple(files["comp"])),),
        prompt="", negative_prompt="", seed=0, model="", model_digest="", prompt_interpretation="",
        warnings=(), latents=(), previews=(),
        history=(manifest.HistoryEntry("import", "2026-01-01T00:00:00Z", {}, {}),),
        created="2026-01-01T00:00:00Z", generator="tests",
    )  # fmt: skip
    manifest.write(stack, folder)
    return stack


def _ramps(index: int) -> tuple[Image, Image]:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    return x / (WIDTH - 1), (y + 2 * index) / (HEIGHT + 2 * FRAMES)


def _background(index: int) -> Image:
    across, down = _ramps(index)
    return np.stack([6 * across, down, 0.18 + 0 * down, 1 + 0 * down], axis=-1)


def _shadow(index: int) -> Image:
    across, down = _ramps(index)
    return np.stack([0 * down, 0 * down, 0 * down, 0.7 * across * down], axis=-1)


def _foreground(index: int) -> Image:
    across, down = _ramps(index)
    alpha = np.clip(2 * down - 0.4, 0, 1)
    return np.stack([2 * alpha, across * alpha, 0.3 * alpha, alpha], axis=-1)
