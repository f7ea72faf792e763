"""Movies of a data set: lossless for us, H.264 as the authors' reader takes them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.image.footage.clip import open_clip
from layert2v_engine.image.footage.yuv import convert_samples

Pictures = NDArray[np.uint8]
_BT709, _LIMITED_RANGE = 1, 1


def write_lossless(path: Path, pictures: Pictures, fps: float) -> Path:
    """Write ``[T, H, W, 3]`` sRGB or ``[T, H, W]`` opacity bytes as FFV1 in Matroska."""
    is_gray = pictures.ndim == 3
    options = {"level": "3", "slices": "4"}
    return _write(path, pictures, fps, "ffv1", "gray" if is_gray else "bgr0", "matroska", options)


def write_h264(path: Path, pictures: Pictures, fps: float) -> Path:
    """Write the same as H.264, 4:2:0, limited range, BT.709, which every reader opens.

    Sides must be even.
    """
    color = np.repeat(pictures[..., None], 3, -1) if pictures.ndim == 3 else pictures
    options = {"crf": "12", "preset": "medium", "x264-params": "mbtree=0", "threads": "1"}
    return _write(path, color, fps, "libx264", "yuv420p", "mp4", options)


def _write(
    path: Path,
    pictures: Pictures,
    fps: float,
    codec: str,
    pixels: str,
    container_format: str,
    options: dict[str, str],
) -> Path:
    kind = "gray" if pictures.ndim == 3 else "rgb24"
    # Matroska writes a random id into each file unless it is told not to.
    flags = {"fflags": "+bitexact"}
    with (
        atomic_write(path) as temporary,
        av.open(str(temporary), "w", format=container_format, options=flags) as container,
    ):
        rate = Fraction(fps).limit_denominator(1001)
        stream = cast(av.VideoStream, container.add_stream(codec, rate=rate))
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = pixels
        stream.options = {**options}
        context = stream.codec_context
        if codec == "libx264":
            context.colorspace = context.color_primaries = context.color_trc = _BT709
            context.color_range = _LIMITED_RANGE
        for frame in _frames(pictures, kind, pixels):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _frames(pictures: Sequence[Pictures] | Pictures, kind: str, pixels: str) -> list[av.VideoFrame]:
    frames = [av.VideoFrame.from_ndarray(np.ascontiguousarray(p), format=kind) for p in pictures]
    if pixels != "yuv420p":
        return frames if pixels == kind else [convert_samples(f, format=pixels) for f in frames]
    return [
        convert_samples(
            frame, format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED_RANGE
        )
        for frame in frames
    ]


def read_bytes(path: Path) -> Pictures:
    """Return all frames of a movie ``[T, H, W, 3]`` as sRGB bytes."""
    frames = [np.moveaxis(frame.rgb.numpy(), 0, -1) for frame in open_clip(path)]
    return (np.clip(np.stack(frames), 0, 1) * 255).round().astype(np.uint8)
