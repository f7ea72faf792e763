"""Color transforms as steps on tensors: matrices, the curves of displays, powers.

What OpenColorIO's processors are made of where it comes down to arithmetic. Works on the device of
the pixels. Knows no config and no color space.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import PyOpenColorIO as ocio
import torch
import torch.nn.functional as F
from torch import Tensor

Step = Callable[[Tensor], Tensor]


def compile_processor(processor: ocio.Processor) -> tuple[Step, ...] | None:
    """Return the processor as steps on float32 ``[..., 3, N]``; None where it holds more."""
    steps = []
    for op in processor.createGroupTransform():
        step = _compile_step(op)
        if step is None:
            return None
        steps.append(step)
    return tuple(steps)


def _compile_step(op: ocio.Transform) -> Step | None:
    inverse = op.getDirection() == ocio.TRANSFORM_DIR_INVERSE
    if isinstance(op, ocio.MatrixTransform) and not inverse:  # OCIO has inverted it already
        return _matrix_step(np.array(op.getMatrix()).reshape(4, 4), np.array(op.getOffset()))
    if isinstance(op, ocio.ExponentWithLinearTransform):
        gammas, offsets = set(op.getGamma()[:3]), set(op.getOffset()[:3])
        if len(gammas) == 1 and len(offsets) == 1 and min(offsets) > 0.0 and min(gammas) > 1.0:
            mirrored = op.getNegativeStyle() == ocio.NEGATIVE_MIRROR
            return _curve_step(gammas.pop(), offsets.pop(), inverse, mirrored)
    if isinstance(op, ocio.ExponentTransform) and len(set(op.getValue()[:3])) == 1:
        gamma = op.getValue()[0]
        return _power_step(1.0 / gamma if inverse else gamma, op.getNegativeStyle())
    return None


def _matrix_step(matrix: np.ndarray, offset: np.ndarray) -> Step | None:
    if matrix[:3, 3].any() or matrix[3, :3].any():
        return None  # alpha takes part in the color; a layer's alpha must not
    rows = [[float(weight) for weight in row] for row in matrix[:3, :3]]
    offsets = [float(value) for value in offset[:3]]

    def step(pixels: Tensor) -> Tensor:
        # Not a matmul: those may run in TF32 or bfloat16, as the model's owner has set them.
        red, green, blue = pixels.unbind(-2)
        mixed = torch.empty_like(pixels)
        for target, row, offset in zip(mixed.unbind(-2), rows, offsets, strict=True):
            torch.mul(red, row[0], out=target).add_(green, alpha=row[1]).add_(blue, alpha=row[2])
            if offset:
                target.add_(offset)
        return mixed

    return step


def _curve_step(gamma: float, offset: float, inverse: bool, mirrored: bool) -> Step:
    """Return the monitor curve of sRGB and its kin: a power with a straight toe, without a step.

    OCIO breaks where value and slope meet (0.0393 for sRGB), not at the rounded 0.04045 of the
    standard; the two differ by less than half's rounding.
    """
    toe = offset / (gamma - 1.0)
    slope = ((toe + offset) / (1.0 + offset)) ** gamma / toe
    knee = toe * slope
    scale = 1.0 / (1.0 + offset)

    # The straight line touches the power from below when decoding, from above when encoding. With
    # the power out of the way where the line holds, the curve is the larger or the smaller of both;
    # that takes a third of the time of torch.where.
    def decode(pixels: Tensor) -> Tensor:
        base = torch.add(torch.tensor(offset * scale), pixels, alpha=scale)
        power = _power_in_place(base.clamp_min_(offset * scale), gamma)
        F.threshold(power, knee, -math.inf, inplace=True)
        return torch.maximum(power, pixels * slope, out=power)

    def encode(pixels: Tensor) -> Tensor:
        power = _power_in_place(pixels.clamp_min(0.0), 1.0 / gamma)
        power.mul_(1.0 + offset).sub_(offset)
        F.threshold(power, toe, math.inf, inplace=True)
        return torch.minimum(power, pixels / slope, out=power)

    curve = encode if inverse else decode
    return (lambda pixels: curve(pixels.abs()).copysign(pixels)) if mirrored else curve


def _power_step(gamma: float, negatives: ocio.NegativeStyle) -> Step | None:
    def power(pixels: Tensor) -> Tensor:
        return _power_in_place(pixels.clamp_min(0.0), gamma)

    steps: dict[ocio.NegativeStyle, Step] = {
        ocio.NEGATIVE_CLAMP: power,
        ocio.NEGATIVE_MIRROR: lambda pixels: power(pixels.abs()).copysign(pixels),
        ocio.NEGATIVE_PASS_THRU: lambda pixels: torch.where(pixels > 0.0, power(pixels), pixels),
    }
    return steps.get(negatives)


def _power_in_place(values: Tensor, exponent: float) -> Tensor:
    """Raise values of 0 and more to a power; on the CPU OpenCV does it in a third of the time."""
    if values.device.type != "cpu" or values.requires_grad or not values.is_contiguous():
        return values.pow_(exponent)
    flat = values.view(-1).numpy()
    cv2.pow(flat, exponent, flat)
    return values
