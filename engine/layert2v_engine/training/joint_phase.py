"""Stages 2 and 3 of the paper: all streams of a scene on one trajectory.

First as stills, then as clips; first with one foreground, then with several.

Stills are single latent frames at their positions inside a clip: five times cheaper, and shapes are
learned there. Scenes with different numbers of foregrounds have different layouts, so a batch holds
scenes with the same number.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from random import Random
from typing import NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from layert2v_engine.devices import TrainingRng, mixed_precision, seed_for
from layert2v_engine.layout import Figure, StreamLayout
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.training import data_parallel
from layert2v_engine.training.caption_embeddings import CaptionEmbeddings
from layert2v_engine.training.latents import LatentBatch, LatentSet, StreamNormalization
from layert2v_engine.training.layout_prior import PriorLatents
from layert2v_engine.training.objective import (
    ObjectiveConfig,
    consistency_loss,
    coverage_weights,
    flow_loss,
    sample_times,
)

VALIDATION_TIMES = (0.25, 0.5, 0.75, 0.95)
RERENDER_TIME = 0.75  # where a stream drawn around frozen ones decides what it will be
BATCH_STREAMS = 5  # what the batch sizes of a configuration are meant for
SHAPES = 64  # of compiled blocks: numbers of foregrounds, stills and clips, with a margin


@dataclass(frozen=True, kw_only=True, slots=True)
class JointConfig:
    """What a batch looks like.

    Batch sizes are of scenes with one foreground; with more streams they are smaller by as much,
    so that a step always takes about the same time.
    """

    batch: int = 16
    still_share: float = 1.0  # share of steps on single latent frames
    still_batch: int = 16
    foregrounds: tuple[int, ...] = (1,)  # how many a scene may have
    shares: tuple[float, ...] = ()  # of steps with each of these; empty: the same for all
    prompt_drop: float = 0.1  # all prompts of a sample
    layer_prompt_drop: float = 0.07  # each prompt on its own
    prior_share: float = 0.0  # of samples whose noise has its mean where such subjects usually are
    routing: str = "layered"  # which stream attends to which prompt, as a checkpoint declares
    guidance: float = (
        0.0  # learn the guided predictions of the model before this phase; 0: the data
    )
    compile: bool = True
    # Keep what enters each block and compute the rest again for the gradients: a third more time.
    gradient_checkpointing: bool = False
    seed: int = 0


class Clips(Protocol):
    """Latents of clips of one layout, size and length, wherever they lie."""

    @property
    def grid(self) -> tuple[int, int, int]:
        """Latent frames, rows and columns of each clip."""

    def __len__(self) -> int: ...

    def batch(self, rows: Tensor, frame: int | None, device: torch.device) -> LatentBatch:
        """Return rows [B] as float32 on ``device``; with ``frame``, that latent frame (a still)."""

    def captions_of(self, row: int, rng: Random | None = None) -> tuple[str, ...]:
        """Return captions of the whole, of each foreground, and of the background of a clip."""

    def figures_of(self, row: int) -> tuple[Figure, ...]:
        """Return the subjects of a clip as a layout prior knows them, or none."""


class SheetWriter(Protocol):
    """Writes a contact sheet with the weights in training; knows decoder and sampling.

    Returns how well the layers on it fit each other.
    """

    def __call__(
        self,
        model: LayeredWanTransformer3DModel,
        path: Path,
        frame: int | None,
        config: JointConfig,
    ) -> Mapping[str, float] | None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class SceneGroup:
    """Latents of clips with the same number of foregrounds.

    ``encoded`` are clips of data sets, each entry of a size and length of its own.
    """

    layout: StreamLayout
    train: LatentSet
    held_out: LatentSet
    encoded: tuple[Clips, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingData:
    """What a phase learns from, the same for all phases.

    stride: latent frames between the rotary positions of two streams; 0 is those of a clip.
    prior: what the noise of mattes begins from, if a phase takes one.
    """

    groups: Mapping[int, SceneGroup]  # by number of foregrounds
    captions: CaptionEmbeddings
    normalization: StreamNormalization
    stride: int
    prior: PriorLatents | None = None


class ModelInputs(NamedTuple):
    """Latents [B, S, C, F, h, w] to be noised to ``levels`` [B, S] in 0..1.

    ``times`` [B, S] are the levels that the network is told. ``frame`` is the latent frame of a
    still, None for a clip; ``frozen`` [B, S] and ``stride`` are as the transformer takes them.
    """

    layout: StreamLayout
    latents: Tensor
    noise: Tensor
    times: Tensor
    levels: Tensor
    frame: int | None
    frozen: Tensor | None
    stride: int


class JointPhase:
    """Rectified flow over all streams with mixed per-stream noise."""

    def __init__(
        self,
        name: str,
        model: LayeredWanTransformer3DModel,
        data: TrainingData,
        sampler: SheetWriter,
        config: JointConfig,
        objective: ObjectiveConfig,
    ) -> None:
        self.name, self.config, self.objective = name, config, objective
        self.transformer = model
        self.model: nn.Module = model
        self.sampler, self.captions, self.stride = sampler, data.captions, data.stride
        self.normalization, self.prior = data.normalization, data.prior
        self.groups = [data.groups[count] for count in config.foregrounds]
        self.shares = torch.tensor(config.shares or (1.0,) * len(self.groups))
        self.device = model.device
        self._start_step(0)
        self.teacher = copy.deepcopy(model).requires_grad_(False) if config.guidance else None
        if config.gradient_checkpointing:
            model.enable_gradient_checkpointing()
        if config.compile:
            torch._dynamo.config.recompile_limit = SHAPES
            for block in model.blocks:
                block.compile(dynamic=False)

    def loss(self, step: int, progress: float) -> Tensor:
        """Return the flow-matching loss of a random batch of stills or clips.

        Of several processes each takes its own rows; the losses of all add up to that of the batch.
        """
        del progress
        self._start_step(step)
        group, clips, frame, rows = self._sample_batch()
        batch = clips.batch(torch.tensor(rows), frame, self.device)
        noise = self.rng.noise(batch.latents.shape)
        sampled = sample_times(len(rows), group.layout, self.objective, self.rng.choices)
        times, levels, active = (each.to(self.device) for each in sampled)
        prompts = [self._captions(clips, row) for row in rows]
        if self.config.prior_share:
            is_shifted = [self.caption_rng.random() < self.config.prior_share for _ in rows]
            chosen = zip(rows, is_shifted, strict=True)
            figures = [clips.figures_of(row) if shifted else () for row, shifted in chosen]
            noise = noise + self._prior_shift(figures, group.layout, frame, noise)
        own = data_parallel.own_rows()
        frozen = active[own] == 0 if self.objective.one_way else None
        inputs = ModelInputs(
            group.layout,
            batch.latents[own],
            noise[own],
            times[own],
            levels[own],
            frame,
            frozen,
            self.stride or clips.grid[0],
        )
        velocity = self._predict(self.transformer, inputs, prompts[own])
        error = velocity.float() - self._target(inputs, prompts[own])
        weights = coverage_weights(group.layout, batch.coverage, self.objective)
        loss = flow_loss(error, weights, active, own)
        if self.objective.consistency_weight:
            deviations = self.normalization.of(group.layout).std
            consistency = consistency_loss(
                error, group.layout, batch.coverage, deviations, active, own
            )
            loss = loss + self.objective.consistency_weight * consistency
        return loss

    def _prior_shift(
        self,
        figures: Sequence[Sequence[Figure]],
        layout: StreamLayout,
        frame: int | None,
        like: Tensor,
    ) -> Tensor:
        """Return what is added to the noise of clips with these subjects, if there is a prior."""
        if self.prior is None or not self.config.prior_share:
            return torch.zeros((), device=like.device)
        return self.prior.shift(figures, layout, frame, like)

    def _start_step(self, step: int) -> None:
        """Let batches, noise and captions depend on the step alone, not on those before it."""
        seed = seed_for(self.config.seed, self.name, step)
        self.rng = TrainingRng(seed, self.device)
        self.caption_rng = Random(seed)  # noqa: S311 - captions, not secrets

    def _sample_batch(self) -> tuple[SceneGroup, Clips, int | None, list[int]]:
        """Return a group of scenes, clips of it, the frame if it is of stills, and the rows.

        Clips of all sizes are equally likely. Of larger ones there are fewer in a batch.
        """
        group = self.groups[self.rng.choice(self.shares)]
        still = self.rng.bernoulli(self.config.still_share)
        sets: list[Clips] = [group.train, *group.encoded]
        counts = torch.tensor([float(len(each)) for each in sets])
        clips = sets[self.rng.choice(counts)] if len(sets) > 1 else sets[0]
        tokens = [prod(each.grid[1:] if still else each.grid) for each in (group.train, clips)]
        size = (self.config.still_batch if still else self.config.batch) * tokens[0] / tokens[1]
        size = max(data_parallel.world_size(), round(size * BATCH_STREAMS / len(group.layout)))
        rows = self.rng.indices(len(clips), size)
        frame = self.rng.index(clips.grid[0]) if still else None
        return group, clips, frame, rows.tolist()

    @torch.no_grad()
    def denoise(self, group: SceneGroup, rows: Sequence[int], levels: Tensor) -> Tensor:
        """Return what the network takes for clean in training clips with noise of ``levels`` [B].

        Latents are [B, S, C, F, h, w], normalized; noise depends on the rows alone.
        """
        layout, clips = group.layout, group.train
        latents = clips.batch(torch.tensor(rows), None, self.device).latents
        generator = torch.Generator().manual_seed(rows[0])
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        figures = [clips.figures_of(row) for row in rows]
        noise = noise + self._prior_shift(figures, layout, None, noise)
        times = levels[:, None].expand(-1, len(layout)).to(self.device)
        stride = self.stride or clips.grid[0]
        inputs = ModelInputs(layout, latents, noise, times, times, None, None, stride)
        prompts = [clips.captions_of(row) for row in rows]
        velocity = self._predict(self.transformer, inputs, prompts).float()
        level = times[:, :, None, None, None, None]
        return torch.lerp(latents, noise, level) - level * velocity

    def validate(self) -> dict[str, float]:
        """Return the unweighted velocity error on held-out seeds.

        Noise is fixed, captions are the canonical ones. There are the mean, errors per time and
        stream, and those of what is generated around a frozen background or first actor.

        With several numbers of foregrounds the names of all but the mean end in the number.
        """
        by_group = [self._errors(group) for group in self.groups]
        if len(by_group) == 1:
            return by_group[0]
        named = {
            f"{name}_{count}fg": value
            for count, metrics in zip(self.config.foregrounds, by_group, strict=True)
            for name, value in metrics.items()
        }
        return {"loss": sum(metrics["loss"] for metrics in by_group) / len(by_group), **named}

    def _errors(self, group: SceneGroup) -> dict[str, float]:
        layout = group.layout
        still = self.config.still_share == 1
        rows = torch.arange(len(group.held_out.scenes))
        frames = group.held_out.grid[0]
        frame = frames // 2 if still else None
        latents = group.held_out.batch(rows, frame, self.device).latents
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(7)).to(latents)
        figures = [group.held_out.figures_of(row) for row in rows.tolist()]
        noise = noise + self._prior_shift(figures, layout, frame, noise)
        prompts = [group.held_out.captions_of(row) for row in rows.tolist()]

        def errors(time: float, frozen: Sequence[int] = ()) -> Tensor:
            times = torch.full((len(rows), len(layout)), time, device=self.device)
            times[:, list(frozen)] = 0
            frozen_mask = times == 0 if self.objective.one_way and frozen else None
            stride = self.stride or frames
            inputs = ModelInputs(layout, latents, noise, times, times, frame, frozen_mask, stride)
            velocity = self._predict(self.transformer, inputs, prompts).float()
            error = velocity - self._target(inputs, prompts)
            return error.square().mean(dim=(0, 2, 3, 4, 5))

        table = torch.stack([errors(time) for time in VALIDATION_TIMES])
        metrics = {"loss": float(table.mean())}
        metrics |= {
            f"loss_t{t}": float(e) for t, e in zip(VALIDATION_TIMES, table.mean(1), strict=True)
        }
        metrics |= {f"loss_{n}": float(e) for n, e in zip(layout.names, table.mean(0), strict=True)}
        for layer, frozen in _frozen_for_metrics(layout).items():
            generated = [s for s in range(len(layout)) if s not in frozen]
            metrics[f"loss_given_{layer}"] = float(errors(RERENDER_TIME, frozen)[generated].mean())
        return metrics

    def sample(self, path: Path) -> Mapping[str, float] | None:
        """Write samples of fixed prompts; stills while only stills are trained.

        A model of stills smears when asked for clips.
        """
        frame = 1 if self.config.still_share == 1 else None
        return self.sampler(self.transformer, path, frame, self.config)

    @torch.no_grad()
    def _target(self, inputs: ModelInputs, prompts: Sequence[tuple[str, ...]]) -> Tensor:
        """Return the target velocity: noise - clean, or the prediction of the guided teacher."""
        if self.teacher is None:
            return inputs.noise - inputs.latents
        cond = self._predict(self.teacher, inputs, prompts).float()
        no_prompts = [("",) * len(captions) for captions in prompts]
        uncond = self._predict(self.teacher, inputs, no_prompts).float()
        return uncond + self.config.guidance * (cond - uncond)

    def _predict(
        self,
        model: LayeredWanTransformer3DModel,
        inputs: ModelInputs,
        prompts: Sequence[tuple[str, ...]],
    ) -> Tensor:
        layout, latents, noise, times, levels, frame, frozen, stride = inputs
        mix = levels[:, :, None, None, None, None]
        states, mask = self.captions.batch(prompts)
        with mixed_precision(self.device):
            (velocity,) = model(
                (1 - mix) * latents + mix * noise,
                times * 1000,
                states,
                roles=layout.modulation_rows(model.config.roles),
                attended_prompts=layout.routed_prompts(self.config.routing),
                prompt_mask=mask,
                frame_offset=frame or 0,
                frames_per_stream=stride,
                frozen=frozen,
                return_dict=False,
            )
        return cast(Tensor, velocity)

    def _captions(self, clips: Clips, row: int) -> tuple[str, ...]:
        """Return captions of whole, foregrounds and background, some of them dropped.

        Guidance needs predictions without prompts to guide away from.
        """
        captions = clips.captions_of(row, self.caption_rng)
        if self.teacher is not None:  # which is asked with and without them
            return captions
        if self.caption_rng.random() < self.config.prompt_drop:
            return ("",) * len(captions)
        return tuple(
            "" if self.caption_rng.random() < self.config.layer_prompt_drop else w for w in captions
        )


def _frozen_for_metrics(layout: StreamLayout) -> dict[str, list[int]]:
    """Return the streams that are frozen in the metrics about re-rendering."""
    actor = [s for s, stream in enumerate(layout.streams) if stream.foreground == 1]
    return {"background": [layout.index("background")]} | ({"actor": actor} if actor else {})
