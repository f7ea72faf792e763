"""The denoising loop: all streams of a scene from noise to clean latents on one trajectory.

What is given of a scene stays. Frozen streams enter clean, are shown to the network at time 0, and
leave bit for bit as they came. Kept regions are what is given with the run's noise on it, at the
level of all others: that takes no training (arXiv 2201.09865).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.guidance import Conditioning, Guidance, Predictor, guided
from layert2v_engine.sampling.schedule import NEARLY_NOISE, Schedule, Solver


class Step(NamedTuple):
    """One finished step: how many of how many, and the estimate of the clean latents so far."""

    done: int
    total: int
    estimate: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Given:
    """What is there of a scene before it is drawn.

    clean: latents [B, S, C, F, h, w]; anything finite where nothing is given.
    frozen: streams that stay as they are, for a model trained to see them so.
    keep: [S, 1, F, h, w] in 0..1, how much of an active stream is to stay as given.
    """

    clean: Tensor
    frozen: tuple[int, ...] = ()
    keep: Tensor | None = None


def no_report(step: Step) -> None:
    """For a run nobody watches."""


@torch.no_grad()
def denoise(
    predict: Predictor,
    noise: Tensor,  # [B, S, C, F, h, w]
    run: tuple[Schedule, Solver],
    prompts: Conditioning,
    negative: Conditioning,
    guidance: Guidance,
    *,
    predicts_clean: bool = False,
    given: Given | None = None,
    on_step: Callable[[Step], None] = no_report,
) -> Tensor:
    """Clean latents [B, S, C, F, h, w] in the type of `noise`.

    predicts_clean: the network's output is the clean latents (x) rather than noise - clean (v).
    A run that starts below pure noise starts from noise mixed into what is `given`.
    on_step: called after each step; what it raises ends the run.
    """
    schedule, solver = run
    given = given or Given(clean=torch.zeros_like(noise))
    active = torch.ones(noise.shape[1], device=noise.device)
    active[list(given.frozen)] = 0
    moves = active.bool()[:, None, None, None, None]  # [S, 1, 1, 1, 1]
    level = schedule.sigmas[0]
    start = noise if level >= NEARLY_NOISE else torch.lerp(given.clean, noise, level)
    x = torch.where(moves, start, given.clean)

    for i, sigma in enumerate(schedule.sigmas[:-1]):
        times = (active * schedule.time(i)).expand(len(x), -1)  # [B, S]
        out = guided(predict, x, times, guidance.at(sigma), prompts, negative).to(x.dtype)
        estimate = torch.where(moves, out if predicts_clean else x - sigma * out, x)
        if given.keep is not None:  # a solver that is told where to arrive walks straight there
            estimate = torch.lerp(estimate, given.clean, given.keep)
        x = torch.where(moves, solver.step(i, x, estimate), x)
        on_step(Step(i + 1, schedule.steps, estimate))
    return x


def scene_predictor(
    model: LayeredWanTransformer3DModel,
    layout: StreamLayout,
    *,
    frozen: Sequence[int] = (),
    frame_offset: int = 0,
    frames_per_stream: int | None = None,
    autocast: torch.dtype | None = None,
) -> Predictor:
    """The network as the loop sees it, for the streams of one layout.

    frozen: streams that see one another only, as a checkpoint of one-way attention knows clean
        ones; `sampling.cached` draws the same for less.
    Raises ValueError when the checkpoint lacks a role of the layout.
    """
    roles = layout.rows(model.config.roles)
    blind = torch.zeros(1, len(layout), dtype=torch.bool)
    blind[:, list(frozen)] = True

    def predict(latents: Tensor, times: Tensor, text: Conditioning) -> Tensor:
        with torch.autocast(latents.device.type, autocast, enabled=autocast is not None):
            out: Tensor = model(
                latents.to(model.dtype),
                times,
                text.states.to(model.dtype),
                roles=roles,
                visibility=layout.visibility,
                prompt_mask=text.mask,
                frame_offset=frame_offset,
                frames_per_stream=frames_per_stream,
                frozen=blind.expand(len(latents), -1).to(latents.device) if frozen else None,
                return_dict=False,
            )[0]
        return out

    return predict


def stream_noise(names: Sequence[str], shape: Sequence[int], seed: int, draw: int = 0) -> Tensor:
    """Noise [1, S, *shape], drawn for each stream apart from (seed, stream name), the first time or
    once more.

    A stream keeps its noise whatever the other streams are. Drawn on the CPU, so that all devices
    see the same numbers.
    """
    again = f"/{draw}" if draw else ""
    return torch.stack([_noise(f"{seed}/{name}{again}", shape) for name in names])[None]


def _noise(key: str, shape: Sequence[int]) -> Tensor:
    digest = hashlib.sha256(key.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.randn(*shape, generator=generator)
