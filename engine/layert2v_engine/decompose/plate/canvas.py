"""Where the frames of a window lie on one canvas: the camera's path, and the depth it shows.

The canvas has the view of the window's middle frame and room for all others, within reason. Frames
from beside the window may lie on it as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from layert2v_engine.decompose.arrays import BoolArray, ByteArray, FloatArray, Size
from layert2v_engine.decompose.motion import Homography, alignment_error, find_camera_motion
from layert2v_engine.decompose.plate.parallax import CanvasFrame, find_parallax

SAMPLES = 25  # frames of the window that lie on the canvas, and of those beside it
_STILL = 0.15  # pixels of the working size: a camera that moves less stands still
_COMPARED = 7  # frames that tell whether the camera stands still
_HALF = 127  # of 255: most of a pixel
_MAX_SIDE = 2.5  # of the canvas, as a multiple of the frame's


class Canvas:
    """The places of frames of size ``full``, found on gray pictures ``[T][h, w]``.

    ``holes`` ``[T, h, w]`` is true where the background is hidden, ``window`` are the places of
    the window's frames, all by default. ``size`` is that of the canvas, ``overview`` the same at
    the pictures' scale; ``chosen`` are frames that lie on the canvas, ``beside`` those that count
    where none of these shows anything.
    """

    def __init__(
        self,
        gray: Sequence[ByteArray],
        holes: BoolArray,
        full: Size,
        window: range | None = None,
    ) -> None:
        self.full, self.small = full, Size(*gray[0].shape[::-1])
        window = window or range(len(gray))
        self.chosen = _spread_frames(window)
        self.beside = _spread_frames([k for k in range(len(gray)) if k not in window])
        small = find_camera_path(gray, holes, window[len(window) // 2])
        self.is_still = small is None
        scale = scaling(self.small, full)
        paths = small or [np.eye(3)] * len(gray)
        self._paths = [scale @ path @ np.linalg.inv(scale) for path in paths]
        self._origin, self.size = _enclose(self._paths, full)
        ratios = np.array(self.small) / np.array(full)
        self.overview = Size(*(max(2, round(side)) for side in ratios * self.size))
        self._parallax: dict[int, FloatArray] | None = None
        if not self.is_still:
            self._parallax = self._find_parallax(gray, holes)

    @property
    def has_parallax(self) -> bool:
        """Whether the background has depth that paths do not follow."""
        return self._parallax is not None

    def path(self, index: int) -> Homography:
        """Return the path of a frame's pixels to those of the canvas, without parallax."""
        return translation(-self._origin[0], -self._origin[1]) @ self._paths[index]

    def to_canvas(self, index: int, columns: FloatArray, rows: FloatArray) -> FloatArray:
        """Return where on the canvas ``[h, w, 2]`` places of a frame are."""
        end = _project(self.path(index), columns, rows)
        if self._parallax is not None:
            end -= self._off(self._parallax, index, end[..., 0], end[..., 1])
        return end

    def to_frame(self, index: int, columns: FloatArray, rows: FloatArray) -> FloatArray:
        """Return where in a frame ``[h, w, 2]`` places of the canvas are."""
        if self._parallax is not None:
            off = self._off(self._parallax, index, columns, rows)
            columns, rows = columns + off[..., 0], rows + off[..., 1]
        return _project(np.asarray(np.linalg.inv(self.path(index))), columns, rows)

    def _find_parallax(
        self, gray: Sequence[ByteArray], holes: BoolArray
    ) -> dict[int, FloatArray] | None:
        """Return by chosen frame how far off it is on the canvas, at the overview's scale."""
        after, before = scaling(self.size, self.overview), scaling(self.small, self.full)
        order = sorted([*self.chosen, *self.beside])
        frames = [CanvasFrame(gray[k], ~holes[k], after @ self.path(k) @ before) for k in order]
        middle = order.index(self.chosen[len(self.chosen) // 2])
        found = find_parallax(frames, self.overview, middle)
        return None if found is None else dict(zip(order, found, strict=True))

    def _off(
        self, parallax: Mapping[int, FloatArray], index: int, columns: FloatArray, rows: FloatArray
    ) -> FloatArray:
        """Return how far off a frame is ``[h, w, 2]`` at places of the canvas."""
        nearest = min(parallax, key=lambda each: abs(each - index))
        ratio = np.array(self.overview, np.float32) / np.array(self.size, np.float32)
        shape = np.broadcast_shapes(columns.shape, rows.shape)
        x, y = (columns + 0.5) * ratio[0] - 0.5, (rows + 0.5) * ratio[1] - 0.5
        x, y = (np.ascontiguousarray(np.broadcast_to(each, shape)) for each in (x, y))
        off = cv2.remap(parallax[nearest], x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(off / ratio, np.float32)


def scaling(few: Size, many: Size) -> Homography:
    """Return the matrix from pixel centers of one size of a picture to those of another."""
    x, y = many.width / few.width, many.height / few.height
    return np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1.0]])


