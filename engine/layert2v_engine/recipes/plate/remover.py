"""A clean plate by a network that removes: windows of a shot, at its size, in its colors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from layert2v_engine.decompose.arrays import FloatArray, Size, resize
from layert2v_engine.decompose.protocols import RemovalFrames
from layert2v_engine.decompose.shots import Window
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.recipes.plate.encoding import NetworkEncoding, find_encoding, keep_source
from layert2v_engine.recipes.plate.windows import (
    cross_fade,
    network_size,
    pad_frames,
    pad_length,
    plan_windows,
)

WINDOW, OVERLAP = 81, 13  # frames; Wan was trained on 81, and 13 are four of its latent frames
AREA = 832 * 480
STEP = 16  # pixels that one token of Wan stands for, on each side
_LOOKED_AT = 9  # frames whose light decides on the encoding


class RemovalNetwork(Protocol):
    """A network that takes the masked part out of a video."""

    def remove(self, video: Tensor, mask: Tensor, on_step: Callable[[float], None]) -> Tensor:
        """Return ``[T, 3, h, w]`` in 0..1 without what ``mask`` ``[T, 1, h, w]`` covers.

        ``video`` is ``[T, 3, h, w]`` in 0..1; T is a multiple of four and one more, the sides are
        multiples of 16. ``on_step`` takes the share of the work that is done, 0..1.
        """


class WindowedRemover:
    """A plate of any length and size by a network that takes ``window`` frames of ``area`` pixels.

    See ``PlateRemover``.
    """

    def __init__(
        self,
        network: RemovalNetwork,
        *,
        window: int = WINDOW,
        overlap: int = OVERLAP,
        area: int = AREA,
    ) -> None:
        self._network = network
        self._window, self._overlap, self._area = window, overlap, area
        self._config = ColorConfig.load()
        self.note = ""

    def plates(
        self, frames: RemovalFrames, on_progress: Callable[[float], None]
    ) -> Iterator[tuple[int, FloatArray]]:
        """Yield frames by number and their plates ``[H, W, 3]``, scene-linear."""
        count = frames.length
        small = network_size(frames.size, self._area, STEP)
        chosen = np.unique(np.linspace(0, count - 1, min(count, _LOOKED_AT)).astype(int))
        name = find_encoding(frames.frame(int(k)) for k in chosen)
        encoding = NetworkEncoding(frames.colorspace, name, self._config)
        self.note = f"The plate was made at {small.width} x {small.height} pixels from {name}."
        windows = plan_windows(count, self._window, self._overlap)

        def clips() -> Iterator[FloatArray]:
            for place, window in enumerate(windows):

                def on_step(share: float, place: int = place) -> None:
                    on_progress((place + share) / len(windows))

                yield self._clean(frames, window, small, encoding, on_step)

        for index, encoded in cross_fade(windows, clips(), self._overlap):
            plate = encoding.decode(encoded)
            hole = _hole(frames, index, small)[..., 0] > 0.5
            yield index, keep_source(frames.frame(index), plate, hole)

    def _clean(
        self,
        frames: RemovalFrames,
        window: Window,
        small: Size,
        encoding: NetworkEncoding,
        on_step: Callable[[float], None],
    ) -> FloatArray:
        """Return the network's answer for a window ``[T, h, w, 3]``, as it is encoded."""
        indices = range(window.start, window.end)
        pictures = [encoding.encode(resize(frames.frame(k), small)) for k in indices]
        holes = [_hole(frames, k, small) for k in indices]
        length = pad_length(len(pictures))
        video, mask = (
            torch.from_numpy(pad_frames(np.stack(each), length)).movedim(-1, 1)
            for each in (pictures, holes)
        )
        cleaned = self._network.remove(video, mask, on_step)[: len(pictures)]
        return np.ascontiguousarray(cleaned.movedim(1, -1).float().cpu().numpy())


def _hole(frames: RemovalFrames, index: int, small: Size) -> FloatArray:
    """Return where a frame is hidden, ``[h, w, 1]``, 0 or 1; a touched pixel counts."""
    hole = frames.hole(index).astype(np.float32)
    return (resize(hole, small) > 0.0).astype(np.float32)[..., None]
