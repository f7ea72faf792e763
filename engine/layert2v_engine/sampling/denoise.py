"""The denoising loop: all streams of a scene from noise to clean latents on one trajectory.

Latents that are given stay. Frozen streams enter clean, are shown to the network at time 0, and
leave bit for bit as they came. Kept regions are the given latents with the run's noise on them, at
the level of all others: that takes no training (RePaint, arXiv 2201.09865).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from layert2v_engine.sampling.guidance import (
    Conditioning,
    Guidance,
    Predictor,
    classifier_free_guidance,
)
from layert2v_engine.sampling.run_state import RunState
from layert2v_engine.sampling.schedule import SIGMA_MAX, Schedule
from layert2v_engine.sampling.solvers import Solver


class Step(NamedTuple):
    """One finished step: ``done`` of ``total``, and the estimate of the clean latents so far.

    estimate: [B, S, C, F, h, w].
    """

    done: int
    total: int
    estimate: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class InitLatents:
    """Latents that are there before denoising starts.

    latents: clean [B, S, C, F, h, w]; anything finite where nothing is given.
    frozen: indices of streams that stay as they are, for a model trained to see them so.
    keep_mask: [S, 1, F, h, w] in 0..1, how much of an active stream is to stay as given.
    """

    latents: Tensor
    frozen: tuple[int, ...] = ()
    keep_mask: Tensor | None = None


def ignore_step(step: Step) -> None:
    """Do nothing: the callback of a run nobody watches."""


@torch.no_grad()
def denoise(
    predict: Predictor,
    noise: Tensor,  # [B, S, C, F, h, w]
    sampler: tuple[Schedule, Solver],
    prompts: Conditioning,
    negative: Conditioning,
    guidance: Guidance,
    *,
    predicts_clean: bool = False,
    init: InitLatents | None = None,
    state: RunState | None = None,
    on_step: Callable[[Step], None] = ignore_step,
) -> Tensor:
    """Return clean latents [B, S, C, F, h, w] in the type of ``noise``.

    predicts_clean: the network's output is the clean latents (x) rather than noise - clean (v).
    init: what a run that starts below pure noise mixes its noise into.
    state: where the run is kept, and taken up again where it was killed.
    on_step: called after each step; what it raises ends the run.
    """
    schedule, solver = sampler
    init = init or InitLatents(latents=torch.zeros_like(noise))
    active = torch.ones(noise.shape[1], device=noise.device)
    active[list(init.frozen)] = 0
    is_active = active.bool()[:, None, None, None, None]  # [S, 1, 1, 1, 1]
    level = schedule.sigmas[0]
    start = noise if level >= SIGMA_MAX else torch.lerp(init.latents, noise, level)
    done, x = _resume(state, torch.where(is_active, start, init.latents), solver)

    for i, sigma in list(enumerate(schedule.sigmas[:-1]))[done:]:
        times = (active * schedule.timestep(i)).expand(len(x), -1)  # [B, S]
        scale = guidance.scale_at(sigma)
        out = classifier_free_guidance(
            predict, x, times, scale, prompts, negative, is_shared=guidance.is_shared
        ).to(x.dtype)
        estimate = torch.where(is_active, out if predicts_clean else x - sigma * out, x)
        if init.keep_mask is not None:  # a solver that knows where to arrive walks straight there
            estimate = torch.lerp(estimate, init.latents, init.keep_mask)
        x = torch.where(is_active, solver.step(i, x, estimate), x)
        if state is not None:
            state.save(i + 1, schedule.steps, {**solver.memory, "latents": x})
        on_step(Step(i + 1, schedule.steps, estimate))
    return x


def _resume(state: RunState | None, start: Tensor, solver: Solver) -> tuple[int, Tensor]:
    """Return how many steps of a run are done, and the latents after them."""
    done, tensors = (0, {}) if state is None else state.load()
    if "latents" not in tensors or any(each.shape != start.shape for each in tensors.values()):
        return 0, start
    restored = {name: each.to(start) for name, each in tensors.items()}
    latents = restored.pop("latents")
    solver.memory.update(restored)
    return done, latents


def stream_noise(names: Sequence[str], shape: Sequence[int], seed: int, draw: int = 0) -> Tensor:
    """Return noise [1, S, *shape], for each stream apart from (seed, stream name).

    A stream keeps its noise whatever the other streams are. Generated on the CPU, so that all
    devices see the same numbers. draw: 0 for the first noise of a run, n for the n-th fresh one.
    """
    again = f"/{draw}" if draw else ""
    return torch.stack([_noise(f"{seed}/{name}{again}", shape) for name in names])[None]


def _noise(key: str, shape: Sequence[int]) -> Tensor:
    digest = hashlib.sha256(key.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.randn(*shape, generator=generator)
