"""Stage 2 of the paper: all streams of a scene on one trajectory, first as stills, then as clips.

Stills are single latent frames at their positions inside a clip: five times cheaper, and shapes are
learned there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from layert2v_engine.devices import Dice, mixed_precision
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.training.data import CaptionStates, LatentSet
from layert2v_engine.training.objective import (
    ObjectiveConfig,
    coverage_weights,
    flow_loss,
    sample_times,
)
from layert2v_engine.world.captions import canonical, captions
from layert2v_engine.world.clips import Label

VALIDATION_TIMES = (0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, kw_only=True, slots=True)
class JointConfig:
    """What a batch of the joint stage looks like."""

    batch: int = 16
    still_share: float = 1.0  # share of steps on single latent frames
    still_batch: int = 16
    prompt_drop: float = 0.1  # all prompts of a sample
    layer_prompt_drop: float = 0.07  # each prompt on its own
    compile: bool = True
    seed: int = 0


class Sampler(Protocol):
    """Draws a contact sheet with the weights in training; given by the stage, which knows decoder
    and sampling.
    """

    def __call__(
        self, model: LayeredWanTransformer3DModel, path: Path, frame: int | None
    ) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """What a joint phase learns from, the same for all phases."""

    layout: StreamLayout
    latents: LatentSet
    held_out: LatentSet
    texts: CaptionStates


class JointPhase:
    """Rectified flow over all streams with mixed per-stream noise."""

    def __init__(
        self,
        name: str,
        model: LayeredWanTransformer3DModel,
        material: Material,
        sampler: Sampler,
        config: JointConfig,
        objective: ObjectiveConfig,
    ) -> None:
        self.name, self.config, self.objective = name, config, objective
        self.transformer = model
        self.model: nn.Module = model
        self.sampler, self.layout, self.texts = sampler, material.layout, material.texts
        self.latents, self.held_out = material.latents, material.held_out
        self.frames = self.latents.latents.shape[3]
        self.device = model.device
        self.dice = Dice(config.seed, self.device)
        self.caption_rng = Random(config.seed)  # noqa: S311 - captions, not secrets
        if config.compile:
            for block in model.blocks:
                block.compile(dynamic=False)

    def loss(self, step: int, share: float) -> Tensor:
        """Flow-matching loss of a random batch of stills or clips."""
        del step, share
        still = self.dice.chance(self.config.still_share)
        size = self.config.still_batch if still else self.config.batch
        rows = self.dice.indices(len(self.latents.labels), size)
        frame = self.dice.index(self.frames) if still else None
        batch = self.latents.batch(rows, frame, self.device)
        noise = self.dice.noise(batch.latents.shape)
        drawn = sample_times(size, self.layout, self.objective, self.dice.choices)
        times, active = (each.to(self.device) for each in drawn)
        prompts = [self._captions(self.latents.labels[row]) for row in rows.tolist()]
        velocity = self._predict(batch.latents, noise, times, prompts, frame)
        weights = coverage_weights(self.layout, batch.matte, batch.shadow, self.objective)
        return flow_loss(velocity, batch.latents, noise, weights, active)

    def reseed(self, step: int) -> None:
        """Other batches, noise and captions than those before `step`."""
        self.dice = Dice(self.config.seed + step, self.device)
        self.caption_rng = Random(self.config.seed + step)  # noqa: S311 - captions, not secrets

    def validate(self) -> dict[str, float]:
        """Unweighted velocity error on held-out seeds, whole and per stream, with fixed noise and
        first captions.
        """
        frame = self.frames // 2 if self.config.still_share == 1 else None
        rows = torch.arange(len(self.held_out.labels))
        latents = self.held_out.batch(rows, frame, self.device).latents
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(7)).to(latents)
        prompts = [canonical(label) for label in self.held_out.labels]
        errors = []
        for time in VALIDATION_TIMES:
            times = torch.full((len(rows), len(self.layout)), time, device=self.device)
            velocity = self._predict(latents, noise, times, prompts, frame)
            errors.append((velocity.float() - (noise - latents)).square().mean(dim=(0, 2, 3, 4, 5)))
        per_time_stream = torch.stack(errors)
        figures = {"loss": float(per_time_stream.mean())}
        figures |= {
            f"loss_t{t}": float(e)
            for t, e in zip(VALIDATION_TIMES, per_time_stream.mean(1), strict=True)
        }
        per_stream = per_time_stream.mean(0)
        return figures | {
            f"loss_{n}": float(e) for n, e in zip(self.layout.names, per_stream, strict=True)
        }

    def sample(self, path: Path) -> None:
        """Fixed prompts, as stills while only stills are trained: a still model smears when asked
        for clips.
        """
        self.sampler(self.transformer, path, 1 if self.config.still_share == 1 else None)

    def _predict(
        self,
        latents: Tensor,
        noise: Tensor,
        times: Tensor,
        prompts: Sequence[tuple[str, ...]],
        frame: int | None,
    ) -> Tensor:
        mix = times[:, :, None, None, None, None]
        states, mask = self.texts.batch(prompts)
        with mixed_precision(self.device):
            (velocity,) = self.transformer(
                (1 - mix) * latents + mix * noise,
                times * 1000,
                states,
                roles=self.layout.rows(self.transformer.config.roles),
                visibility=self.layout.visibility,
                prompt_mask=mask,
                frame_offset=frame or 0,
                frames_per_stream=self.frames,
                return_dict=False,
            )
        return cast(Tensor, velocity)

    def _captions(self, label: Label) -> tuple[str, ...]:
        """Global, foreground, background captions with some dropped, so guidance has something to
        guide away from.
        """
        words = captions(label, self.caption_rng)
        if self.caption_rng.random() < self.config.prompt_drop:
            return ("",) * len(words)
        return tuple(
            "" if self.caption_rng.random() < self.config.layer_prompt_drop else w for w in words
        )
