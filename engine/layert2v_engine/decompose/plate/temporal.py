"""The background of some frames, as one picture that all of them look at.

Frames are laid over one another by the motion of the camera; where the hole of one is open in
others, their median is what lies behind. One picture for all of them cannot flicker: for a whole
shot where the camera stands, else for a window. Each frame looks at it from its place on the
canvas, with a small, smooth correction by optical flow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
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
from layert2v_engine.decompose.motion import optical_flow, to_gray
from layert2v_engine.decompose.plate.canvas import (
    SAMPLES,
    Canvas,
    corners_of,
    find_camera_path,
    find_hidden_share,
    translation,
)
from layert2v_engine.decompose.plate.fill import extend
from layert2v_engine.decompose.protocols import PlateFiller
from layert2v_engine.decompose.scratch import FrameFile

WINDOW, OVERLAP = 48, 8
_TILE_ROWS = 128
_FILL_SIDE = 640  # what was never seen has no detail to lose
_MAX_FLOW, _FLOW_SIGMA = 4.0, 12.0  # pixels of the working size
_DEPTH_SIGMA = 4.0  # where the background has depth, motion has edges


class ChosenFrames(NamedTuple):
    """Frames of a shot: a window, or some of all.

    ``source`` has all frames ``[H, W, 3]`` of the shot, half and scene-linear; ``indices`` are the
    frames (from 0) that are chosen, ``pictures`` ``[T, h, w, 3]`` they at the working size, sRGB;
    ``holes`` ``[T, h, w]`` is true where the background is hidden. ``window`` are the places of
    those that the plate is made of; others are beside it.
    """

    source: FrameFile
    indices: Sequence[int]
    pictures: ByteArray
    holes: BoolArray
    window: range


class PlateFrame(NamedTuple):
    """A frame of the plate ``[H, W, 3]``, and where it was never seen ``[h, w]``."""

    picture: FloatArray
    invented: BoolArray


def temporal_plates(
    frames: ChosenFrames, filler: PlateFiller, check: Callable[[], None] = lambda: None
) -> Iterator[PlateFrame]:
    """Yield the clean plate of every frame of a window.

    ``check`` is called now and then and may raise to stop.
    """
    mosaic = _Mosaic(frames, check)
    mosaic.fill(filler)
    for index in frames.window:
        yield mosaic.view(index)


def measure_hidden(frames: ChosenFrames) -> float:
    """Return which part of what is hidden in a window no frame shows, 0..1."""
    gray = [to_gray(picture) for picture in frames.pictures]
    return find_hidden_share(gray, frames.holes, frames.window)


def standing_plate(
    frames: ChosenFrames, filler: PlateFiller, check: Callable[[], None] = lambda: None
) -> Callable[[BoolArray], PlateFrame]:
    """Return the plate of a shot whose camera stands, for a frame with a hole ``[h, w]``."""
    mosaic = _Mosaic(frames, check)
    mosaic.fill(filler)
    return mosaic.view_standing


def spread_frames(count: int) -> list[int]:
    """Return which frames tell what a shot of ``count`` frames shows."""
    return [int(k) for k in np.linspace(0, count - 1, min(count, SAMPLES)).round()]


def is_standing(pictures: ByteArray, holes: BoolArray) -> bool:
    """Tell whether the camera stands on pictures ``[T, h, w, 3]``, a moment apart."""
    return find_camera_path([to_gray(picture) for picture in pictures], holes) is None


class _Mosaic:
    """The background of some frames on their canvas.

    Frames of footage are read when they are needed, and in strips where many are needed at once.
    """

    def __init__(self, frames: ChosenFrames, check: Callable[[], None]) -> None:
        self._frames, self._check = frames, check
        gray = [to_gray(picture) for picture in frames.pictures]
        full = Size(*frames.source.shape[2:0:-1])
        self._canvas = Canvas(gray, frames.holes, full, frames.window)
        width, height = self._canvas.size
        self._color = np.zeros((height, width, 3), np.float32)
        self._is_seen = np.zeros((height, width), bool)
        self._collect()
        self._seen = self._is_seen.astype(np.float32)
        self._overview = self._color

    def fill(self, filler: PlateFiller) -> None:
        """Invent what no frame shows."""
        hole = ~self._is_seen
        if hole.any():
            small = fit_within(self._canvas.size, _FILL_SIDE)
            weight = resize(self._seen, small)
            color = resize(self._color, small)  # black where nothing is seen
            encoded = encode(np.asarray(color / np.maximum(weight, 1e-4)[..., None], np.float32))
            top = max(1.0, float(encoded.max()))
            filled = filler.fill((encoded / top).astype(np.float32), weight < 0.999) * top
            large = resize(filled.astype(np.float32), self._canvas.size)
            self._color[hole] = decode(large[hole])
        if not self._canvas.is_still:
            self._overview = resize(self._color, self._canvas.overview)

    def view(self, index: int) -> PlateFrame:
        """Return the plate of a frame."""
        canvas = self._canvas
        if canvas.is_still:
            return self.view_standing(self._frames.holes[index])
        columns, rows = _pixel_centers(canvas.small, canvas.full)
        end = canvas.to_canvas(index, columns, rows)
        seen = _remap(self._seen, end, cv2.INTER_LINEAR)
        invented = (seen < 0.5) & self._frames.holes[index]
        off = resize(self._correction(index, end), canvas.full)
        columns, rows = _pixel_centers(canvas.full, canvas.full)
        end = canvas.to_canvas(index, columns + off[..., 0], rows + off[..., 1])
        picture = _remap(self._color, end, cv2.INTER_CUBIC)
        return PlateFrame(np.maximum(picture, 0.0, out=picture), invented)

    def view_standing(self, hole: BoolArray) -> PlateFrame:
        """Return the plate of a frame with a hole ``[h, w]``, where the camera stands."""
        seen = cv2.resize(self._seen, hole.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return PlateFrame(self._color, (seen < 0.5) & hole)

    def _collect(self) -> None:
        """Take the median of the open places of some frames, in strips.

        What lies beside the window is farther along the path, so less sure where it is, and in
        another light: it counts where the window shows nothing.
        """
        chosen, beside = (
            {k: self._opening(k) for k in frames}
            for frames in (self._canvas.chosen, self._canvas.beside)
        )
        look = self._remap_strip if self._canvas.has_parallax else self._warp_strip
        for top in range(0, self._canvas.size.height, _TILE_ROWS):
            self._check()
            rows = min(_TILE_ROWS, self._canvas.size.height - top)
            color, seen = _median([look(k, each, top, rows) for k, each in chosen.items()])
            if beside and not seen.all():
                more, is_open = _median([look(k, each, top, rows) for k, each in beside.items()])
                color[~seen], seen = more[~seen], seen | is_open
            self._color[top : top + rows], self._is_seen[top : top + rows] = color, seen

    def _opening(self, index: int) -> ByteArray:
        """Return 255 where a frame shows the background for sure, ``[H, W]``."""
        opening = np.where(self._frames.holes[index], 0, 255).astype(np.uint8)
        large = cv2.resize(opening, tuple(self._canvas.full), interpolation=cv2.INTER_LINEAR)
        return np.asarray(large, np.uint8)

    def _warp_strip(
        self, index: int, opening: ByteArray, top: int, rows: int
    ) -> tuple[FloatArray, BoolArray]:
        """Return what a frame shows of rows of the canvas from ``top`` on, and where it is open."""
        strip = Size(self._canvas.size.width, rows)
        path = translation(0, -top) @ self._canvas.path(index)
        ends = cv2.perspectiveTransform(corners_of(strip), np.linalg.inv(path))
        first, last = self._rows_around(np.asarray(ends, np.float32)[:, 0, 1])
        picture = self._frames.source.rows(self._frames.indices[index], first, last)
        path = path @ translation(0, first)
        color = cv2.warpPerspective(picture.astype(np.float32), path, tuple(strip))
        is_open = cv2.warpPerspective(opening[first:last], path, tuple(strip)) == 255
        return np.asarray(color, np.float32), np.asarray(is_open)

    def _remap_strip(
        self, index: int, opening: ByteArray, top: int, rows: int
    ) -> tuple[FloatArray, BoolArray]:
        """Return the same where the background has depth."""
        columns = np.arange(self._canvas.size.width, dtype=np.float32)[None]
        lines = np.arange(top, top + rows, dtype=np.float32)[:, None]
        end = self._canvas.to_frame(index, columns, lines)
        first, last = self._rows_around(end[..., 1])
        picture = self._frames.source.rows(self._frames.indices[index], first, last)
        end[..., 1] -= first
        color = _remap(picture.astype(np.float32), end, cv2.INTER_LINEAR)
        place = (opening[first:last], end[..., 0], end[..., 1], cv2.INTER_LINEAR)
        return color, np.asarray(cv2.remap(*place)) == 255

    def _rows_around(self, places: FloatArray) -> tuple[int, int]:
        """Return the first row of a frame that is needed to look at places, and the row after."""
        height = self._canvas.full.height
        first = int(np.clip(np.floor(places.min()) - 2, 0, height - 1))
        return first, int(np.clip(np.ceil(places.max()) + 3, first + 1, height))

    def _correction(self, index: int, end: FloatArray) -> FloatArray:
        """Return the smooth rest of a frame's motion ``[h, w, 2]``, in pixels of the full size.

        ``end`` is where the pixels of the working size look at the canvas.
        """
        small, full = self._canvas.small, self._canvas.full
        height, width = self._overview.shape[:2]
        ratio = np.array((width, height), np.float32) / np.array(self._canvas.size, np.float32)
        place = np.asarray((end + 0.5) * ratio - 0.5, np.float32)
        plate = _remap(self._overview, place, cv2.INTER_LINEAR)
        source = self._frames.source[self._frames.indices[index]].astype(np.float32)
        pair = [
            (np.clip(encode(luminance(picture)), 0, 1) * 255).astype(np.uint8)
            for picture in (resize(source, small), plate)
        ]
        flow = optical_flow(pair[0], pair[1])
        good = ~self._frames.holes[index] & (np.linalg.norm(flow, axis=-1) < _MAX_FLOW)
        sigma = _DEPTH_SIGMA if self._canvas.has_parallax else _FLOW_SIGMA
        smooth = blur(extend(flow, good.astype(np.float32)), sigma)
        scale = np.array(full, np.float32) / np.array(small, np.float32)
        return np.asarray(smooth * scale, np.float32)


def _pixel_centers(size: Size, full: Size) -> tuple[FloatArray, FloatArray]:
    """Return the columns ``[1, w]`` and rows ``[h, 1]`` of ``size``, in pixels of ``full``."""
    x, y = (
        ((np.arange(count) + 0.5) * (whole / count) - 0.5).astype(np.float32)
        for count, whole in zip(size, full, strict=True)
    )
    return x[None], y[:, None]


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
