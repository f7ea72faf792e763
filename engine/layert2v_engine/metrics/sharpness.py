"""How much fine detail pictures have, so that blur is seen, and not rewarded elsewhere."""

from __future__ import annotations

from torch import Tensor, nn

from layert2v_engine.metrics.flow import warping_error


def gradient_energy(pictures: Tensor) -> float:
    """Return the mean absolute difference of neighbouring pixels of pictures [C, T, H, W]."""
    across, down = pictures.diff(dim=-1).abs().mean(), pictures.diff(dim=-2).abs().mean()
    return float((across + down) / 2)


def high_pass_energy(pictures: Tensor) -> float:
    """Return the root mean square of pictures [C, T, H, W] less their blur over 5 x 5 pixels."""
    return float((pictures - _blur(pictures)).square().mean().sqrt())


def flicker(pictures: Tensor, along: Tensor) -> float:
    """Return the warping error of ``pictures`` [C, T, H, W] without their fine detail.

    Clips are compared at equal sharpness, that of a blur of two pixels: a blurred clip has less
    error from frame to frame than a sharp one, which does not make it steadier. ``along`` [3, T, H,
    W] is the clip whose optical flow is followed.
    """
    return warping_error(_blur(_blur(pictures)), _blur(_blur(along)))


def _blur(pictures: Tensor) -> Tensor:
    """Return pictures [C, T, H, W] averaged over 5 x 5 pixels."""
    frames = pictures.movedim(1, 0)
    blurred = nn.functional.avg_pool2d(frames, 5, stride=1, padding=2, count_include_pad=False)
    return blurred.movedim(0, 1)
