"""Stages 2 and 3 of the paper: all streams of a scene on one trajectory, first as stills, then as
clips, first with one foreground, then with several.

Stills are single latent frames at their positions inside a clip: five times cheaper, and shapes are
learned there. Scenes with different numbers of foregrounds have different layouts, so a batch holds
scenes with the same number.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from layert2v_engine.devices import TrainingRng, mixed_precision
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.training.data import (
    CaptionStates,
    LatentBatch,
    LatentSet,
    StreamWhitening,
)
from layert2v_engine.training.objective import (
    ObjectiveConfig,
    agreement_loss,
    coverage_weights,
    flow_loss,
    sample_times,
)
from layert2v_engine.world.text.captions import captions_for
from layert2v_engine.world.text.scenes import Scene

VALIDATION_TIMES = (0.25, 0.5, 0.75, 0.95)
REDRAW_TIME = 0.75  # where a stream drawn around frozen ones decides what it will be
BATCH_STREAMS = 5  # what the batch sizes of a configuration are meant for
SHAPES = 64  # of compiled blocks: numbers of foregrounds, stills and clips, with a margin


@dataclass(frozen=True, kw_only=True, slots=True)
class JointConfig:
    """What a batch looks like. Batch sizes are of scenes with one foreground; with more streams
    they are smaller by as much, so that a step always takes about the same time.
    """

    batch: int = 16
    still_share: float = 1.0  # share of steps on single latent frames
    still_batch: int = 16
    foregrounds: tuple[int, ...] = (1,)  # how many a scene may have
    shares: tuple[float, ...] = ()  # of steps with each of these; empty: the same for all
    prompt_drop: float = 0.1  # all prompts of a sample
    layer_prompt_drop: float = 0.07  # each prompt on its own
    routing: str = "layered"  # who hears which prompt, as a checkpoint declares it
    guidance: float = 0.0  # learn the guided answers of the model before this phase; 0: the data
    compile: bool = True
    seed: int = 0


class Sampler(Protocol):
    """Draws a contact sheet with the weights in training; given by the stage, which knows decoder
    and sampling.
    """

    def __call__(
        self,
        model: LayeredWanTransformer3DModel,
        path: Path,
        frame: int | None,
        config: JointConfig,
    ) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenes:
    """Clips with the same number of foregrounds."""

    layout: StreamLayout
    latents: LatentSet
    held_out: LatentSet

    @property
    def frames(self) -> int:
        """Latent frames of a clip."""
        return self.latents.latents.shape[3]


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """What a phase learns from, the same for all phases.

    stride: latent frames between the rotary positions of two streams.
    """

    scenes: Mapping[int, Scenes]  # by number of foregrounds
    texts: CaptionStates
    whitening: StreamWhitening
    stride: int


class _Question(NamedTuple):
    """What a network is asked: latents [B, S, C, F, h, w] with noise at `times` [B, S] in 0..1, at
    a latent frame of a clip or (None) a whole one; `frozen` [B, S] as the transformer takes it.
    """

    layout: StreamLayout
    latents: Tensor
    noise: Tensor
    times: Tensor
    frame: int | None
    frozen: Tensor | None


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
        self.sampler, self.texts, self.stride = sampler, material.texts, material.stride
        self.whitening = material.whitening
        self.scenes = [material.scenes[count] for count in config.foregrounds]
        self.shares = torch.tensor(config.shares or (1.0,) * len(self.scenes))
        self.device = model.device
        self.rng = TrainingRng(config.seed, self.device)
        self.caption_rng = Random(config.seed)  # noqa: S311 - captions, not secrets
        self.teacher = copy.deepcopy(model).requires_grad_(False) if config.guidance else None
        if config.compile:
            torch._dynamo.config.recompile_limit = SHAPES
            for block in model.blocks:
                block.compile(dynamic=False)

    def loss(self, step: int, share: float) -> Tensor:
        """Flow-matching loss of a random batch of stills or clips."""
        del step, share
        scenes, batch, frame, rows = self._draw()
        noise = self.rng.noise(batch.latents.shape)
        drawn = sample_times(len(rows), scenes.layout, self.objective, self.rng.choices)
        times, active = (each.to(self.device) for each in drawn)
        prompts = [self._captions(scenes.latents.scenes[row]) for row in rows]
        frozen = active == 0 if self.objective.one_way else None
        question = _Question(scenes.layout, batch.latents, noise, times, frame, frozen)
        velocity = self._predict(self.transformer, question, prompts)
        error = velocity.float() - self._target(question, prompts)
        weights = coverage_weights(scenes.layout, batch.coverage, self.objective)
        loss = flow_loss(error, weights, active)
        if self.objective.agreement_weight:
            deviations = self.whitening.of(scenes.layout).std
            apart = agreement_loss(error, scenes.layout, batch.coverage, deviations, active)
            loss = loss + self.objective.agreement_weight * apart
        return loss

    def _draw(self) -> tuple[Scenes, LatentBatch, int | None, list[int]]:
        """Scenes with one number of foregrounds, a batch of them, its frame if still, its rows."""
        scenes = self.scenes[self.rng.choice(self.shares)]
        still = self.rng.bernoulli(self.config.still_share)
        size = self.config.still_batch if still else self.config.batch
        size = max(1, round(size * BATCH_STREAMS / len(scenes.layout)))
        rows = self.rng.indices(len(scenes.latents.scenes), size)
        frame = self.rng.index(scenes.frames) if still else None
        return scenes, scenes.latents.batch(rows, frame, self.device), frame, rows.tolist()

    def reseed(self, step: int) -> None:
        """Other batches, noise and captions than those before `step`."""
        self.rng = TrainingRng(self.config.seed + step, self.device)
        self.caption_rng = Random(self.config.seed + step)  # noqa: S311 - captions, not secrets

    def validate(self) -> dict[str, float]:
        """Unweighted velocity error on held-out seeds with fixed noise and first captions: whole,
        per time and stream, and of what is drawn around a frozen background or first actor.

        With several numbers of foregrounds the names of all but the mean end in the number.
        """
        found = [self._errors(scenes) for scenes in self.scenes]
        if len(found) == 1:
            return found[0]
        named = {
            f"{name}_{count}fg": value
            for count, figures in zip(self.config.foregrounds, found, strict=True)
            for name, value in figures.items()
        }
        return {"loss": sum(figures["loss"] for figures in found) / len(found), **named}

    def _errors(self, scenes: Scenes) -> dict[str, float]:
        layout = scenes.layout
        still = self.config.still_share == 1
        rows = torch.arange(len(scenes.held_out.scenes))
        frame = scenes.frames // 2 if still else None
        latents = scenes.held_out.batch(rows, frame, self.device).latents
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(7)).to(latents)
        prompts = [captions_for(scene) for scene in scenes.held_out.scenes]

        def errors(time: float, frozen: Sequence[int] = ()) -> Tensor:
            times = torch.full((len(rows), len(layout)), time, device=self.device)
            times[:, list(frozen)] = 0
            blind = times == 0 if self.objective.one_way and frozen else None
            question = _Question(layout, latents, noise, times, frame, blind)
            velocity = self._predict(self.transformer, question, prompts).float()
            error = velocity - self._target(question, prompts)
            return error.square().mean(dim=(0, 2, 3, 4, 5))

        table = torch.stack([errors(time) for time in VALIDATION_TIMES])
        figures = {"loss": float(table.mean())}
        figures |= {
            f"loss_t{t}": float(e) for t, e in zip(VALIDATION_TIMES, table.mean(1), strict=True)
        }
        figures |= {f"loss_{n}": float(e) for n, e in zip(layout.names, table.mean(0), strict=True)}
        for given, frozen in _given(layout).items():
            drawn = [s for s in range(len(layout)) if s not in frozen]
            figures[f"loss_given_{given}"] = float(errors(REDRAW_TIME, frozen)[drawn].mean())
        return figures

    def sample(self, path: Path) -> None:
        """Fixed prompts, as stills while only stills are trained: a still model smears when asked
        for clips.
        """
        frame = 1 if self.config.still_share == 1 else None
        self.sampler(self.transformer, path, frame, self.config)

    @torch.no_grad()
    def _target(self, question: _Question, prompts: Sequence[tuple[str, ...]]) -> Tensor:
        """What the network should answer: noise - clean, or what its guided teacher does."""
        if self.teacher is None:
            return question.noise - question.latents
        told = self._predict(self.teacher, question, prompts).float()
        nothing = [("",) * len(words) for words in prompts]
        untold = self._predict(self.teacher, question, nothing).float()
        return untold + self.config.guidance * (told - untold)

    def _predict(
        self,
        model: LayeredWanTransformer3DModel,
        question: _Question,
        prompts: Sequence[tuple[str, ...]],
    ) -> Tensor:
        layout, latents, noise, times, frame, frozen = question
        mix = times[:, :, None, None, None, None]
        states, mask = self.texts.batch(prompts)
        with mixed_precision(self.device):
            (velocity,) = model(
                (1 - mix) * latents + mix * noise,
                times * 1000,
                states,
                roles=layout.modulation_rows(model.config.roles),
                attended_prompts=layout.routed_prompts(self.config.routing),
                prompt_mask=mask,
                frame_offset=frame or 0,
                frames_per_stream=self.stride,
                frozen=frozen,
                return_dict=False,
            )
        return cast(Tensor, velocity)

    def _captions(self, scene: Scene) -> tuple[str, ...]:
        """Captions of the whole, each foreground and the background with some dropped, so guidance
        has something to guide away from.
        """
        words = captions_for(scene, self.caption_rng)
        if self.teacher is not None:  # which is asked with and without them
            return words
        if self.caption_rng.random() < self.config.prompt_drop:
            return ("",) * len(words)
        return tuple(
            "" if self.caption_rng.random() < self.config.layer_prompt_drop else w for w in words
        )


def _given(layout: StreamLayout) -> dict[str, list[int]]:
    """What is frozen in the figures about re-rendering."""
    actor = [s for s, stream in enumerate(layout.streams) if stream.foreground == 1]
    return {"background": [layout.index("background")]} | ({"actor": actor} if actor else {})
