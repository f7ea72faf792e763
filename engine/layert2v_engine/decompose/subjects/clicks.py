"""Points that an artist shows on a subject or beside it, as corrections of masks.

What is wrong at a click is wrong around it, up to an edge: the correction spreads from the click as
a random walk that dies with distance and seldom crosses a step of color (random walker with priors,
Grady, CVPR 2005, the mask being the prior). So a click never changes what lies far from it, and one
near the outline changes little. It follows the flow to other frames, as long as it finds its own
color there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from layert2v_engine.decompose.arrays import (
    BoolArray,
    ByteArray,
    FloatArray,
    Size,
    blur,
    fit_within,
    resize,
)
from layert2v_engine.decompose.protocols import Box
from layert2v_engine.decompose.subjects.evidence import ClipMotion
from layert2v_engine.decompose.subjects.hints import FrameHints
from layert2v_engine.decompose.subjects.regions import grow, mask_box

_SIDE = 160  # of the part of a picture around mask and clicks
_MARGIN = 0.2  # around them
_RADIUS = 0.01  # of the longer side: what a click covers
_REACH = 0.7  # of the size of the mask: over which a correction dies where there is no edge
_DEPTHS = 4.0  # as far from the outline as the click: over which it dies, if that is less
_STEP = 4.0  # of CIE Lab: a difference of color between neighbors that is an edge
_LEAST = 0.2  # of a correction: what is unsure far away stays
_LEAK = 1e-4  # of a walk across the strongest edge
_LOST = 0.5  # of the size of the mask: farther than that from it is something else
_SAME_COLOR = 30.0  # of 255: a click that meets another color has lost what it was on
_COLOR_SIGMA = 2.0  # pixels: the color of a place is that of its surroundings


class Click(NamedTuple):
    """A place on the subject, or beside it, in pixels.

    ``color`` is that of it where it was shown, and ``depth`` how far from the outline that was.
    """

    x: float
    y: float
    is_inside: bool
    color: tuple[float, ...]
    depth: float

    def is_obeyed(self, mask: FloatArray) -> bool:
        """Tell whether a mask ``[h, w]`` is right at this place."""
        return bool(mask[_pixel(self.x, self.y, mask)] > 0.5) == self.is_inside


def read_clicks(picture: ByteArray, mask: FloatArray, hints: FrameHints) -> list[Click]:
    """Return the points that were shown on a picture ``[h, w, 3]`` whose mask ``[h, w]`` it is."""
    places = [(*each, True) for each in hints.inside] + [(*each, False) for each in hints.outside]
    if not places:
        return []
    colors, depth = _colors(picture), _distance_to_outline(mask)
    clicks = []
    for x, y, is_inside in places:
        pixel = _pixel(x, y, mask)
        color = tuple(map(float, colors[pixel]))
        clicks.append(Click(x, y, is_inside, color, float(depth[pixel])))
    return clicks


def is_lost(mask: FloatArray, hints: FrameHints) -> bool:
    """Tell whether a mask ``[h, w]`` is far from the subject's points: it is of something else."""
    if not hints.inside:
        return False
    covered = mask > 0.5
    if not covered.any():
        return True
    distance = cv2.distanceTransform((~covered).astype(np.uint8), cv2.DIST_L2, 3)
    farthest = max(float(distance[_pixel(*each, mask)]) for each in hints.inside)
    return farthest > _LOST * float(covered.sum()) ** 0.5


class ClickFollower:
    """Follows clicks through a window of frames."""

    def __init__(self, motion: ClipMotion) -> None:
        self._motion = motion
        self._colors: dict[int, FloatArray] = {}

    def carry(self, click: Click, frame: int, to: int) -> Click | None:
        """Return a click of a frame on another one, None where it has left what it was on."""
        x, y = click.x, click.y
        step = 1 if to > frame else -1
        for before in range(frame, to, step):
            flow = self._motion.flow(before, before + step)
            across, down = flow[_pixel(x, y, flow)]
            x, y = x + float(across), y + float(down)
            if not (0 <= x < flow.shape[1] and 0 <= y < flow.shape[0]):
                return None
        if to not in self._colors:
            self._colors[to] = _colors(self._motion.pictures[to])
        colors = self._colors[to]
        difference = np.abs(colors[_pixel(x, y, colors)] - np.array(click.color))
        return None if float(difference.max()) > _SAME_COLOR else click._replace(x=x, y=y)

    def carry_all(self, clicks: Mapping[int, Sequence[Click]], to: int) -> list[Click]:
        """Return the clicks of all other frames that are found on one."""
        carried = (
            self.carry(click, frame, to)
            for frame, shown in clicks.items()
            for click in shown
            if frame != to
        )
        return [click for click in carried if click is not None]

    def correct(self, masks: FloatArray, clicks: Mapping[int, Sequence[Click]]) -> FloatArray:
        """Return the masks ``[T, h, w]`` of the window as the clicks of its frames say."""
        corrected = masks.copy()
        for frame, picture in enumerate(self._motion.pictures if clicks else ()):
            carried = correct_mask(picture, masks[frame], self.carry_all(clicks, frame))
            corrected[frame] = correct_mask(picture, carried, clicks.get(frame, ()))
        return corrected


