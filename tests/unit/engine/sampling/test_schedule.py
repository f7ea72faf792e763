"""Noise levels: even, shifted, truncated, and those of the authors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import UniPCMultistepScheduler
from safetensors.torch import load_file

from layert2v_engine.sampling.schedule import Schedule
from layert2v_engine.sampling.solvers import make_sampler

# solver, steps, shift of the recorded runs
RUNS = [(s, n, k) for s in ("unipc", "dpm++") for n, k in ((50, 5), (8, 3), (4, 5))]


def test_even_levels_without_a_shift() -> None:
    schedule = Schedule.create(4, shift=1.0)
    assert schedule.sigmas == (1.0, 0.75, 0.5, 0.25, 0.0)
    assert [schedule.timestep(i) for i in range(schedule.steps)] == [1000, 750, 500, 250]


def test_a_shift_pushes_levels_towards_noise() -> None:
    assert Schedule.create(2, shift=5.0).sigmas == pytest.approx((1.0, 5 / 6, 0.0))


def test_integer_timesteps_are_rounded_down() -> None:
    assert Schedule.create(3, shift=1.0, integer_timesteps=True).timestep(1) == 666


def test_a_run_may_start_below_noise_at_exactly_that_level() -> None:
    """Chosen by level: the same strength means the same for every shift."""
    schedule = Schedule.create(4, shift=1.0)
    assert schedule.truncate(0.6).sigmas == (0.6, 0.5, 0.25, 0.0)
    assert schedule.truncate(0.5).sigmas == (0.5, 0.25, 0.0)
    assert schedule.truncate(0.5001).sigmas == (0.5001, 0.25, 0.0)  # no step of next to nothing
    assert schedule.truncate(0.01).sigmas == (0.01, 0.0)
    assert schedule.truncate(1.0) == schedule
    assert Schedule.create(4, shift=3.0).truncate(0.6).sigmas == pytest.approx((0.6, 0.5, 0.0))
    with pytest.raises(ValueError, match="no way down"):
        schedule.truncate(0.0)


@pytest.mark.parametrize(("steps", "shift"), [(0, 1.0), (4, 0.0)])
def test_impossible_schedules_are_refused(steps: int, shift: float) -> None:
    with pytest.raises(ValueError, match="schedule needs"):
        Schedule.create(steps, shift=shift)


@pytest.mark.parity
@pytest.mark.parametrize(("name", "steps", "shift"), RUNS)
def test_schedule_parity_of_tables(parity_dir: Path, name: str, steps: int, shift: int) -> None:
    record = load_file(parity_dir / "sched.safetensors")
    schedule, _ = make_sampler(name, steps, shift=shift, integer_timesteps=True)
    sigmas = torch.tensor(schedule.sigmas)
    torch.testing.assert_close(
        sigmas, record[f"out.{name}.{steps}.{shift}.sigmas"], atol=1e-6, rtol=0
    )
    times = [schedule.timestep(i) for i in range(steps)]
    assert times == record[f"out.{name}.{steps}.{shift}.timesteps"].tolist()


@pytest.mark.parametrize("shift", [3.0, 5.0])  # Wan at 480 and at 720 lines
def test_levels_and_times_can_be_those_of_diffusers(shift: float) -> None:
    theirs = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift
    )
    for steps in range(1, 61):
        theirs.set_timesteps(steps)
        ours = Schedule.as_diffusers(steps, shift=shift, integer_timesteps=True)
        assert ours.sigmas == pytest.approx(theirs.sigmas.tolist(), abs=1e-7)
        assert [ours.timestep(i) for i in range(steps)] == theirs.timesteps.tolist()
