"""Samples of video frames as R'G'B' and alpha, in float.

YCbCr is converted here and not by the video library, so that 10 and 12 bits stay 10 and 12 bits,
and so that the matrix and range are those of the file's tags or of a stated assumption.
"""

from __future__ import annotations

import re
from typing import Any

import av
import numpy as np
import torch
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
    **dict.fromkeys(("nv12", "nv21"), "yuv420p"),
    **dict.fromkeys(("nv16", "uyvy422", "yuyv422", "yvyu422"), "yuv422p"),
    **dict.fromkeys(("nv24", "nv42", "vyu444", "vuyx"), "yuv444p"),
    **dict.fromkeys(("vuya", "ayuv", "uyva"), "yuva444p"),
    **dict.fromkeys(("v30xle", "xv30le", "p410le"), "yuv444p10le"),
    **dict.fromkeys(("y210le", "p210le", "nv20le"), "yuv422p10le"),
    **dict.fromkeys(("y212le", "p212le"), "yuv422p12le"),
    **dict.fromkeys(("xv36le", "p412le"), "yuv444p12le"),
    **dict.fromkeys(("y216le", "p216le"), "yuv422p16le"),
    **dict.fromkeys(("xv48le", "p416le"), "yuv444p16le"),
    "p010le": "yuv420p10le",
    "p012le": "yuv420p12le",
    "p016le": "yuv420p16le",
    "ayuv64le": "yuva444p16le",
    "monob": "gray",
    "monow": "gray",
    "x2rgb10le": "gbrp10le",
    "x2bgr10le": "gbrp10le",
    "rgb565be": "rgb565le",
    "rgb555be": "rgb555le",
}
# By how many bits red, green and blue are shifted in a word of 16.
_SHORT_RGB = {"rgb565le": (11, 5, 0), "rgb555le": (10, 5, 0), "rgb444le": (8, 4, 0)}
_PLANAR = re.compile(r"yuva?j?(?P<sampling>420|422|444|440|411|410)p(?P<bits>\d\d?)?(le)?")
# Rows at a time. Of 8 to 540 at 1080p, 96 is the fastest: 8.2 ms a frame, 10 to 14 for all at once.
_BAND_ROWS = 96
_GRAY = re.compile(r"gray(?P<bits>\d\d?)?(le)?")
_PLANAR_RGB = re.compile(r"gbra?p(?P<bits>\d\d?|f32)?(le)?")
_BIG_ENDIAN = re.compile(r"((?:gray|ya|yuva?|gbra?p)[a-z0-9]*)be")


def has_alpha(frame: av.VideoFrame) -> bool:
    """Tell whether a frame holds alpha; a palette does where it is not opaque."""
    if frame.format.name == "pal8":
        return bool((_palette_pixels(frame)[..., 3] < 255).any())
    return any(component.is_alpha for component in frame.format.components)


def is_gray(pixel_format: str) -> bool:
    """Tell whether a pixel format has no color; FFmpeg and players take those as full range."""
    if pixel_format.startswith("mono"):
        return True
    little = _BIG_ENDIAN.sub(r"\1le", pixel_format)
    return _GRAY.fullmatch(little) is not None or pixel_format.startswith("ya")


def convert_samples(frame: av.VideoFrame, **target: Any) -> av.VideoFrame:
    """Convert a frame to another pixel format with FFmpeg; ``target`` is that of ``reformat``.

    One thread: with several, libswscale 9.5 now and then (2 of 5,000 tiny frames on a busy machine)
    mixes the chroma of one row into the next.
    """
    return frame.reformat(**target, threads=1)


def to_image_frame(frame: av.VideoFrame, matrix: str, full_range: bool) -> ImageFrame:
    """Return R'G'B' and alpha of a decoded frame. Raises ``FootageError`` for other formats."""
    name = frame.format.name
    repacked = _REPACKED.get(name, _BIG_ENDIAN.sub(r"\1le", name))
    if repacked != name:
        frame, name = convert_samples(frame, format=repacked), repacked
    if frame.format.is_rgb or name == "pal8":
        return _from_rgb_frame(frame)
    if name.startswith("ya"):
        return _from_gray_with_alpha(frame)
    match = _PLANAR.fullmatch(name) or _GRAY.fullmatch(name)
    if match is None:
        raise _format_error(name)
    bits = int(match["bits"] or 8)
    planes = [_plane_samples(plane, "u1" if bits == 8 else "<u2") for plane in frame.planes]
    top = 2.0**bits - 1.0
    alpha = planes.pop().float().div_(top) if name.startswith("yuva") else None
    if len(planes) == 1:
        black, span = _luma_range(bits, full_range)
        gray = planes[0].float().sub_(black).div_(span).clamp_(0.0, 1.0)
        return ImageFrame(gray.expand(3, -1, -1), None)
    return ImageFrame(decode_yuv(planes, bits, matrix, full_range), alpha)


def decode_yuv(planes: list[Tensor], bits: int, matrix: str, full_range: bool) -> Tensor:
    """Return R'G'B' ``[3, H, W]`` in 0..1 for code values of ``bits`` bits.

    ``planes`` are Y ``[H, W]``, Cb and Cr, the last two possibly smaller, of any dtype. ``matrix``
    is a name of ``MATRICES``. Works in bands of rows, so that what lies between two steps stays in
    a core's cache.
    """
    luma, *chroma = planes
    black, span = _luma_range(bits, full_range)
    weights = _chroma_weights(matrix, bits, full_range)
    middle = 2.0 ** (bits - 1)
    height, width = luma.shape
    low, high, share = _rows_between(height, chroma[0].shape[0])
    rgb = torch.empty(3, height, width)
    for start in range(0, height, _BAND_ROWS):
        rows = slice(start, start + _BAND_ROWS)
        first, last = int(low[start]), int(high[rows][-1]) + 1
        blue, red = (plane[first:last].float() - middle for plane in chroma)
        sums = torch.stack((red * weights[0], red * weights[1], blue * weights[3]))
        sums[1].add_(blue, alpha=weights[2])
        if chroma[0].shape[0] < height:
            above, below = (sums.index_select(1, each[rows] - first) for each in (low, high))
            sums = above.lerp_(below, share[rows, None])
        y = (luma[rows].float() - black).div_(span)
        torch.add(_widen(sums, width), y, out=rgb[:, rows]).clamp_(0.0, 1.0)
    return rgb


