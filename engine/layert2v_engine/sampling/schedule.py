"""Noise levels of a sampling run.

Rectified flow: x = (1 - sigma) * clean + sigma * noise, sigma from about 1 to 0. Knows nothing of
solvers, streams or prompts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

MAX_TIMESTEP = 1000.0  # the network's time of pure noise
# Where solvers that need log(1 - sigma) start: a step of the 1000 Wan was trained with.
SIGMA_MAX = 0.999
# Pipelines of diffusers start this far below pure noise, and divide the way to their last level of
# 1000 into even parts.
DIFFUSERS_EPSILON = 1e-6
DIFFUSERS_LAST = 1e-3
# A level this close (relatively) above the next one is that one: solvers divide by the distance.
SAME_LEVEL = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """Falling noise levels in 0..1, one more than there are steps; the last is 0.

    integer_timesteps: round the timesteps shown to the network down, as LayerT2V does.
    """

    sigmas: tuple[float, ...]
    integer_timesteps: bool = False

    @classmethod
    def create(
        cls,
        steps: int,
        *,
        shift: float,
        first: float = 1.0,
        last: float = 0.0,
        integer_timesteps: bool = False,
    ) -> Schedule:
        """Return even levels from ``first`` to ``last``, pushed towards noise by ``shift``.

        s -> shift * s / (1 + (shift - 1) * s); the last one is 0 in any case. Raises ValueError for
        less than one step or a shift that is not positive.
        """
        if steps < 1 or shift <= 0:
            raise ValueError(f"a schedule needs steps and a positive shift, not {steps}, {shift}")
        even = (first * (1 - i / steps) + last * (i / steps) for i in range(steps))
        sigmas = torch.tensor([*(shift * s / (1 + (shift - 1) * s) for s in even), 0.0])
        return cls(sigmas=tuple(sigmas.tolist()), integer_timesteps=integer_timesteps)

    @classmethod
    def as_diffusers(cls, steps: int, *, shift: float, integer_timesteps: bool = False) -> Schedule:
        """Return the levels of diffusers' ``UniPCMultistepScheduler`` with ``use_flow_sigmas``."""
        schedule = cls.create(
            steps, shift=shift, last=DIFFUSERS_LAST, integer_timesteps=integer_timesteps
        )
        first = min(schedule.sigmas[0], 1 - DIFFUSERS_EPSILON)
        return replace(schedule, sigmas=(first, *schedule.sigmas[1:]))

    def truncate(self, strength: float) -> Schedule:
        """Return the rest of the schedule from noise level ``strength`` in 0..1 on.

        All of it for a level above its first one. This is where a run starts that changes a video
        only so far (SDEdit, arXiv 2108.01073). Chosen by level and not by count, so that it means
        the same for every shift and number of steps. Raises ValueError for a level that is not
        above 0.
        """
        if strength <= 0:
            raise ValueError(f"there is no way down from noise level {strength}")
        if strength >= self.sigmas[0]:
            return self
        rest = (sigma for sigma in self.sigmas if sigma < strength * (1 - SAME_LEVEL))
        return replace(self, sigmas=(strength, *rest))

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.sigmas) - 1

    def timestep(self, step: int) -> float:
        """Return the time in 0..1000 that the network is shown at the start of a step."""
        time = float(torch.tensor(self.sigmas[step]) * MAX_TIMESTEP)  # 0.9 is 900 only in float32
        return math.floor(time) if self.integer_timesteps else time