def correct_mask(picture: ByteArray, mask: FloatArray, clicks: Sequence[Click]) -> FloatArray:
    """Return a mask ``[h, w]`` of ``picture`` ``[h, w, 3]`` that is right at the clicks.

    The mask itself where it is.
    """
    if all(click.is_obeyed(mask) for click in clicks):
        return mask
    wrong = _Part.around(mask, clicks).find_correction(picture, mask, clicks)
    corrected = mask + wrong
    is_turned = ((corrected > 0.5) != (mask > 0.5)) & (np.abs(wrong) > _LEAST)
    return np.where(is_turned, corrected.clip(0.0, 1.0), mask).astype(np.float32)


class _Part(NamedTuple):
    """The part of a picture around mask and clicks, and the size it is looked at."""

    box: Box
    size: Size
    reach: float  # in pixels of ``size``

    @classmethod
    def around(cls, mask: FloatArray, clicks: Sequence[Click]) -> Self:
        height, width = mask.shape
        found = mask_box(mask)
        sides = [Box(each.x, each.y, each.x + 1, each.y + 1) for each in clicks]
        sides += [] if found is None else [found]
        lefts, tops, rights, bottoms = zip(*sides, strict=True)
        around = Box(min(lefts), min(tops), max(rights), max(bottoms))
        box = Box(*(int(side) for side in grow(around, width, height, _MARGIN, 0.1)))
        whole = Size(int(box.right - box.left), int(box.bottom - box.top))
        size = fit_within(whole, _SIDE)
        area = max(float((mask > 0.5).sum()), 9.0)
        return cls(box, size, _REACH * area**0.5 * size.width / whole.width)

    def find_correction(
        self, picture: ByteArray, mask: FloatArray, clicks: Sequence[Click]
    ) -> FloatArray:
        """Return what clicks add to a mask, in -1..1, at the size of the picture."""
        left, top, right, bottom = (int(side) for side in self.box)
        part = (slice(top, bottom), slice(left, right))
        small = resize(picture[part].astype(np.float32) / np.float32(255), self.size)
        scale = self.size.width / (right - left)
        shape = (self.size.height, self.size.width)
        rows, columns = np.indices(shape) + 0.5
        radius = max(1.5, _RADIUS * max(mask.shape) * scale)
        is_click, value = np.zeros(shape, bool), np.zeros(shape)
        reach, nearest = np.full(shape, self.reach), np.full(shape, np.inf)
        for click in clicks:
            x, y = (click.x - left) * scale, (click.y - top) * scale
            distance = np.hypot(columns - x, rows - y)
            here = distance <= radius
            is_click |= here
            if click.is_obeyed(mask):
                value[here] = 0.0
                continue
            value[here] = 1.0 if click.is_inside else -1.0
            reach[distance < nearest] = min(self.reach, _DEPTHS * click.depth * scale)
            nearest = np.minimum(nearest, distance)
        found = _walk(small, is_click, value, reach)
        full = np.zeros(mask.shape, np.float32)
        full[part] = resize(found, Size(right - left, bottom - top))
        return full


def _walk(
    picture: FloatArray, is_known: BoolArray, value: NDArray[np.float64], reach: NDArray[np.float64]
) -> FloatArray:
    """Return ``value`` ``[h, w]`` spread from where it is known over ``picture`` ``[h, w, 3]``.

    The mean of what a random walk brings that ends at known places, or before that with nothing,
    mostly within ``reach`` ``[h, w]`` pixels.
    """
    # Only here: it would be most of a second of every start of the engine.
    from scipy.sparse import coo_matrix, diags
    from scipy.sparse.linalg import spsolve

    colors = cv2.cvtColor(cv2.GaussianBlur(picture, (0, 0), 0.7), cv2.COLOR_RGB2LAB)
    count, (height, width) = is_known.size, is_known.shape
    index = np.arange(count).reshape(height, width)
    pairs, weights = [], []
    for down, across in ((0, 1), (1, 0)):
        first = (slice(0, height - down), slice(0, width - across))
        second = (slice(down, None), slice(across, None))
        step = np.square(colors[first] - colors[second]).sum(-1)
        weights.append((np.exp(-step / (2 * _STEP**2)) + _LEAK).ravel())
        pairs.append(np.stack([index[first].ravel(), index[second].ravel()]))
    ends, links = np.concatenate(pairs, 1), np.concatenate(weights).astype(np.float64)
    half = coo_matrix((links, (ends[0], ends[1])), shape=(count, count)).tocsr()
    linked = half + half.T
    leaving = np.asarray(linked.sum(1)).ravel() + (1 / np.square(reach)).ravel()
    known = is_known.ravel()
    system = diags(np.where(known, 1.0, leaving)) - diags((~known).astype(np.float64)) @ linked
    found = spsolve(system.tocsc(), np.where(known, value.ravel(), 0.0))
    return np.asarray(found.reshape(height, width), np.float32)


def _distance_to_outline(mask: FloatArray) -> FloatArray:
    """Return how far each pixel of a mask ``[h, w]`` is from those on the other side."""
    covered = np.pad((mask > 0.5).astype(np.uint8), 1, mode="edge")
    inner, outer = (cv2.distanceTransform(x, cv2.DIST_L2, 3) for x in (covered, 1 - covered))
    return np.asarray(np.maximum(inner, outer)[1:-1, 1:-1], np.float32)


def _colors(picture: ByteArray) -> FloatArray:
    return blur(picture.astype(np.float32), _COLOR_SIGMA)


def _pixel(x: float, y: float, plane: FloatArray) -> tuple[int, int]:
    """Return row and column of a place, inside of a plane ``[h, w, ...]``."""
    height, width = plane.shape[:2]
    return min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)