def _luma_range(bits: int, full_range: bool) -> tuple[float, float]:
    """Return the code of black, and how many codes white is above it."""
    step = 2.0 ** (bits - 8)
    return (0.0, 2.0**bits - 1.0) if full_range else (16.0 * step, 219.0 * step)


def _chroma_weights(matrix: str, bits: int, full_range: bool) -> tuple[float, float, float, float]:
    """Return what a code of Cr adds to R and to G, and one of Cb to G and to B."""
    kr, kb = MATRICES[matrix]
    span = 2.0**bits - 1.0 if full_range else 224.0 * 2.0 ** (bits - 8)
    red, blue, kg = 2.0 * (1.0 - kr) / span, 2.0 * (1.0 - kb) / span, 1.0 - kr - kb
    return red, -red * kr / kg, -blue * kb / kg, blue


def _rows_between(height: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return for each row of a frame the two rows of chroma around it and the share of the second.

    MPEG-2, H.264 and ProRes place 4:2:0 chroma between two rows.
    """
    ratio = -(-height // count)
    position = ((torch.arange(height) + 0.5) / ratio - 0.5).clamp_(0.0, count - 1.0)
    low = position.long()
    share = position - low
    return low, torch.where(share > 0.0, low + 1, low), share


def _widen(planes: Tensor, width: int) -> Tensor:
    """Return ``[C, H, w]`` with chroma at full width: it sits on the left pixel of each pair."""
    while planes.shape[-1] < width:
        between = planes.clone()
        between[..., :-1].add_(planes[..., 1:]).mul_(0.5)
        # Interleaving as complex numbers is three times as fast as writing every other column.
        planes = torch.view_as_real(torch.complex(planes, between)).flatten(-2)
    return planes[..., :width]


def _from_gray_with_alpha(frame: av.VideoFrame) -> ImageFrame:
    bits = frame.format.components[0].bits
    samples = np.frombuffer(memoryview(frame.planes[0]), np.dtype("u1" if bits == 8 else "<u2"))
    rows = samples.reshape(frame.height, -1)[:, : 2 * frame.width].astype(np.float32)
    planes = torch.from_numpy(rows.reshape(frame.height, frame.width, 2)) / (2.0**bits - 1.0)
    return ImageFrame(planes[..., 0].expand(3, -1, -1), planes[..., 1])


def _from_rgb_frame(frame: av.VideoFrame) -> ImageFrame:
    name, bits = frame.format.name, frame.format.components[0].bits
    with_alpha = any(component.is_alpha for component in frame.format.components)
    planar = _PLANAR_RGB.fullmatch(name)
    if planar is not None:
        kind = "<f4" if planar["bits"] == "f32" else "u1" if bits == 8 else "<u2"
        green, blue, red, *alpha = (_plane_samples(plane, kind).float() for plane in frame.planes)
        top = 1.0 if kind == "<f4" else 2.0**bits - 1.0
        planes = torch.stack((red, green, blue, *alpha)).div_(top)
    elif name == "pal8":
        planes, with_alpha = torch.from_numpy(_palette_pixels(frame)).movedim(-1, 0) / 255.0, True
    elif name in _SHORT_RGB:
        words = _plane_samples(frame.planes[0], "<u2").int()
        depths = [component.bits for component in frame.format.components]
        shifts = zip(_SHORT_RGB[name], depths, strict=True)
        planes = torch.stack([(words >> s & 2**n - 1) / (2.0**n - 1.0) for s, n in shifts])
    elif bits in (8, 16):
        # Between equal depths only: FFmpeg widens 8 bits by shifting, and white would be 0.996.
        formats = ("rgb24", "rgba") if bits == 8 else ("rgb48le", "rgba64le")
        pixels = convert_samples(frame, format=formats[with_alpha]).to_ndarray()
        pixels = pixels.astype(np.float32)
        planes = torch.from_numpy(pixels).movedim(-1, 0) / (2.0**bits - 1.0)
    else:
        raise _format_error(name)
    return ImageFrame(planes[:3].contiguous(), planes[3].contiguous() if with_alpha else None)


def _palette_pixels(frame: av.VideoFrame) -> np.ndarray:
    """Return 8-bit RGBA ``[H, W, 4]`` of a frame with a palette, which is 32-bit BGRA."""
    indices = _plane_samples(frame.planes[0], "u1").long().numpy()
    palette = np.frombuffer(memoryview(frame.planes[1]), "u1")[:1024].reshape(256, 4)
    return np.asarray(palette[:, (2, 1, 0, 3)][indices])


def _format_error(name: str) -> FootageError:
    return FootageError(
        f"Video in the pixel format {name} cannot be imported.",
        "Convert it to ProRes 4444 or H.264 first.",
        reason="PIXEL_FORMAT",
    )


def _plane_samples(plane: av.video.plane.VideoPlane, kind: str) -> Tensor:
    samples = np.frombuffer(memoryview(plane), np.dtype(kind))
    rows = samples.reshape(-1, plane.line_size // samples.itemsize)
    return torch.from_numpy(rows[: plane.height, : plane.width])
