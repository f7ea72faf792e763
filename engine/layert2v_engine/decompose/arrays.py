"""The arrays of a decomposition: names of their types, and the smallest operations on them.

Pictures are ``[H, W, 3]``, planes ``[H, W]``, both float32 unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]
BoolArray = NDArray[np.bool_]
HalfArray = NDArray[np.float16]

Part = tuple[slice, slice]  # rows and columns of a picture
WHOLE: Part = (slice(None), slice(None))

# Rec.709 luminance; for other primaries close enough to compare a picture with another.
LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)


class Frames(Protocol):
    """Frames ``[T, ...]`` in memory or in a file; an index or a slice gives an array of them."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Any]: ...

    def __getitem__(self, key: Any, /) -> Any: ...


class WritableFrames(Frames, Protocol):
    """Frames that can be written one at a time."""

    def __setitem__(self, key: Any, value: Any, /) -> None: ...


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


def fit_within(size: Size, longest: int) -> Size:
    """Return a size of the same shape whose longer side is at most ``longest``, even sides."""
    scale = min(1.0, longest / max(size))
    return Size(*(max(2, round(side * scale / 2) * 2) if scale < 1 else side for side in size))


def resize(picture: FloatArray, size: Size) -> FloatArray:
    """Return a picture or a plane at another size: area-averaged down, bilinear up."""
    height, width = picture.shape[:2]
    if (width, height) == tuple(size):
        return picture
    smaller = size.width < width
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, tuple(size), interpolation=method), np.float32)


def blur(picture: FloatArray, sigma: float) -> FloatArray:
    """Return a picture or a plane after a Gaussian of ``sigma`` pixels, edges replicated."""
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32)


def luminance(picture: FloatArray) -> FloatArray:
    """Return the luminance ``[H, W]`` of a linear picture."""
    return np.asarray(picture @ LUMA, np.float32)


def dilate(mask: BoolArray, radius: int) -> BoolArray:
    """Return a mask grown by ``radius`` pixels."""
    if radius < 1:
        return mask
    return np.asarray(cv2.dilate(mask.astype(np.uint8), _disk(radius)), np.uint8) > 0


def erode(mask: BoolArray, radius: int) -> BoolArray:
    """Return a mask shrunk by ``radius`` pixels; the border of the picture is no edge."""
    return ~dilate(~mask, radius)


def part_around(mask: BoolArray, margin: int, size: Size) -> Part:
    """Return the rows and columns of a picture of ``size`` that hold all of ``mask``.

    ``mask`` ``[h, w]`` may be smaller; ``margin`` is in its pixels. An empty mask has no rows.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    ends = []
    for found, small, full in zip((rows, columns), mask.shape, size[::-1], strict=True):
        low, high = max(found[0] - margin, 0), min(found[-1] + 1 + margin, small)
        ends.append(slice(low * full // small, -(-high * full // small)))
    return ends[0], ends[1]


def encode(linear: FloatArray) -> FloatArray:
    """Return linear values as an eye weighs them: a 1/2.2 power to 1, a logarithm above.

    The curve has no kink at 1, so that highlights of any height can be compared.
    """
    positive = np.maximum(linear, 0.0)
    encoded = np.asarray(cv2.pow(np.minimum(positive, 1.0), 1 / 2.2), np.float32)
    is_bright = positive > 1.0
    if is_bright.any():  # most pictures have few such pixels
        encoded[is_bright] += np.log(positive[is_bright]) / 2.2
    return encoded


def decode(encoded: FloatArray) -> FloatArray:
    """Return what ``encode`` made of non-negative values."""
    linear = np.asarray(cv2.pow(np.clip(encoded, 0.0, 1.0), 2.2), np.float32)
    is_bright = encoded > 1.0
    if is_bright.any():
        linear[is_bright] = np.exp((encoded[is_bright] - 1.0) * 2.2)
    return linear


def _disk(radius: int) -> ByteArray:
    shape = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, shape), np.uint8)
