"""How much work a job is, in units of which the speed of a device can be measured."""

from __future__ import annotations

from dataclasses import dataclass

from layert2v.decompose import DecomposeSpec, RefineSpec
from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v_server.domain.request import JobSpec

DEFAULT_RECIPE = "decompose"


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """``amount`` is in units of ``kind``: what is measured of one kind says nothing of another.

    Of a generation, the kind is its model, and a unit one step of a megapixel-frame: a million
    pixels of one frame. Where a request does not say how large it is, it is one unit.
    """

    kind: str
    amount: float


def work_of(spec: JobSpec) -> Work:
    """Return the work of a complete spec."""
    match spec:
        case GenerateSpec():
            pixels = (spec.width or 0) * (spec.height or 0) * (spec.frames or 0)
            return Work(kind=spec.model, amount=max(1e-6, (spec.steps or 1) * pixels / 1e6))
        case RerenderSpec():
            steps = spec.steps or 1
            return Work(kind=f"{spec.model}/{spec.action}", amount=float(steps))
        case DecomposeSpec():
            recipe = spec.recipe or DEFAULT_RECIPE
            if spec.first is None or spec.last is None:
                return Work(kind=f"{recipe}/whole", amount=1.0)
            return Work(kind=recipe, amount=float(max(1, spec.last - spec.first + 1)))
        case RefineSpec():
            return Work(kind="refine", amount=1.0)
