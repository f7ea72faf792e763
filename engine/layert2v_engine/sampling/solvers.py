"""Solvers that step down the noise levels of a schedule.

A solver sees the estimate of the clean latents only, so it serves v- and x-predicting networks
alike. Knows nothing of streams or prompts. Sources: DPM-Solver++ (arXiv 2211.01095), UniPC (arXiv
2302.04867), consistency models (arXiv 2303.01469).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from layert2v_engine.sampling.schedule import SIGMA_MAX, Schedule

# Returns the noise that a run adds after step ``index``, of the shape of a sample.
NoiseSource = Callable[[int], Tensor]


class Solver(Protocol):
    """Steps one run down a schedule; keeps what it has seen, so a new run needs a new one.

    ``memory`` is all that it keeps, each of the shape of a sample: with it another one goes on.
    """

    memory: dict[str, Tensor]

    def step(self, index: int, sample: Tensor, clean: Tensor) -> Tensor:
        """Return the sample at level ``index + 1``, the shape of both arguments.

        sample: the one at level ``index``. clean: its estimate of the clean latents.
        """


class Euler:
    """Straight steps towards the estimate."""

    def __init__(self, schedule: Schedule) -> None:
        self._sigmas = schedule.sigmas
        self.memory: dict[str, Tensor] = {}

    def step(self, index: int, sample: Tensor, clean: Tensor) -> Tensor:
        """Return the sample at level ``index + 1``."""
        return clean + (sample - clean) * (self._sigmas[index + 1] / self._sigmas[index])


class Stochastic:
    """Steps to the estimate, and back up to the next level with fresh noise.

    What an earlier step got wrong in detail is sampled anew (algorithm 1 of consistency models;
    diffusers calls it stochastic sampling).
    """

    def __init__(self, schedule: Schedule, noise_source: NoiseSource) -> None:
        self._sigmas, self._noise_source = schedule.sigmas, noise_source
        self.memory: dict[str, Tensor] = {}

    def step(self, index: int, sample: Tensor, clean: Tensor) -> Tensor:
        """Return the sample at level ``index + 1``."""
        del sample
        sigma = self._sigmas[index + 1]
        return torch.lerp(clean, self._noise_source(index).to(clean), sigma) if sigma else clean


class DpmPlusPlus:
    """DPM-Solver++ of second order, multistep with midpoints; the last step is of first order."""

    def __init__(self, schedule: Schedule) -> None:
        self._sigmas = schedule.sigmas
        self.memory: dict[str, Tensor] = {}  # the previous estimate of clean

    def step(self, index: int, sample: Tensor, clean: Tensor) -> Tensor:
        """Return the sample at level ``index + 1``."""
        sigma, next_sigma = self._sigmas[index], self._sigmas[index + 1]
        step_size = _log_snr(next_sigma) - _log_snr(sigma)
        weight = (1 - next_sigma) * -math.expm1(-step_size)
        out = sample * (next_sigma / sigma) + clean * weight
        previous = self.memory.get("previous")
        if previous is not None and next_sigma > 0:
            last_size = _log_snr(sigma) - _log_snr(self._sigmas[index - 1])
            out = out + (clean - previous) * (0.5 * weight * step_size / last_size)
        self.memory["previous"] = clean
        return out


class UniPC:
    """UniPC of second order (B2): predicts like a multistep solver and corrects the step before."""

    def __init__(self, schedule: Schedule) -> None:
        self._sigmas = schedule.sigmas
        # The corrected sample and the estimate of clean of the last step, and that before it.
        self.memory: dict[str, Tensor] = {}

    def step(self, index: int, sample: Tensor, clean: Tensor) -> Tensor:
        """Return the sample at level ``index + 1``."""
        if not self.memory:
            out, _ = self._first_order_step(index, sample, clean)
        else:
            last = self.memory["clean"]
            sample = self._correct(index - 1, self.memory["sample"], last, clean)
            out, weight = self._first_order_step(index, sample, clean)
            if self._sigmas[index + 1] > 0:
                out = out + (clean - last) * (0.5 * weight / self._step_ratio(index))
            self.memory["older"] = last
        self.memory.update(sample=sample, clean=clean)
        return out

    def _first_order_step(self, index: int, sample: Tensor, clean: Tensor) -> tuple[Tensor, float]:
        """Return the step of first order from level ``index``, and the weight of clean in it."""
        sigma, next_sigma = self._sigmas[index : index + 2]
        weight = (1 - next_sigma) * -math.expm1(_log_snr(sigma) - _log_snr(next_sigma))
        return sample * (next_sigma / sigma) + clean * weight, weight

    def _step_ratio(self, index: int) -> float:
        """Return the length of the step to ``index`` over that of the step from it, in log SNR."""
        before, here, after = (_log_snr(s) for s in self._sigmas[index - 1 : index + 2])
        return (here - before) / (after - here)

    def _correct(self, index: int, start: Tensor, last: Tensor, clean: Tensor) -> Tensor:
        """Repeat the step from level ``index``, now that the estimate at its end is known."""
        out, weight = self._first_order_step(index, start, last)
        if "older" not in self.memory:
            return out + (clean - last) * (0.5 * weight)
        # Weights of the two differences: UniPC's 2 x 2 system for order two.
        step_size = _log_snr(self._sigmas[index + 1]) - _log_snr(self._sigmas[index])
        unit = -math.expm1(-step_size)
        linear = (1 - unit / step_size) / unit
        quadratic = (1 - 2 * (1 - unit / step_size) / step_size) / unit
        ratio = self._step_ratio(index)
        older = (linear - quadratic) / (1 + ratio)
        slope = (last - self.memory["older"]) / ratio
        return out + (slope * older + (clean - last) * (linear - older)) * weight


def _log_snr(sigma: float) -> float:
    """Return log((1 - sigma) / sigma), with its limits at 0 and 1."""
    if sigma in (0.0, 1.0):
        return math.inf if sigma == 0.0 else -math.inf
    return math.log((1 - sigma) / sigma)


def no_noise(step: int) -> Tensor:
    """Raise ValueError: the noise source of a run that needs no noise but its first."""
    raise ValueError(f"a stochastic run needs fresh noise after step {step}")


# By name, how each solver is built, and the noise level it starts from.
SOLVERS: dict[str, tuple[Callable[[Schedule, NoiseSource], Solver], float]] = {
    "euler": (lambda schedule, _: Euler(schedule), 1.0),
    "stochastic": (Stochastic, 1.0),
    "dpm++": (lambda schedule, _: DpmPlusPlus(schedule), 1.0),
    "unipc": (lambda schedule, _: UniPC(schedule), SIGMA_MAX),
}


def make_sampler(
    solver: str,
    steps: int,
    *,
    shift: float,
    levels: str = "layert2v",
    integer_timesteps: bool = False,
    strength: float = 1.0,
    noise_source: NoiseSource = no_noise,
) -> tuple[Schedule, Solver]:
    """Return the schedule and a new solver of one run.

    solver: a key of SOLVERS.
    levels: ``layert2v``, evenly down to 0, or ``diffusers``, those of its pipelines for Wan.
    strength: the noise level in 0..1 to start from, 1 for a new video.
    noise_source: fresh noise for the stochastic solver; the others never ask for it.
    Raises KeyError for another solver, ValueError for wrong steps, shift or strength.
    """
    build, first = SOLVERS[solver]
    if levels == "diffusers":
        schedule = Schedule.as_diffusers(steps, shift=shift, integer_timesteps=integer_timesteps)
    else:
        schedule = Schedule.create(
            steps, shift=shift, first=first, integer_timesteps=integer_timesteps
        )
    if strength < 1:
        schedule = schedule.truncate(strength)
    return schedule, build(schedule, noise_source)
