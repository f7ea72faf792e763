"""Samples of video frames as R'G'B' and alpha, in float.

YCbCr is converted here and not by the video library, so that 10 and 12 bits stay 10 and 12 bits,
and so that the matrix and range are those of the file's tags or of a stated assumption.
"""

from __future__ import annotations

import re

import av
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from layert2v_engine.errors import FootageError
from layert2v_engine.image.footage.info import ImageFrame

# Kr and Kb of each matrix, by the name that the command line uses.
MATRICES = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "smpte240m": (0.212, 0.087),
    "bt2020": (0.2627, 0.0593),
}
# Packed or interleaved layouts and the planar one that holds the same samples.
_REPACKED = {
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "p010le": "yuv420p10le",
    "uyvy422": "yuv422p",
    "yuyv422": "yuv422p",
    "ayuv64le": "yuva444p16le",
}
_PLANAR = re.compile(r"yuva?j?(?P<sampling>420|422|444|440|411|410)p(?P<bits>\d\d?)?(le)?")
_GRAY = re.compile(r"gray(?P<bits>\d\d?)?(le)?")


def is_gray(pixel_format: str) -> bool:
    """Tell whether a pixel format has no color; FFmpeg and players take those as full range."""
    return _GRAY.fullmatch(pixel_format) is not None or pixel_format.startswith("ya")


def to_image_frame(frame: av.VideoFrame, matrix: str, full_range: bool) -> ImageFrame:
    """Return R'G'B' and alpha of a decoded frame. Raises ``FootageError`` for other formats."""
    name = frame.format.name
    if frame.format.is_rgb:
        return _from_rgb_frame(frame)
    if name.startswith("ya"):
        return _from_gray_with_alpha(frame)
    if name in _REPACKED:
        frame = frame.reformat(format=_REPACKED[name])
        name = frame.format.name
    match = _PLANAR.fullmatch(name) or _GRAY.fullmatch(name)
    if match is None:
        raise FootageError(
            f"Video in the pixel format {name} cannot be imported.",
            "Convert it to ProRes 4444 or H.264 first.",
            reason="PIXEL_FORMAT",
        )
    bits = int(match["bits"] or 8)
    planes = [_plane_samples(plane, bits) for plane in frame.planes]
    alpha = planes.pop() / (2.0**bits - 1.0) if name.startswith("yuva") else None
    if len(planes) == 1:
        gray = planes[0] / (2.0**bits - 1.0) if full_range else _scale_limited(planes[0], bits)
        return ImageFrame(gray.clamp(0.0, 1.0).expand(3, -1, -1), None)
    return ImageFrame(decode_yuv(planes, bits, matrix, full_range), alpha)


def decode_yuv(planes: list[Tensor], bits: int, matrix: str, full_range: bool) -> Tensor:
    """Return R'G'B' ``[3, H, W]`` in 0..1 for code values of ``bits`` bits as floats.

    ``planes`` are Y ``[H, W]``, Cb and Cr, the last two possibly smaller. ``matrix`` is a name of
    ``MATRICES``.
    """
    luma, *chroma = planes
    top = 2.0**bits - 1.0
    chroma_span = top if full_range else 224.0 * 2.0 ** (bits - 8)
    y = luma / top if full_range else _scale_limited(luma, bits)
    blue, red = (
        _upsample((plane - 2.0 ** (bits - 1)) / chroma_span, luma.shape) for plane in chroma
    )
    kr, kb = MATRICES[matrix]
    rgb = torch.empty(3, *luma.shape)
    torch.add(y, red, alpha=2.0 * (1.0 - kr), out=rgb[0])
    torch.add(y, blue, alpha=2.0 * (1.0 - kb), out=rgb[2])
    kg = 1.0 - kr - kb
    torch.add(y, red, alpha=-2.0 * (1.0 - kr) * kr / kg, out=rgb[1])
    rgb[1].add_(blue, alpha=-2.0 * (1.0 - kb) * kb / kg)
    return rgb.clamp_(0.0, 1.0)


def _scale_limited(luma: Tensor, bits: int) -> Tensor:
    step = 2.0 ** (bits - 8)
    return (luma - 16.0 * step).div_(219.0 * step)


def _upsample(plane: Tensor, size: torch.Size) -> Tensor:
    """Return a chroma plane at full size.

    MPEG-2, H.264 and ProRes place it on the left pixel of each pair and, in 4:2:0, between two
    rows.
    """
    height, width = size
    if plane.shape[0] < height:
        plane = F.interpolate(
            plane[None, None], size=(height, plane.shape[1]), mode="bilinear", align_corners=False
        )[0, 0]
    while plane.shape[1] < width:
        wide = plane.new_empty(plane.shape[0], 2 * plane.shape[1])
        wide[:, 0::2] = plane
        wide[:, 1:-1:2] = (plane[:, :-1] + plane[:, 1:]).mul_(0.5)
        wide[:, -1] = plane[:, -1]
        plane = wide[:, :width]
    return plane


def _from_gray_with_alpha(frame: av.VideoFrame) -> ImageFrame:
    bits = frame.format.components[0].bits
    samples = np.frombuffer(memoryview(frame.planes[0]), np.dtype("u1" if bits == 8 else "<u2"))
    rows = samples.reshape(frame.height, -1)[:, : 2 * frame.width].astype(np.float32)
    planes = torch.from_numpy(rows.reshape(frame.height, frame.width, 2)) / (2.0**bits - 1.0)
    return ImageFrame(planes[..., 0].expand(3, -1, -1), planes[..., 1])


def _from_rgb_frame(frame: av.VideoFrame) -> ImageFrame:
    name, bits = frame.format.name, frame.format.components[0].bits
    has_alpha = any(component.is_alpha for component in frame.format.components)
    if name.startswith("gbr"):
        green, blue, red, *alpha = (_plane_samples(plane, bits) for plane in frame.planes)
        planes = torch.stack((red, green, blue, *alpha)) / (2.0**bits - 1.0)
    else:
        # Between equal depths only: FFmpeg widens 8 bits by shifting, and white would be 0.996.
        formats = ("rgb24", "rgba") if bits == 8 else ("rgb48le", "rgba64le")
        pixels = frame.to_ndarray(format=formats[has_alpha]).astype(np.float32)
        planes = torch.from_numpy(pixels).movedim(-1, 0) / (2.0 ** (8 if bits == 8 else 16) - 1.0)
    return ImageFrame(planes[:3].contiguous(), planes[3].contiguous() if has_alpha else None)


def _plane_samples(plane: av.video.plane.VideoPlane, bits: int) -> Tensor:
    samples = np.frombuffer(memoryview(plane), np.dtype("u1" if bits == 8 else "<u2"))
    rows = samples.reshape(-1, plane.line_size // samples.itemsize)
    return torch.from_numpy(rows[: plane.height, : plane.width].astype(np.float32))
