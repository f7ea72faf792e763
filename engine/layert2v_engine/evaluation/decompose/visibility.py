"""What of a hidden background other frames show, told by the true one."""

from __future__ import annotations

import cv2
import numpy as np

from layert2v_engine.decompose.arrays import BoolArray, ByteArray
from layert2v_engine.decompose.motion import optical_flow, pixel_grid, to_gray, warp

_SAME = 6.0  # of 255: the flow has led to the same place


def find_seen(plates: ByteArray, hidden: BoolArray) -> BoolArray:
    """Return where ``hidden`` ``[T, H, W]`` background is open on another frame.

    ``plates`` ``[T, H, W, 3]`` are the true ones. Optical flow leads from each to all others; a
    place counts if it is the same there and neither hidden nor beside one that is.
    """
    gray = [to_gray(plate) for plate in plates]
    is_open = (~hidden).astype(np.float32)
    seen = np.zeros_like(hidden)
    height, width = hidden.shape[1:]
    for frame, plate in enumerate(plates):
        for other in range(len(plates)):
            if other != frame:
                flow = optical_flow(gray[frame], gray[other])
                end = pixel_grid(height, width) + flow
                inside = ((end >= 0) & (end <= (width - 1, height - 1))).all(-1)
                difference = cv2.absdiff(
                    warp(plates[other].astype(np.float32), flow), plate.astype(np.float32)
                )
                same = np.asarray(difference).max(-1) < _SAME
                seen[frame] |= inside & same & (warp(is_open[other], flow) > 0.99)
    return seen & hidden
