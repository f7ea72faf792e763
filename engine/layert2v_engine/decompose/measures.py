"""What exactness does not tell of a decomposition: how good the plate is, what was made up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from layert2v_engine.decompose.arrays import BoolArray, FloatArray, encode
from layert2v_engine.decompose.solve import FrameLayers, HalfArray, Proposal, compose

_STEP = 2  # of pixels that are measured, in both directions
_ULP = 2.0**-11  # half's rounding error, relative
_SMALLEST = 2.0**-24


@dataclass(slots=True)
class SubjectMeasures:
    """Sums over the frames of one subject."""

    frames: int = 0
    plate_error: float = 0.0  # mean squared, as displayed, outside of all effects
    invented: float = 0.0
    light: float = 0.0
    covered: float = 0.0
    shadowed: float = 0.0
    mismatch: float = 0.0  # the largest, in rounding errors of half
    _values: list[float] = field(default_factory=list)

    def add(
        self, source: HalfArray, proposal: Proposal, layers: FrameLayers, invented: BoolArray
    ) -> None:
        """Take a frame into account."""
        frame = source.astype(np.float32)
        part = (slice(None, None, _STEP), slice(None, None, _STEP))
        alpha, shadow = layers.foreground[part][..., 3], layers.shadow[part][..., 3]
        is_free = (alpha == 0) & (shadow == 0) & (proposal.light[part] == 0)
        difference = encode(frame[part]) - encode(proposal.plate[part])
        if is_free.any():
            self.plate_error += float(np.square(difference[is_free]).mean())
        self.frames += 1
        self.invented += float(invented.mean())
        self.covered += float(alpha.mean(dtype=np.float32))
        self.shadowed += float((shadow > 0).mean())
        total = float(np.abs(frame[part]).mean()) + 1e-6
        self.light += float(layers.shadow[part][..., :3].astype(np.float32).mean()) / total
        self.mismatch = max(self.mismatch, mismatch(frame, compose(layers)))

    def to_json(self) -> dict[str, float]:
        """Return the means over all frames."""
        count = max(self.frames, 1)
        error = self.plate_error / count
        return {
            "plate_psnr_db": round(-10 * math.log10(max(error, 1e-12)), 2),
            "invented_share": round(self.invented / count, 5),
            "light_share": round(self.light / count, 5),
            "covered_share": round(self.covered / count, 5),
            "shadow_share": round(self.shadowed / count, 5),
            "largest_mismatch_half_ulps": round(self.mismatch, 3),
        }


def mismatch(source: FloatArray, comp: FloatArray) -> float:
    """Return the largest difference ``[H, W, 3]`` in rounding errors of half."""
    allowed = np.maximum(np.abs(source) * _ULP, _SMALLEST)
    return float((np.abs(source - comp) / allowed).max())
