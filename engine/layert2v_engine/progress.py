"""How far a request is, and the caller's side of it: reports, previews, and cancelling."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from PIL import Image
from torch import Tensor

from layert2v_engine.errors import Cancelled
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.stack.preview import FOLDER

# Fraction of a request's time per stage, measured on two cores with the Mini; only the progress
# bar depends on it.
STAGE_WEIGHTS: Mapping[str, float] = MappingProxyType(
    {"load": 0.25, "text": 0.05, "denoise": 0.5, "decode": 0.15, "write": 0.05}
)
# The same for a request that needs no model.
WRITE_STAGE_WEIGHTS: Mapping[str, float] = MappingProxyType({"decode": 0.6, "write": 0.4})
PREVIEW_NAME = "progress.png"


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Progress of a request: ``done`` of ``total`` in its stage, ``fraction`` in 0..1 over all.

    stage: load, text, denoise, decode or write.
    preview: an image (PNG) to show meanwhile.
    eta_s: seconds that are left, None as long as nothing can be said.
    """

    stage: str
    done: int
    total: int
    message: str = ""
    preview: Path | None = None
    fraction: float = 0.0
    eta_s: float | None = None


class ProgressReporter:
    """Reports the progress of one request to its caller, and asks whether to go on.

    folder: where the stack of the request is written.
    """

    def __init__(
        self,
        folder: Path,
        report: Callable[[Progress], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self.folder = folder
        self.stage_weights = STAGE_WEIGHTS
        self._report, self._cancelled = report, cancelled
        self._started = time.monotonic()
        self._preview: Path | None = None

    def report(self, stage: str, done: int, total: int, message: str = "") -> None:
        """Report progress. Raises Cancelled when the caller wants to stop."""
        self.check()
        stages = list(self.stage_weights)
        before = sum(self.stage_weights[s] for s in stages[: stages.index(stage)])
        fraction = before + self.stage_weights[stage] * done / total
        elapsed = time.monotonic() - self._started
        eta_s = elapsed * (1 - fraction) / fraction if fraction > 0.1 else None
        self._report(
            Progress(
                stage=stage,
                done=done,
                total=total,
                message=message,
                preview=self._preview,
                fraction=min(fraction, 1.0),
                eta_s=eta_s,
            )
        )

    def check(self) -> None:
        """Raise Cancelled when the caller wants to stop, where there is nothing to report."""
        if self._cancelled():
            raise Cancelled("The job was cancelled.")

    def set_preview(self, image: Tensor) -> None:
        """Make an image [3, H, W] in 0..1 the preview of the reports to come."""
        path = self.folder / FOLDER / PREVIEW_NAME
        pixels = (image.clamp(0, 1) * 255).round().byte().movedim(0, -1).cpu().numpy()
        with atomic_write(path) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")
        self._preview = path

    def close(self) -> None:
        """Remove the preview: a finished stack has better ones, an aborted one has none."""
        if self._preview is not None:
            self._preview.unlink(missing_ok=True)


def should_preview(done: int, total: int) -> bool:
    """Return whether to show a preview after step ``done`` (from 1) of ``total``.

    The first after a tenth of the steps, when place and subject can be told already, then at the
    half and at three quarters.
    """
    quarter = max(total // 4, 1)
    is_first = done == max(total // 10, 1)
    return done < total and (is_first or (done > quarter and done % quarter == 0))
