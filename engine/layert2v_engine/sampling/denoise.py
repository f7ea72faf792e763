"""The denoising loop: all streams of a scene from noise to clean latents on one trajectory.

Frozen streams enter clean, are shown to the network at time 0, and leave bit for bit as they came.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.sampling.guidance import Conditioning, Guidance, Predictor, guided
from layert2v_engine.sampling.schedule import Schedule, Solver


class Step(NamedTuple):
    """One finished step: how many of how many, and the estimate of the clean latents so far."""

    done: int
    total: int
    estimate: Tensor


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
    frozen: Sequence[int] = (),
    clean: Tensor | None = None,
    on_step: Callable[[Step], None] = no_report,
) -> Tensor:
    """Clean latents [B, S, C, F, h, w] in the type of `noise`.

    predicts_clean: the network's output is the clean latents (x) rather than noise - clean (v).
    frozen: streams taken from `clean` [B, S, C, F, h, w] as they are.
    on_step: called after each step; what it raises ends the run.
    """
    schedule, solver = run
    active = torch.ones(noise.shape[1], device=noise.device)
    active[list(frozen)] = 0
    moves = active.bool()[:, None, None, None, None]  # [S, 1, 1, 1, 1]
    x = noise if clean is None else torch.where(moves, noise, clean)

    for i, sigma in enumerate(schedule.sigmas[:-1]):
        times = (active * schedule.time(i)).expand(len(x), -1)  # [B, S]
        out = guided(predict, x, times, guidance.at(sigma), prompts, negative).to(x.dtype)
        estimate = torch.where(moves, out if predicts_clean else x - sigma * out, x)
        x = torch.where(moves, solver.step(i, x, estimate), x)
        on_step(Step(i + 1, schedule.steps, estimate))
    return x


def scene_predictor(
    model: LayeredWanTransformer3DModel,
    layout: StreamLayout,
    *,
    frame_offset: int = 0,
    frames_per_stream: int | None = None,
    autocast: torch.dtype | None = None,
) -> Predictor:
    """The network as the loop sees it, for the streams of one layout.

    Raises ValueError when the checkpoint lacks a role of the layout.
    """
    roles = layout.rows(model.config.roles)

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
                return_dict=False,
            )[0]
        return out

    return predict


def stream_noise(layout: StreamLayout, shape: Sequence[int], seed: int) -> Tensor:
    """Noise [1, S, *shape], drawn for each stream apart from (seed, stream name).

    A stream keeps its noise whatever the other streams are. Drawn on the CPU, so that all devices
    start from the same numbers.
    """
    return torch.stack([_noise(f"{seed}/{name}", shape) for name in layout.names])[None]


def _noise(key: str, shape: Sequence[int]) -> Tensor:
    digest = hashlib.sha256(key.encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return torch.randn(*shape, generator=generator)
