"""One decomposition measured on its delivered files, against what is known of the clip."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from layert2v.decompose import DecomposeSpec, SubjectSpec
from layert2v.stack import Stack, frame_path
from layert2v_engine.decompose.measures import mismatch
from layert2v_engine.decompose.splitter.network import network_values
from layert2v_engine.engine import Engine
from layert2v_engine.evaluation.decompose.cases import Case
from layert2v_engine.evaluation.decompose.visibility import find_seen
from layert2v_engine.image import exr
from layert2v_engine.metrics.flow import warping_error
from layert2v_engine.metrics.layers import psnr
from layert2v_engine.metrics.video_matting import video_matting_errors

_CLEAR = 0.02  # opacity below which the background counts as seen
_OUTSIDE = 0.03  # of the longer side: farther from subject and shadow nothing may change
_STILL = 0.004  # display change of a plate that does not move
_LEAST_SHADOW = 1e-3  # mean of a clip whose shadow can be told at all


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """The layers of a stack as its files hold them: half as float, [T, C, H, W]."""

    source: Tensor
    background: Tensor
    shadow: Tensor  # with its color, light
    foreground: Tensor  # premultiplied

    @property
    def alpha(self) -> Tensor:
        """The matte [T, H, W]."""
        return self.foreground[:, 3]

    def over(self) -> Tensor:
        """Return the layers over one another [T, 3, H, W]."""
        base = self.background[:, :3]
        for layer in (self.shadow, self.foreground):
            base = layer[:, :3] + base * (1 - layer[:, 3:])
        return base


def decompose_case(
    engine: Engine, case: Case, folder: Path, subject: SubjectSpec | None = None
) -> tuple[Delivered, float]:
    """Return the layers of a case's footage, and the seconds a frame took."""
    spec = DecomposeSpec(subjects=() if subject is None else (subject,))
    began = time.monotonic()
    stack = engine.decompose(
        spec,
        folder,
        inputs={spec.footage.input: case.footage},
        report=lambda _: None,
        cancelled=lambda: False,
    )
    return read_delivered(folder, stack), (time.monotonic() - began) / stack.frames


def read_delivered(folder: Path, stack: Stack) -> Delivered:
    """Return the layers of a stack of one subject."""

    def pixels(pattern: str) -> Tensor:
        frames = range(stack.start_frame, stack.start_frame + stack.frames)
        read = [exr.read(folder / frame_path(pattern, frame)).float() for frame in frames]
        return torch.stack(read).movedim(-1, 1)

    return Delivered(
        source=pixels(stack.flat("ref").pattern)[:, :3],
        background=pixels(stack.layer("bg").pattern),
        shadow=pixels(stack.layer("shadow_01").pattern),
        foreground=pixels(stack.layer("fg_01").pattern),
    )


def measure(case: Case, layers: Delivered) -> dict[str, float]:
    """Return all that can be told of the layers of a case; shares are in 0..1."""
    metrics = {"iou": mean_iou(layers.alpha, case.alpha), **_exactness(case, layers)}
    metrics |= _flicker(case, layers)
    if case.shadow is None or case.plate is None:
        return metrics
    errors = video_matting_errors(layers.alpha, case.alpha)
    metrics |= {f"alpha_{name}": value for name, value in errors.items()}
    metrics |= shadow_errors(layers.shadow[:, 3], case.shadow, case.alpha)
    return metrics | _plate_quality(case, layers, case.plate, case.shadow)


def mean_iou(matte: Tensor, true: Tensor) -> float:
    """Return the mean over frames of intersection over union of mattes [T, H, W] above a half."""
    a, b = matte > 0.5, true > 0.5
    union = (a | b).sum((1, 2))
    shares = (a & b).sum((1, 2)) / union.clamp_min(1)
    return float(torch.where(union > 0, shares, 1.0).mean())


def shadow_errors(shadow: Tensor, true: Tensor, alpha: Tensor) -> dict[str, float]:
    """Return the error of a clip's shadow [T, H, W] beside the subject, 1 for writing none.

    Nothing where the true one is too faint to be told.
    """
    seen = alpha < _CLEAR
    total = float((true * seen).sum())
    if total < _LEAST_SHADOW * true.numel():
        return {}
    return {"shadow_error": float(((shadow - true).abs() * seen).sum()) / total}


def _exactness(case: Case, layers: Delivered) -> dict[str, float]:
    over, source = layers.over(), layers.source
    worst = max(mismatch(a.numpy(), b.numpy()) for a, b in zip(source, over, strict=True))
    effect = (case.alpha > _CLEAR) | (layers.alpha > 0)
    if case.shadow is not None:
        effect |= case.shadow > _CLEAR
    radius = max(1, round(_OUTSIDE * max(effect.shape[1:])))
    near = functional.max_pool2d(effect[:, None].float(), 2 * radius + 1, 1, radius)[:, 0] > 0
    equal = (layers.background[:, :3].half() == source.half()).all(1)
    untouched = (layers.alpha == 0) & (layers.shadow == 0).all(1)
    return {
        "mismatch_half_ulps": worst,
        "equal_outside_effects": float(equal[~near].float().mean()) if (~near).any() else 1.0,
        "equal_where_untouched": float(equal[untouched].float().mean()) if untouched.any() else 1.0,
    }


def _flicker(case: Case, layers: Delivered) -> dict[str, float]:
    """Return how much more matte and background change along the flow than they should."""
    if len(layers.source) < 2:
        return {}
    source = network_values(layers.source).clamp(0, 1).movedim(1, 0)
    plate = network_values(layers.background[:, :3]).clamp(0, 1).movedim(1, 0)
    own = warping_error(source, source)
    true = warping_error(case.alpha[None], source)
    alpha = warping_error(layers.alpha[None], source)
    return {
        "flicker_alpha": alpha / max(true, 1e-4),
        "flicker_alpha_of_source": alpha / max(own, 1e-4),
        "flicker_plate": warping_error(plate, plate) / max(own, 1e-4),
    }


def _plate_quality(
    case: Case, layers: Delivered, plate: Tensor, shadow: Tensor
) -> dict[str, float]:
    """Return the PSNR in dB of the background that was hidden, by whether it was ever seen."""
    true, made = (network_values(x).clamp(0, 1) for x in (plate, layers.background[:, :3]))
    hidden = (case.alpha > _CLEAR) | (shadow > _CLEAR)
    if float((true - true[:1]).abs().mean()) > _STILL:  # what was seen cannot be told by place
        plates = (true.movedim(1, -1) * 255).round().byte().numpy()
        seen, where = torch.from_numpy(find_seen(plates, hidden.numpy())), "_moving_camera"
    else:
        seen, where = (~hidden).any(0, keepdim=True).expand_as(hidden), ""
    parts = {f"plate_db_seen{where}": hidden & seen, f"plate_db_never_seen{where}": hidden & ~seen}
    return {name: _masked_psnr(made, true, part) for name, part in parts.items() if part.any()}


def _masked_psnr(made: Tensor, true: Tensor, part: Tensor) -> float:
    where = part[:, None].expand_as(true)
    return psnr(made[where], true[where])


def percentiles(values: list[float]) -> dict[str, float]:
    """Return median, 10th and 90th percentile and the number of values."""
    array = np.array(values)
    low, median, high = (float(x) for x in np.percentile(array, (10, 50, 90)))
    return {"median": median, "p10": low, "p90": high, "clips": float(len(values))}
