"""The pictures that a video network sees, and what of its answer is taken.

A network was trained on display-referred video: it sees sRGB. Values above 1 have no place there;
footage that has many of them is shown as ACEScct, a log encoding, and comes back with them.
"""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import torch

from layert2v_engine.decompose.align import align_plate, find_drift
from layert2v_engine.decompose.arrays import (
    BoolArray,
    FloatArray,
    Size,
    blur,
    dilate,
    encode,
    resize,
)
from layert2v_engine.image.color import ColorConfig, ColorTransform
from layert2v_engine.stack.preview import DISPLAY_SPACE

LOG_SPACE = "ACEScct"
_HDR_SHARE = 1e-3  # of the pixels; fewer are glints, which a plate can do without
_MIN_CHANGE = 0.03  # of encoded values: what a network changed; below are its codec and noise
_CHANGE_BLUR, _FEATHER = 0.003, 0.006  # of the longer side


def find_encoding(frames: Iterable[FloatArray]) -> str:
    """Return the color space for a network: that of a display, or log where light is above 1.

    ``frames`` ``[H, W, 3]`` are scene-linear.
    """
    shares = [float((frame.max(-1) > 1.0).mean()) for frame in frames]
    return LOG_SPACE if float(np.mean(shares or [0.0])) > _HDR_SHARE else DISPLAY_SPACE


class NetworkEncoding:
    """The way from scene-linear light in ``colorspace`` to what a network sees, and back."""

    def __init__(self, colorspace: str, name: str, config: ColorConfig) -> None:
        self.name = name
        self._forward = config.transform(colorspace, name)
        self._backward = config.transform(name, colorspace)

    def encode(self, linear: FloatArray) -> FloatArray:
        """Return ``[H, W, 3]`` in 0..1."""
        return _convert(self._forward, linear).clip(0.0, 1.0)

    def decode(self, encoded: FloatArray) -> FloatArray:
        """Return scene-linear ``[H, W, 3]``, nothing below 0."""
        return np.maximum(_convert(self._backward, encoded), 0.0)


def keep_source(source: FloatArray, plate: FloatArray, hole: BoolArray) -> FloatArray:
    """Return the plate at the size of ``source`` ``[H, W, 3]``, used only where it differs.

    ``plate`` ``[h, w, 3]`` and ``hole`` ``[h, w]`` are at the network's size. Where the network
    removed something - in the hole, and what hangs together with it, such as a shadow - its picture
    counts, drawn to the light around it; everywhere else the footage itself does.
    """
    small, full = (Size(each.shape[1], each.shape[0]) for each in (plate, source))
    little = resize(source, small)
    aligned = align_plate(plate, find_drift(little, plate, hole), small)
    changed = find_changes(little, aligned, hole)
    weight = resize(blur(changed.astype(np.float32), max(0.5, _FEATHER * max(small))), full)
    share = weight.clip(0.0, 1.0)[..., None]
    return np.asarray(source * (1 - share) + resize(aligned, full) * share, np.float32)


def find_changes(source: FloatArray, plate: FloatArray, hole: BoolArray) -> BoolArray:
    """Return where a network removed something ``[h, w]``: the hole and what is attached to it."""
    longest = max(hole.shape)
    sigma = max(0.7, _CHANGE_BLUR * longest)
    difference = np.abs(blur(encode(source), sigma) - blur(encode(plate), sigma)).max(-1)
    near = dilate(hole, max(1, round(_FEATHER * longest)))
    changed = (difference > _MIN_CHANGE) | near
    _, labels = cv2.connectedComponents(changed.astype(np.uint8))
    attached = np.unique(labels[hole])
    return np.isin(labels, attached[attached > 0]) | near


def _convert(transform: ColorTransform, picture: FloatArray) -> FloatArray:
    tensor = torch.from_numpy(np.ascontiguousarray(picture, np.float32)).movedim(-1, 0)
    return np.ascontiguousarray(transform(tensor).movedim(0, -1).numpy(), np.float32)
