"""Noise levels of a run, and the solvers that walk down them.

Rectified flow: x = (1 - sigma) * clean + sigma * noise, sigma from about 1 to 0. A solver sees the
estimate of the clean latents only, so it serves v- and x-predicting networks alike. Knows nothing
of streams or prompts. Sources: DPM-Solver++ (arXiv 2211.01095), UniPC (arXiv 2302.04867),
consistency models (arXiv 2303.01469).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

TIME_SCALE = 1000.0  # what the network calls the time of pure noise
# Where solvers that need log(1 - sigma) start: a step of the 1000 Wan was trained with.
NEARLY_NOISE = 0.999
# A level this close (relatively) above the next one is that one: solvers divide by the distance.
SAME_LEVEL = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Falling noise levels, one more than there are steps; the last is 0.

    `whole_times` rounds the times shown to the network down to whole numbers, as LayerT2V does.
    """

    sigmas: tuple[float, ...]
    whole_times: bool = False

    @classmethod
    def shifted(
        cls, steps: int, *, shift: float, first: float = 1.0, whole_times: bool = False
    ) -> Schedule:
        """Even levels from `first` to 0, pushed to noise by s -> shift * s / (1 + (shift - 1) * s).

        Raises ValueError for less than one step or a shift that is not positive.
        """
        if steps < 1 or shift <= 0:
            raise ValueError(f"a schedule needs steps and a positive shift, not {steps}, {shift}")
        even = (first * (1 - i / steps) for i in range(steps + 1))
        sigmas = torch.tensor([shift * s / (1 + (shift - 1) * s) for s in even])
        return cls(sigmas=tuple(sigmas.tolist()), whole_times=whole_times)

    def below(self, level: float) -> Schedule:
        """The rest of the way, from noise `level` in 0..1 on; all of it from a higher one.

        Where a run starts that changes a picture only so far (arXiv 2108.01073). Chosen by level
        and not by count, so that it means the same for every shift and number of steps. Raises
        ValueError for a level that is not above 0.
        """
        if level <= 0:
            raise ValueError(f"there is no way down from noise level {level}")
        if level >= self.sigmas[0]:
            return self
        rest = (sigma for sigma in self.sigmas if sigma < level * (1 - SAME_LEVEL))
        return replace(self, sigmas=(level, *rest))

    @property
    def steps(self) -> int:
        return len(self.sigmas) - 1

    def time(self, step: int) -> float:
        """What the network is told at the start of a step, 0..1000."""
        time = float(torch.tensor(self.sigmas[step]) * TIME_SCALE)  # 0.9 is 900 in float32 only
        return math.floor(time) if self.whole_times else time


# The noise that a run draws after step `index`, of the shape of a sample.
Fresh = Callable[[int], Tensor]


class Solver(Protocol):
    """One run's way down a schedule; keeps what it has seen, so a new run needs a new one."""

    def step(self, index: int, sample: Tensor, clean: Tensor) -> Tensor:
        """The sample at level `index + 1`, from the one at `index` and its estimate of clean."""


class Euler:
    """Straight steps towards the estimate."""

    def __init__(self, schedule: Schedule) -> None:
        self._sigmas = schedule.sigmas

    def step(self, index: int, sample: Tensor, clean: Tensor) -> Tensor:
        return clean + (sample - clean) * (self._sigmas[index + 1] / self._sigmas[index])


class Stochastic:
    """To the estimate, and back up to the next level with fresh noise: what an earlier step got
    wrong in detail is drawn anew (algorithm 1 of consistency models; diffusers calls it stochastic
    sampling).
    """

    def __init__(self, schedule: Schedule, fresh: Fresh) -> None:
        self._sigmas, self._fresh = schedule.sigmas, fresh

    def step(self, index: int, sample: Tensor, clean: Tensor) -> Tensor:
        del sample
        level = self._sigmas[index + 1]
        return torch.lerp(clean, self._fresh(index).to(clean), level) if level else clean


