"""The background of a window of frames, as one picture that all of them look at.

Frames are laid over one another by the motion of the camera; where the hole of one is open in
others, their median is what lies behind. One picture for the whole window cannot flicker. Each
frame looks at it through its own homography and a small, smooth correction by optical flow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from layert2v_engine.decompose.arrays import (
    BoolArray,
    ByteArray,
    FloatArray,
    Size,
    blur,
    decode,
    encode,
    fit_within,
    luminance,
    resize,
)
from layert2v_engine.decompose.motion import (
    Homography,
    find_homography,
    optical_flow,
    pixel_grid,
    to_gray,
)
from layert2v_engine.decompose.plate.fill import extend
from layert2v_engine.decompose.protocols import PlateFiller
from layert2v_engine.decompose.solve import HalfArray

WINDOW, OVERLAP = 48, 8
_SAMPLES = 25  # frames that a median is taken of
_STILL = 0.15  # pixels of the working size: a camera that moves less stands still
_TILE_ROWS = 128
_MAX_CANVAS = 2.5  # sides of the mosaic, as a multiple of the frame's
_FILL_SIDE = 640  # what was never seen has no detail to lose
_MAX_FLOW, _FLOW_SIGMA = 4.0, 12.0  # pixels of the working size


class WindowFrames(NamedTuple):
    """A window of footage.

    ``source`` is ``[T, H, W, 3]`` half, scene-linear; ``pictures`` ``[T, h, w, 3]`` sRGB at the
    working size; ``holes`` ``[T, h, w]`` is true where the background is hidden.
    """

    source: HalfArray
    pictures: ByteArray
    holes: BoolArray


class PlateFrame(NamedTuple):
    """A frame of the plate ``[H, W, 3]``, and where it was never seen ``[h, w]``."""

    picture: FloatArray
    invented: BoolArray


def temporal_plates(frames: WindowFrames, filler: PlateFiller) -> Iterator[PlateFrame]:
    """Yield the clean plate of every frame of a window."""
    mosaic = _Mosaic(frames)
    mosaic.fill(filler)
    for index in range(len(frames.pictures)):
        yield mosaic.view(index)


class _Mosaic:
    """The background of a window in the view of its middle frame."""

    def __init__(self, frames: WindowFrames) -> None:
        self._frames = frames
        self._small = Size(*frames.pictures.shape[2:0:-1])
        self._full = Size(*frames.source.shape[2:0:-1])
        self._gray = [to_gray(picture) for picture in frames.pictures]
        small = _camera_path(self._gray, frames.holes)
        self.is_still = small is None
        paths = small or [np.eye(3)] * len(self._gray)
        scale = _scaling(self._small, self._full)
        self._paths = [scale @ path @ np.linalg.inv(scale) for path in paths]
        self._origin, self._size = _canvas(self._paths, self._full)
        self._color = np.zeros((self._size.height, self._size.width, 3), np.float32)
        self._is_seen = np.zeros((self._size.height, self._size.width), bool)
        self._collect()

    def fill(self, filler: PlateFiller) -> None:
        """Invent what no frame shows."""
        hole = ~self._is_seen
        if not hole.any():
            return
        small = fit_within(self._size, _FILL_SIDE)
        weight = resize(self._is_seen.astype(np.float32), small)
        color = resize(self._color * self._is_seen[..., None], small)
        known = np.maximum(weight, 1e-4)[..., None]
        encoded = encode(np.asarray(color / known, np.float32))
        top = max(1.0, float(encoded.max()))
        filled = filler.fill((encoded / top).astype(np.float32), weight < 0.999) * top
        large = decode(resize(filled.astype(np.float32), self._size))
        self._color = np.where(hole[..., None], large, self._color)

    def view(self, index: int) -> PlateFrame:
        """Return the plate of a frame."""
        end = self._map(index)
        if not self.is_still:
            end = self._map(index, self._correction(index, end))
        picture = self._look(end)
        small = resize(end, self._small)
        seen = _remap(self._is_seen.astype(np.float32), small, cv2.INTER_LINEAR)
        return PlateFrame(picture, (seen < 0.5) & self._frames.holes[index])

    def _collect(self) -> None:
        """Take the median of the open places of some frames, in strips."""
        count = len(self._gray)
        chosen = np.unique(np.linspace(0, count - 1, min(count, _SAMPLES)).round().astype(int))
        pictures = [self._frames.source[k].astype(np.float32) for k in chosen]
        openings = [
            resize(1.0 - self._frames.holes[k].astype(np.float32), self._full) for k in chosen
        ]
        for top in range(0, self._size.height, _TILE_ROWS):
            rows = min(_TILE_ROWS, self._size.height - top)
            shift = np.eye(3)
            shift[:2, 2] = (-self._origin[0], -self._origin[1] - top)
            layers = [
                _warp_strip(picture, opening, shift @ self._paths[k], self._size.width, rows)
                for k, picture, opening in zip(chosen, pictures, openings, strict=True)
            ]
            color, seen = _median(layers)
            self._color[top : top + rows], self._is_seen[top : top + rows] = color, seen

    def _map(self, index: int, correction: FloatArray | None = None) -> FloatArray:
        """Return where on the mosaic each pixel ``[H, W, 2]`` of a frame looks."""
        grid = pixel_grid(self._full.height, self._full.width)
        if correction is not None:
            grid = grid + correction
        if self.is_still and correction is None:
            return grid - np.array(self._origin, np.float32)
        ends = cv2.perspectiveTransform(grid.reshape(-1, 1, 2), self._paths[index])
        return np.asarray(ends.reshape(grid.shape) - self._origin, np.float32)

    def _look(self, end: FloatArray) -> FloatArray:
        if self.is_still:
            return self._color
        return np.maximum(_remap(self._color, end, cv2.INTER_CUBIC), 0.0)

    def _correction(self, index: int, end: FloatArray) -> FloatArray:
        """Return the smooth rest of the motion ``[H, W, 2]`` that the homography leaves."""
        small_end = resize(end, self._small)
        plate = _remap(self._color, small_end, cv2.INTER_LINEAR)
        source = resize(self._frames.source[index].astype(np.float32), self._small)
        pair = [
            (np.clip(encode(luminance(picture)), 0, 1) * 255).astype(np.uint8)
            for picture in (source, plate)
        ]
        flow = optical_flow(pair[0], pair[1])
        good = ~self._frames.holes[index] & (np.linalg.norm(flow, axis=-1) < _MAX_FLOW)
        smooth = blur(extend(flow, good.astype(np.float32)), _FLOW_SIGMA)
        ratio = np.array(self._full, np.float32) / np.array(self._small, np.float32)
        return np.asarray(resize(smooth, self._full) * ratio, np.float32)


def _camera_path(gray: Sequence[ByteArray], holes: BoolArray) -> list[Homography] | None:
    """Return the homography of each frame to the middle one, None where the camera stands still."""
    height, width = gray[0].shape
    steps = [find_homography(gray[k], gray[k + 1], ~holes[k]) for k in range(len(gray) - 1)]
    middle = len(gray) // 2
    paths = [np.eye(3)] * len(gray)
    for k in range(middle - 1, -1, -1):
        paths[k] = paths[k + 1] @ steps[k]
    for k in range(middle + 1, len(gray)):
        paths[k] = paths[k - 1] @ np.linalg.inv(steps[k - 1])
    corners = _corners(Size(width, height))
    moves = [np.abs(cv2.perspectiveTransform(corners, path) - corners).max() for path in paths]
    return None if max(moves) < _STILL * len(gray) ** 0.5 else paths


def _scaling(small: Size, full: Size) -> Homography:
    """Return the matrix from pixel centers of the small picture to those of the full one."""
    x, y = full.width / small.width, full.height / small.height
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1.0]])


def _canvas(paths: Sequence[Homography], size: Size) -> tuple[tuple[int, int], Size]:
    """Return upper left corner and size of the mosaic that all frames fit on, within reason."""
    corners = _corners(size)
    ends = np.concatenate([cv2.perspectiveTransform(corners, path) for path in paths])[:, 0]
    reach = [(_MAX_CANVAS - 1) / 2 * side for side in size]
    low = [max(-reach[k], float(np.floor(ends[:, k].min()))) for k in (0, 1)]
    high = [min(size[k] + reach[k], float(np.ceil(ends[:, k].max())) + 1) for k in (0, 1)]
    origin = (int(min(low[0], 0)), int(min(low[1], 0)))
    far = [max(int(high[k]), size[k]) for k in (0, 1)]
    return origin, Size(far[0] - origin[0], far[1] - origin[1])


def _corners(size: Size) -> FloatArray:
    width, height = size
    corners = [[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]
    return np.array(corners, np.float32)[:, None]


def _warp_strip(
    picture: FloatArray, opening: FloatArray, path: Homography, width: int, rows: int
) -> tuple[FloatArray, BoolArray]:
    color = cv2.warpPerspective(picture, path, (width, rows), flags=cv2.INTER_LINEAR)
    is_open = cv2.warpPerspective(opening, path, (width, rows), flags=cv2.INTER_LINEAR) > 0.999
    return np.asarray(color, np.float32), np.asarray(is_open)


def _median(layers: Sequence[tuple[FloatArray, BoolArray]]) -> tuple[FloatArray, BoolArray]:
    """Return the lower median ``[h, W, 3]`` of what is open, and where anything is."""
    is_open = np.stack([layer[1] for layer in layers], -1)
    counts = is_open.sum(-1)
    color = np.zeros_like(layers[0][0])
    place = np.maximum(counts - 1, 0)[..., None] // 2
    for channel in range(3):
        values = np.stack([layer[0][..., channel] for layer in layers], -1)
        values[~is_open] = np.inf
        values.sort(-1)
        median = np.take_along_axis(values, place, -1)[..., 0]
        color[..., channel] = np.where(counts > 0, median, 0.0)
    return color, counts > 0


def _remap(picture: FloatArray, end: FloatArray, method: int) -> FloatArray:
    mapped = cv2.remap(picture, end[..., 0], end[..., 1], method, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(mapped, np.float32)
