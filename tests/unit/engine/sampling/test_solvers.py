"""Solvers: exact cases, convergence, the authors' trajectories."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from layert2v_engine.sampling.solvers import SOLVERS, make_sampler

# solver, steps, shift of the recorded runs
RUNS = [(s, n, k) for s in ("unipc", "dpm++") for n, k in ((50, 5), (8, 3), (4, 5))]


def step_noise(step: int) -> torch.Tensor:
    return torch.randn(2, 3, generator=torch.Generator().manual_seed(step))


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_constant_estimate_is_reached_exactly(name: str, steps: int) -> None:
    schedule, solver = make_sampler(name, steps, shift=3.0, noise_source=step_noise)
    clean, sample = torch.full((2, 3), 0.7), torch.randn(2, 3)
    for index in range(schedule.steps):
        sample = solver.step(index, sample, clean)
    torch.testing.assert_close(sample, clean, atol=1e-6, rtol=0)


def gaussian_error(name: str, steps: int) -> float:
    """Error of carrying one noise to the data N(0, 0.5^2); the exact answer is half the noise."""
    schedule, solver = make_sampler(name, steps, shift=2.0)
    first = schedule.sigmas[0]
    spread = math.hypot(0.5 * (1 - first), first)
    sample = torch.tensor([spread], dtype=torch.float64)
    for index, sigma in enumerate(schedule.sigmas[:-1]):
        variance = (0.5 * (1 - sigma)) ** 2 + sigma**2
        sample = solver.step(index, sample, sample * (0.25 * (1 - sigma) / variance))
    return abs(float(sample) - 0.5)


@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "stochastic"])
def test_more_steps_come_closer_to_the_exact_answer(name: str) -> None:
    assert gaussian_error(name, 64) < 0.6 * gaussian_error(name, 32)


def test_a_stochastic_step_is_the_estimate_with_noise_of_the_next_level() -> None:
    _, solver = make_sampler("stochastic", 4, shift=1.0, noise_source=step_noise)
    clean = torch.full((2, 3), 0.7)
    once = solver.step(1, torch.full((2, 3), 9.0), clean)
    torch.testing.assert_close(once, 0.5 * clean + 0.5 * step_noise(1))
    assert torch.equal(solver.step(3, torch.zeros(2, 3), clean), clean)
    with pytest.raises(ValueError, match="needs fresh noise after step 0"):
        make_sampler("stochastic", 4, shift=1.0)[1].step(0, clean, clean)


def test_solvers_of_second_order_beat_euler_at_few_steps() -> None:
    euler = gaussian_error("euler", 16)
    assert gaussian_error("unipc", 16) < euler / 3
    assert gaussian_error("dpm++", 16) < euler / 3


@pytest.mark.parity
@pytest.mark.parametrize(("name", "steps", "shift"), RUNS)
def test_schedule_parity_of_trajectories(
    parity_dir: Path, name: str, steps: int, shift: int
) -> None:
    record = load_file(parity_dir / "sched.safetensors")
    schedule, solver = make_sampler(name, steps, shift=shift, integer_timesteps=True)
    run = f"{name}.{steps}.{shift}"
    sample, field = record[f"in.{run}.latent"], record[f"in.{run}.field"]
    for index, sigma in enumerate(schedule.sigmas[:-1]):
        velocity = field + 0.3 * sample * math.sin(schedule.timestep(index) / 200)
        sample = solver.step(index, sample, sample - sigma * velocity)
    torch.testing.assert_close(sample, record[f"out.{run}.final"], atol=1e-4, rtol=0)