def translation(x: float, y: float) -> Homography:
    """Return the matrix that moves by ``x`` and ``y``."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def corners_of(size: Size) -> FloatArray:
    """Return the centers ``[4, 1, 2]`` of the pixels in the corners."""
    width, height = size
    corners = [[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]
    return np.array(corners, np.float32)[:, None]


def find_hidden_share(gray: Sequence[ByteArray], holes: BoolArray, window: range) -> float:
    """Return the share of the holes of a window that stays hidden on all frames, 0..1."""
    size = Size(*gray[0].shape[::-1])
    paths = find_camera_path(gray, holes, window[len(window) // 2]) or [np.eye(3)] * len(gray)
    origin, canvas = _enclose(paths, size)
    paths = [translation(-origin[0], -origin[1]) @ path for path in paths]
    seen = np.zeros((canvas.height, canvas.width), bool)
    for hole, path in zip(holes, paths, strict=True):
        seen |= cv2.warpPerspective(np.where(hole, 0, 255).astype(np.uint8), path, canvas) > _HALF
    unseen = np.where(seen, 0, 255).astype(np.uint8)
    hidden = [
        cv2.warpPerspective(unseen, np.linalg.inv(paths[k]), size)[holes[k]] > _HALF
        for k in _spread_frames(window)
    ]
    return float(np.concatenate(hidden).mean()) if any(map(len, hidden)) else 0.0


def _spread_frames(frames: Sequence[int]) -> list[int]:
    """Return up to ``SAMPLES`` of some frames."""
    count = min(len(frames), SAMPLES)
    places = np.linspace(0, len(frames) - 1, count).round().astype(int)
    return [frames[k] for k in dict.fromkeys(places.tolist())]


def find_camera_path(
    gray: Sequence[ByteArray], holes: BoolArray, middle: int | None = None
) -> list[Homography] | None:
    """Return the homography of each frame to ``middle``, None where the camera stands still.

    That is the frame in the middle by default.
    """
    height, width = gray[0].shape
    steps = [find_camera_motion(gray[k], gray[k + 1], ~holes[k]) for k in range(len(gray) - 1)]
    middle = len(gray) // 2 if middle is None else middle
    paths = [np.eye(3)] * len(gray)
    for k in range(middle - 1, -1, -1):
        paths[k] = paths[k + 1] @ steps[k]
    for k in range(middle + 1, len(gray)):
        paths[k] = paths[k - 1] @ np.linalg.inv(steps[k - 1])
    corners = corners_of(Size(width, height))
    moves = [np.abs(cv2.perspectiveTransform(corners, path) - corners).max() for path in paths]
    if max(moves) < _STILL * len(gray) ** 0.5 or _is_still(gray, holes, paths, middle):
        return None
    return paths


def _is_still(
    gray: Sequence[ByteArray], holes: BoolArray, paths: Sequence[Homography], middle: int
) -> bool:
    """Tell whether frames lie over the middle one as well as they do along their paths."""
    moved = stays = 0.0
    for k in np.unique(np.linspace(0, len(gray) - 1, _COMPARED).round().astype(int)):
        background = ~(holes[k] | holes[middle])
        if k != middle and background.any():
            pair = gray[middle], gray[k], background
            stays += alignment_error(*pair, np.eye(3))
            moved += alignment_error(*pair, np.linalg.inv(paths[k]))
    return stays <= moved


def _enclose(paths: Sequence[Homography], size: Size) -> tuple[tuple[int, int], Size]:
    """Return upper left corner and size of a canvas that all frames fit on, within reason."""
    corners = corners_of(size)
    ends = np.concatenate([cv2.perspectiveTransform(corners, path) for path in paths])[:, 0]
    reach = [(_MAX_SIDE - 1) / 2 * side for side in size]
    low = [max(-reach[k], float(np.floor(ends[:, k].min()))) for k in (0, 1)]
    high = [min(size[k] + reach[k], float(np.ceil(ends[:, k].max())) + 1) for k in (0, 1)]
    origin = (int(min(low[0], 0)), int(min(low[1], 0)))
    far = [max(int(high[k]), size[k]) for k in (0, 1)]
    return origin, Size(far[0] - origin[0], far[1] - origin[1])


def _project(path: Homography, columns: FloatArray, rows: FloatArray) -> FloatArray:
    """Return where a path takes pixels ``[h, w, 2]``."""
    a, b, c, d, e, f, g, h, i = (np.float32(value) for value in path.ravel())
    end = np.empty((*np.broadcast_shapes(columns.shape, rows.shape), 2), np.float32)
    end[..., 0] = a * columns + b * rows + c
    end[..., 1] = d * columns + e * rows + f
    end /= (g * columns + h * rows + i)[..., None]
    return end
