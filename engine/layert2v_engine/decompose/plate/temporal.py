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
    to_gray,
)
from layert2v_engine.decompose.plate.fill import extend
from layert2v_engine.decompose.protocols import PlateFiller
from layert2v_engine.decompose.scratch import FrameFile

WINDOW, OVERLAP = 48, 8
_SAMPLES = 25  # frames that a median is taken of
_STILL = 0.15  # pixels of the working size: a camera that moves less stands still
_TILE_ROWS = 128
_MAX_CANVAS = 2.5  # sides of the mosaic, as a multiple of the frame's
_FILL_SIDE = 640  # what was never seen has no detail to lose
_MAX_FLOW, _FLOW_SIGMA = 4.0, 12.0  # pixels of the working size


class WindowFrames(NamedTuple):
    """A window of footage that begins with frame ``start``.

    ``source`` has all frames ``[H, W, 3]`` of the shot, half and scene-linear; ``pictures``
    ``[T, h, w, 3]`` are those of the window, sRGB at the working size; ``holes`` ``[T, h, w]`` is
    true where the background is hidden.
    """

    source: FrameFile
    start: int
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
    """The background of a window in the view of its middle frame.

    Frames of footage are read when they are needed, and in strips where many are needed at once.
    """

    def __init__(self, frames: WindowFrames) -> None:
        self._frames = frames
        self._small = Size(*frames.pictures.shape[2:0:-1])
        self._full = Size(*frames.source.shape[2:0:-1])
        gray = [to_gray(picture) for picture in frames.pictures]
        small = camera_path(gray, frames.holes)
        self.is_still = small is None
        paths = small or [np.eye(3)] * len(gray)
        scale = _scaling(self._small, self._full)
        self._paths = [scale @ path @ np.linalg.inv(scale) for path in paths]
        self._origin, self._size = _canvas(self._paths, self._full)
        self._color = np.zeros((self._size.height, self._size.width, 3), np.float32)
        self._is_seen = np.zeros((self._size.height, self._size.width), bool)
        self._collect()
        self._seen = self._is_seen.astype(np.float32)
        self._overview = self._color

    def fill(self, filler: PlateFiller) -> None:
        """Invent what no frame shows."""
        hole = ~self._is_seen
        if hole.any():
            small = fit_within(self._size, _FILL_SIDE)
            weight = resize(self._seen, small)
            color = resize(self._color, small)  # black where nothing is seen
            encoded = encode(np.asarray(color / np.maximum(weight, 1e-4)[..., None], np.float32))
            top = max(1.0, float(encoded.max()))
            filled = filler.fill((encoded / top).astype(np.float32), weight < 0.999) * top
            large = resize(filled.astype(np.float32), self._size)
            self._color[hole] = decode(large[hole])
        if not self.is_still:
            ratio = self._small.width / self._full.width
            size = Size(*(max(2, round(side * ratio)) for side in self._size))
            self._overview = resize(self._color, size)

    def view(self, index: int) -> PlateFrame:
        """Return the plate of a frame."""
        columns, rows = _pixel_centers(self._small, self._full)
        end = self._project(index, columns, rows)
        seen = _remap(self._seen, end, cv2.INTER_LINEAR)
        invented = (seen < 0.5) & self._frames.holes[index]
        if self.is_still:
            return PlateFrame(self._color, invented)
        correction = resize(self._correction(index, end), self._full)
        columns, rows = _pixel_centers(self._full, self._full)
        end = self._project(index, columns + correction[..., 0], rows + correction[..., 1])
        picture = _remap(self._color, end, cv2.INTER_CUBIC)
        return PlateFrame(np.maximum(picture, 0.0, out=picture), invented)

    def _collect(self) -> None:
        """Take the median of the open places of some frames, in strips."""
        count = len(self._frames.pictures)
        chosen = np.unique(np.linspace(0, count - 1, min(count, _SAMPLES)).round().astype(int))
        openings = {k: self._opening(k) for k in chosen}
        for top in range(0, self._size.height, _TILE_ROWS):
            rows = min(_TILE_ROWS, self._size.height - top)
            shift = np.eye(3)
            shift[:2, 2] = (-self._origin[0], -self._origin[1] - top)
            strip = Size(self._size.width, rows)
            layers = [
                self._warp_strip(k, opening, shift @ self._paths[k], strip)
                for k, opening in openings.items()
            ]
            color, seen = _median(layers)
            self._color[top : top + rows], self._is_seen[top : top + rows] = color, seen

    def _opening(self, index: int) -> ByteArray:
        """Return 255 where a frame shows the background for sure, ``[H, W]``."""
        opening = np.where(self._frames.holes[index], 0, 255).astype(np.uint8)
        large = cv2.resize(opening, tuple(self._full), interpolation=cv2.INTER_LINEAR)
        return np.asarray(large, np.uint8)

    def _warp_strip(
        self, index: int, opening: ByteArray, path: Homography, strip: Size
    ) -> tuple[FloatArray, BoolArray]:
        """Return what a frame shows of a strip of the mosaic, and where it is open."""
        first, last = _rows_below(path, strip, self._full.height)
        if last - first < 2:
            nothing = np.zeros((strip.height, strip.width, 3), np.float32)
            return nothing, np.zeros((strip.height, strip.width), bool)
        picture = self._frames.source.rows(self._frames.start + index, first, last)
        shift = np.eye(3)
        shift[1, 2] = first
        path = path @ shift
        color = cv2.warpPerspective(picture.astype(np.float32), path, tuple(strip))
        is_open = cv2.warpPerspective(opening[first:last], path, tuple(strip)) == 255
        return np.asarray(color, np.float32), np.asarray(is_open)

    def _project(self, index: int, columns: FloatArray, rows: FloatArray) -> FloatArray:
        """Return where on the mosaic ``[h, w, 2]`` places of a frame look."""
        a, b, c, d, e, f, g, h, i = (np.float32(value) for value in self._paths[index].ravel())
        end = np.empty((*np.broadcast_shapes(columns.shape, rows.shape), 2), np.float32)
        end[..., 0] = a * columns + b * rows + c
        end[..., 1] = d * columns + e * rows + f
        end /= (g * columns + h * rows + i)[..., None]
        end -= np.array(self._origin, np.float32)
        return end

    def _correction(self, index: int, end: FloatArray) -> FloatArray:
        """Return the smooth rest of the motion ``[h, w, 2]`` that the homography leaves.

        In pixels of the full size. ``end`` is where the pixels of the working size look.
        """
        height, width = self._overview.shape[:2]
        ratio = np.array((width, height), np.float32) / np.array(self._size, np.float32)
        place = np.asarray((end + 0.5) * ratio - 0.5, np.float32)
        plate = _remap(self._overview, place, cv2.INTER_LINEAR)
        source = self._frames.source[self._frames.start + index].astype(np.float32)
        pair = [
            (np.clip(encode(luminance(picture)), 0, 1) * 255).astype(np.uint8)
            for picture in (resize(source, self._small), plate)
        ]
        flow = optical_flow(pair[0], pair[1])
        good = ~self._frames.holes[index] & (np.linalg.norm(flow, axis=-1) < _MAX_FLOW)
        smooth = blur(extend(flow, good.astype(np.float32)), _FLOW_SIGMA)
        scale = np.array(self._full, np.float32) / np.array(self._small, np.float32)
        return np.asarray(smooth * scale, np.float32)


def camera_path(gray: Sequence[ByteArray], holes: BoolArray) -> list[Homography] | None:
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


def _pixel_centers(size: Size, full: Size) -> tuple[FloatArray, FloatArray]:
    """Return the columns ``[1, w]`` and rows ``[h, 1]`` of ``size``, in pixels of ``full``."""
    x, y = (
        ((np.arange(count) + 0.5) * (whole / count) - 0.5).astype(np.float32)
        for count, whole in zip(size, full, strict=True)
    )
    return x[None], y[:, None]


def _rows_below(path: Homography, strip: Size, height: int) -> tuple[int, int]:
    """Return the first row of a frame that a strip shows, and the one after the last."""
    ends = cv2.perspectiveTransform(_corners(strip), np.linalg.inv(path))[:, 0, 1]
    first, last = int(np.floor(ends.min())) - 2, int(np.ceil(ends.max())) + 3
    return max(first, 0), min(last, height)


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
