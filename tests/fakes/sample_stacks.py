"""Small stacks, images and videos with known values, and a second library to read EXR with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import OpenEXR
import torch
from torch import Tensor

from layert2v.stack import Role, Stack
from layert2v_engine.stack.manifest import Provenance
from layert2v_engine.stack.writer import StackWriter

HEIGHT, WIDTH = 18, 28
RGBA = ("R", "G", "B", "A")


def gradient(height: int = HEIGHT, width: int = WIDTH, shift: float = 0.0) -> Tensor:
    """Return smooth color ``[3, H, W]`` in 0..1, each channel different."""
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    return torch.stack((x, (x + y + shift) / (2 + shift), 1 - 0.8 * y))


def disc(height: int = HEIGHT, width: int = WIDTH, radius: float = 0.3) -> Tensor:
    """Return a matte ``[H, W]`` with a soft edge, 1 in the middle and 0 at the border."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    away = ((y - height / 2) ** 2 + (x - width / 2) ** 2).sqrt() / min(height, width)
    return ((radius - away) / 0.1 + 0.5).clamp(0, 1)


def writer(folder: Path, *, frames: int = 2, **options: Any) -> StackWriter:
    """Return a writer of small stacks with a background, a shadow and a foreground."""
    settings: dict[str, Any] = {
        "name": "small",
        "width": WIDTH,
        "height": HEIGHT,
        "fps": 24.0,
        "start_frame": 1001,
        "frames": frames,
        "colorspace": "lin_rec709_scene",
    }
    stack_writer = StackWriter(folder, **{**settings, **options})
    stack_writer.add_layer("bg", Role.background, prompt="a forest", seed=2**60 + 1)
    stack_writer.add_layer("shadow_01", Role.shadow, caster="fg_01", seed=3)
    stack_writer.add_layer("fg_01", Role.foreground, prompt="ein Fuchs läuft 狐", seed=4)
    return stack_writer


def fill(stack_writer: StackWriter) -> None:
    """Write all frames of the stack."""
    height, width = stack_writer.format.height, stack_writer.format.width
    matte = disc(height, width)
    for index in range(stack_writer.format.frames):
        stack_writer.write_frame("bg", index, gradient(height, width, shift=0.1 * index))
        stack_writer.write_frame("shadow_01", index, None, 0.6 * matte.roll((2, 3), (0, 1)))
        stack_writer.write_frame("fg_01", index, 1 - gradient(height, width), matte)
        stack_writer.write_ref(index, gradient(height, width))


def write_stack(folder: Path, **options: Any) -> Stack:
    """Write a small finished stack into ``folder``."""
    with writer(folder, **options) as stack_writer:
        fill(stack_writer)
        return stack_writer.finish(Provenance(prompt="a fox in a forest", seed=7, model="mini"))


def read_exr(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return header and planes of an EXR file, as the OpenEXR library sees them."""
    file = OpenEXR.File(str(path), separate_channels=True)
    return dict(file.header()), {name: each.pixels for name, each in file.channels().items()}


def read_rgba(path: Path) -> np.ndarray:
    """Return ``[H, W, 4]`` of a plain layer file."""
    _, planes = read_exr(path)
    return np.stack([planes[channel] for channel in RGBA], axis=-1)


def write_video(
    path: Path,
    frames: Iterable[av.VideoFrame],
    *,
    codec: str,
    options: Mapping[str, str] | None = None,
    fps: int = 24,
    **tags: Any,
) -> Path:
    """Encode ``frames`` as they are; ``tags`` are FFmpeg's numbers, such as ``colorspace=1``."""
    pictures = list(frames)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = pictures[0].width, pictures[0].height
        stream.pix_fmt, stream.options = pictures[0].format.name, dict(options or {})
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for index, picture in enumerate(pictures):
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def flat_frame(codes: tuple[int, ...], pixel_format: str, size: tuple[int, int]) -> av.VideoFrame:
    """Return a frame of planes that hold one code each, ``size`` as width and height."""
    frame = av.VideoFrame(*size, pixel_format)
    depth = np.dtype("u1" if frame.format.components[0].bits == 8 else "<u2")
    for plane, code in zip(frame.planes, codes, strict=True):
        plane.update(np.full(plane.buffer_size // depth.itemsize, code, depth).tobytes())
    return frame


def grey_frame(values: Tensor) -> av.VideoFrame:
    """Return full-range grey of ``[H, W]`` in 0..1 as an RGB frame."""
    return rgb_frame(values.expand(3, -1, -1))


def rgb_frame(rgb: Tensor) -> av.VideoFrame:
    """Return 8-bit RGB of ``[3, H, W]`` in 0..1."""
    codes = (rgb.clamp(0, 1) * 255).round().to(torch.uint8).movedim(0, -1)
    return av.VideoFrame.from_ndarray(codes.contiguous().numpy(), format="rgb24")