class DpmPlusPlus:
    """DPM-Solver++ of second order, multistep with midpoints; the last step is of first order."""

    def __init__(self, schedule: Schedule) -> None:
        self._sigmas = schedule.sigmas
        self._previous: Tensor | None = None

    def step(self, index: int, sample: Tensor, clean: Tensor) -> Tensor:
        now, then = self._sigmas[index], self._sigmas[index + 1]
        stride = _log_snr(then) - _log_snr(now)
        growth = (1 - then) * -math.expm1(-stride)
        out = sample * (then / now) + clean * growth
        if self._previous is not None and then > 0:
            before = _log_snr(now) - _log_snr(self._sigmas[index - 1])
            out = out + (clean - self._previous) * (0.5 * growth * stride / before)
        self._previous = clean
        return out


class UniPC:
    """UniPC of second order (B2): predicts like a multistep solver and corrects the step before."""

    def __init__(self, schedule: Schedule) -> None:
        self._sigmas = schedule.sigmas
        self._last: tuple[Tensor, Tensor] | None = None  # corrected sample and estimate of clean
        self._older: Tensor | None = None  # the estimate before that

    def step(self, index: int, sample: Tensor, clean: Tensor) -> Tensor:
        if self._last is None:
            out, _ = self._straight(index, sample, clean)
        else:
            sample = self._corrected(index - 1, *self._last, clean)
            out, growth = self._straight(index, sample, clean)
            if self._sigmas[index + 1] > 0:
                out = out + (clean - self._last[1]) * (0.5 * growth / self._ratio(index))
            self._older = self._last[1]
        self._last = sample, clean
        return out

    def _straight(self, index: int, sample: Tensor, clean: Tensor) -> tuple[Tensor, float]:
        """A step of first order from level `index`, and the weight of clean in it."""
        now, then = self._sigmas[index : index + 2]
        growth = (1 - then) * -math.expm1(_log_snr(now) - _log_snr(then))
        return sample * (then / now) + clean * growth, growth

    def _ratio(self, index: int) -> float:
        """Length of the step to `index` over that of the step from it, in log SNR."""
        before, now, then = (_log_snr(s) for s in self._sigmas[index - 1 : index + 2])
        return (now - before) / (then - now)

    def _corrected(self, index: int, start: Tensor, last: Tensor, clean: Tensor) -> Tensor:
        """The step from level `index` again, now that the estimate at its end is known."""
        out, growth = self._straight(index, start, last)
        if self._older is None:
            return out + (clean - last) * (0.5 * growth)
        # Weights of the two differences: UniPC's 2 x 2 system for order two.
        stride = _log_snr(self._sigmas[index + 1]) - _log_snr(self._sigmas[index])
        unit = -math.expm1(-stride)
        linear = (1 - unit / stride) / unit
        quadratic = (1 - 2 * (1 - unit / stride) / stride) / unit
        back = self._ratio(index)
        older = (linear - quadratic) / (1 + back)
        slope = (last - self._older) / back
        return out + (slope * older + (clean - last) * (linear - older)) * growth


def _log_snr(sigma: float) -> float:
    """log((1 - sigma) / sigma), with its limits at 0 and 1."""
    if sigma in (0.0, 1.0):
        return math.inf if sigma == 0.0 else -math.inf
    return math.log((1 - sigma) / sigma)


def no_noise(step: int) -> Tensor:
    """For runs that need none but the first."""
    raise ValueError(f"a stochastic run needs fresh noise after step {step}")


# How each is built, and the level it starts from.
SOLVERS: dict[str, tuple[Callable[[Schedule, Fresh], Solver], float]] = {
    "euler": (lambda schedule, _: Euler(schedule), 1.0),
    "stochastic": (Stochastic, 1.0),
    "dpm++": (lambda schedule, _: DpmPlusPlus(schedule), 1.0),
    "unipc": (lambda schedule, _: UniPC(schedule), NEARLY_NOISE),
}


def new_run(
    solver: str,
    steps: int,
    *,
    shift: float,
    whole_times: bool = False,
    strength: float = 1.0,
    fresh: Fresh = no_noise,
) -> tuple[Schedule, Solver]:
    """The schedule and a new solver of one run; `solver` is a key of SOLVERS.

    fresh: what the stochastic solver draws from; the others never do.
    strength: the noise level to start from, 1 for a new picture. Raises KeyError for another
    solver, ValueError for wrong steps, shift or strength.
    """
    build, first = SOLVERS[solver]
    schedule = Schedule.shifted(steps, shift=shift, first=first, whole_times=whole_times)
    if strength < 1:
        schedule = schedule.below(strength)
    return schedule, build(schedule, fresh)
