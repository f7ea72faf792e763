"""A run that is killed goes on where it was kept, to the same latents."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.sampling.denoise import InitLatents, Step, denoise, stream_noise
from layert2v_engine.sampling.guidance import Conditioning, Guidance
from layert2v_engine.sampling.run_state import RunState
from layert2v_engine.sampling.solvers import SOLVERS, make_sampler

LAYOUT = StreamLayout.for_foregrounds(1)
SHAPE = (4, 2, 6, 8)
NOISE = stream_noise(LAYOUT.names, SHAPE, seed=3)
STEPS = 7
GIVEN = {"given": torch.ones(2)}


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it here."""


class Network:
    """Answers with something that depends on all it is given, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, latents: Tensor, times: Tensor, text: Conditioning) -> Tensor:
        self.calls += 1
        return torch.tanh(latents * 0.7) + times[:, :, None, None, None, None] / 900


def run(network: Network, solver: str, state: RunState | None, stop_at: int = 0) -> Tensor:
    def noise_source(step: int) -> Tensor:
        return stream_noise(LAYOUT.names, SHAPE, seed=3, draw=step + 1)

    def on_step(step: Step) -> None:
        if step.done == stop_at:
            raise Killed

    return denoise(
        network,
        NOISE,
        make_sampler(solver, STEPS, shift=3.0, noise_source=noise_source),
        prompts=Conditioning(torch.ones(1, 3, 5, 8), None),
        negative=Conditioning(torch.zeros(1, 3, 5, 8), None),
        guidance=Guidance(),
        init=InitLatents(latents=torch.full_like(NOISE, 0.5), frozen=(1,)),
        state=state,
        on_step=on_step,
    )


def state_of(folder: Path, request: str = "a fox") -> RunState:
    state = RunState(folder / "scratch", save_steps=2)
    state.identify(request, GIVEN)
    return state


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(("stop_at", "left"), [(5, 3), (STEPS, 0), (1, STEPS)])
def test_a_killed_run_goes_on_to_the_same_latents(
    tmp_path: Path, solver: str, stop_at: int, left: int
) -> None:
    whole = run(Network(), solver, None)
    with pytest.raises(Killed):
        run(Network(), solver, state_of(tmp_path), stop_at)
    network = Network()
    assert torch.equal(run(network, solver, state_of(tmp_path)), whole)
    assert network.calls == left


def test_the_state_of_another_run_is_not_taken(tmp_path: Path) -> None:
    run(Network(), "unipc", state_of(tmp_path))
    assert state_of(tmp_path).load()[0] == STEPS
    assert state_of(tmp_path, "an owl").load() == (0, {})
    other = RunState(tmp_path / "scratch")
    other.identify("a fox", {"given": torch.zeros(2)})
    assert other.load() == (0, {})


def test_a_damaged_state_is_no_state(tmp_path: Path) -> None:
    run(Network(), "euler", state_of(tmp_path))
    (file,) = (tmp_path / "scratch").iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    assert state_of(tmp_path).load() == (0, {})
    network = Network()
    run(network, "euler", state_of(tmp_path))
    assert network.calls == STEPS


def test_a_run_that_ends_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Killed), state_of(tmp_path) as state:
        run(Network(), "euler", state, 3)
    assert list(tmp_path.iterdir()) == []
