"""What exactness does not tell of a decomposition: how good the plate is, what was made up."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from layert2v_engine.decompose.arrays import FloatArray
from layert2v_engine.decompose.flicker import FlickerMeter
from layert2v_engine.decompose.matting import FrameProposal
from layert2v_engine.decompose.solve import FrameLayers, compose

_STEP = 2  # of pixels that are measured, in both directions
_ULP = 2.0**-11  # half's rounding error, relative
_SMALLEST = 2.0**-24


@dataclass(slots=True)
class SubjectMeasures:
    """Sums over the frames of one subject."""

    frames: int = 0
    compared: int = 0  # frames that show some background
    plate_error: float = 0.0  # mean squared, as displayed, outside of all effects
    invented: float = 0.0
    light: float = 0.0
    covered: float = 0.0
    shadowed: float = 0.0
    mismatch: float = 0.0  # the largest, in rounding errors of half
    flicker: FlickerMeter = field(default_factory=FlickerMeter)

    def add(self, found: FrameProposal, layers: FrameLayers) -> None:
        """Take the next frame into account."""
        self.flicker.add(found.source, layers.background, layers.foreground[..., 3])
        source, part = found.source, found.part
        self.frames += 1
        if found.plate_error is not None:
            self.plate_error += found.plate_error
            self.compared += 1
        self.invented += float(found.invented.mean())
        step = (slice(None, None, _STEP), slice(None, None, _STEP))
        alpha, shadow = (each[step][..., 3] for each in (layers.foreground, layers.shadow))
        self.covered += float(alpha.mean(dtype=np.float32))
        self.shadowed += float((shadow > 0).mean())
        total = float(np.abs(source[step].astype(np.float32)).mean()) + 1e-6
        self.light += float(layers.shadow[step][..., :3].astype(np.float32).mean()) / total
        changed = FrameLayers(*(each[part] for each in layers))  # elsewhere there is one layer
        if changed.background.size:
            worst = mismatch(source[part].astype(np.float32), compose(changed))
            self.mismatch = max(self.mismatch, worst)

    def to_json(self) -> dict[str, float]:
        """Return the means over all frames."""
        count = max(self.frames, 1)
        error = self.plate_error / max(self.compared, 1)
        return {
            "plate_psnr_db": round(-10 * math.log10(max(error, 1e-12)), 2),
            "invented_share": round(self.invented / count, 5),
            "light_share": round(self.light / count, 5),
            "covered_share": round(self.covered / count, 5),
            "shadow_share": round(self.shadowed / count, 5),
            "largest_mismatch_half_ulps": round(self.mismatch, 3),
            **self.flicker.to_json(),
        }


def mismatch(source: FloatArray, comp: FloatArray) -> float:
    """Return the largest difference ``[H, W, 3]`` in rounding errors of half."""
    allowed = np.maximum(np.abs(source) * _ULP, _SMALLEST)
    return float((np.abs(source - comp) / allowed).max())
