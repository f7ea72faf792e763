"""Matte and shadow by the network that ships with the product, or by one trained further.

Frames go through one at a time, at the size that the network was trained at, so memory does not
depend on the length of a window or the size of the footage; alpha then follows the footage's edges.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from layert2v_engine.decompose.arrays import FloatArray, Size, fit_within, resize
from layert2v_engine.decompose.protocols import SplitLayers
from layert2v_engine.decompose.split import follow_edges
from layert2v_engine.decompose.splitter.network import (
    NO_PLATE,
    load_network,
    network_input,
    network_values,
)

WEIGHTS = Path(__file__).with_name("weights")
SIDE = 512  # of a picture that the network sees; it learned on subjects of 40 to 150 pixels
_SHADOW_SIDE = 320  # of one without a plate: as large as those it learned on
_LEAST = 1e-3  # a plane this near to 0 or 1 is that


class TrainedSplitter:
    """The splitter with weights; ``folder`` holds them, those of the product by default.

    Raises ``BadCheckpoint`` where they are missing or are not a splitter's.
    """

    is_temporal = False

    def __init__(self, folder: Path = WEIGHTS) -> None:
        self._network = load_network(folder)

    def split(self, source: FloatArray, plate: FloatArray, mask: FloatArray) -> SplitLayers:
        """Return alpha and shadow ``[T, H, W]``; see ``Splitter``."""
        frames = [self._split_frame(*frame) for frame in zip(source, plate, mask, strict=True)]
        alpha, shadow = zip(*frames, strict=True)
        return SplitLayers(np.stack(alpha), np.stack(shadow))

    def find_shadow(self, source: FloatArray, mask: FloatArray) -> FloatArray:
        """Return the shadow ``[T, H, W]`` that needs no plate; see ``Splitter``."""
        if not self._network.config.is_plate_optional:
            return np.zeros_like(mask, np.float32)
        return np.stack([self._find_shadow(*frame) for frame in zip(source, mask, strict=True)])

    def _find_shadow(self, source: FloatArray, mask: FloatArray) -> FloatArray:
        full = Size(mask.shape[1], mask.shape[0])
        small = fit_within(full, _SHADOW_SIDE)
        picture = resize(_finite(source), small)
        none = np.full_like(picture, NO_PLATE)
        _, shadow = self._predict(picture, none, resize(np.asarray(mask, np.float32), small))
        return resize(shadow, full)

    def _split_frame(
        self, source: FloatArray, plate: FloatArray, mask: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        full = Size(mask.shape[1], mask.shape[0])
        small = fit_within(full, SIDE)
        source, plate = _finite(source), _finite(plate)
        picture, clean = resize(source, small), resize(plate, small)
        alpha, shadow = self._predict(picture, clean, resize(np.asarray(mask, np.float32), small))
        if small == full:
            return alpha, shadow
        return follow_edges(alpha, picture, source), resize(shadow, full)

    @torch.inference_mode()
    def _predict(
        self, source: FloatArray, plate: FloatArray, mask: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        picture, clean = (network_values(_to_tensor(x)) for x in (source, plate))
        inputs = network_input(picture, clean, torch.from_numpy(mask)[None, None])
        alpha, shadow = (plane[0, 0].numpy() for plane in self._network(inputs))
        return _snap(alpha), _snap(shadow)


def _to_tensor(picture: FloatArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).movedim(-1, 0)[None]


def _finite(picture: FloatArray) -> FloatArray:
    """Return a picture without what would spread over the whole of it."""
    return np.nan_to_num(np.asarray(picture, np.float32), nan=0.0, posinf=65504.0, neginf=0.0)


def _snap(plane: FloatArray) -> FloatArray:
    """Return a plane with what is as good as 0 or 1 exactly so: a sigmoid reaches neither."""
    plane = np.where(plane < _LEAST, 0.0, plane)
    return np.where(plane > 1 - _LEAST, 1.0, plane).astype(np.float32)
