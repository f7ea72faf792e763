"""The sRGB curve of IEC 61966-2-1 between display-referred and scene-linear values.

The Rec.709 primaries stay as they are; other color spaces are the business of ``image.color``.
Torch and numpy each have their own function: their powers differ in the last bit, and the pictures
of the training world are pinned to theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.floating[Any]]

_ENCODED_KNEE, _LINEAR_KNEE = 0.04045, 0.0031308  # below, the curve is a straight line
_SLOPE, _OFFSET, _GAMMA = 12.92, 0.055, 2.4


def decode_srgb(encoded: Tensor) -> Tensor:
    """Return scene-linear values for display-referred sRGB 0..1, a tensor of any shape."""
    power = ((encoded.clamp_min(_ENCODED_KNEE) + _OFFSET) / (1 + _OFFSET)) ** _GAMMA
    return torch.where(encoded <= _ENCODED_KNEE, encoded / _SLOPE, power)


def encode_srgb(linear: Tensor) -> Tensor:
    """Return display-referred sRGB for scene-linear values 0..1, a tensor of any shape."""
    power = (1 + _OFFSET) * linear.clamp_min(_LINEAR_KNEE) ** (1 / _GAMMA) - _OFFSET
    return torch.where(linear <= _LINEAR_KNEE, linear * _SLOPE, power)


def decode_srgb_array(encoded: Array) -> Array:
    """Do what ``decode_srgb`` does to a numpy array; the precision stays."""
    power = ((encoded + _OFFSET) / (1 + _OFFSET)) ** _GAMMA
    return np.where(encoded <= _ENCODED_KNEE, encoded / _SLOPE, power)


def encode_srgb_array(linear: Array) -> Array:
    """Do what ``encode_srgb`` does to a numpy array; the precision stays."""
    power = (1 + _OFFSET) * np.maximum(linear, _LINEAR_KNEE) ** (1 / _GAMMA) - _OFFSET
    return np.where(linear <= _LINEAR_KNEE, linear * _SLOPE, power)
