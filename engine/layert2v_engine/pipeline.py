"""One checkpoint, ready to draw: a request to prompts, prompts to latents, latents to layers.

Knows networks and pictures; files other than its own checkpoint, progress bars and jobs are the
business of `engine`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from pathlib import Path

import torch
from diffusers.utils import logging as diffusers_logging
from torch import Tensor
from transformers.utils import logging as transformers_logging

from layert2v.spec import GenerateSpec, ModelInfo
from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.autoencoder import VideoAutoencoder
from layert2v_engine.model.checkpoint import (
    CLEAN_CONDITIONING,
    INDEX,
    CheckpointConfig,
    load_transformer,
    loading,
    read_index,
)
from layert2v_engine.model.components import (
    adapted,
    load_autoencoder,
    load_projection,
    load_text_encoder,
)
from layert2v_engine.model.text import TextEncoder
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.prompting.planner import PromptPlan, PromptPlanner
from layert2v_engine.sampling.denoise import Given, Step, denoise, no_report, stream_noise
from layert2v_engine.sampling.guidance import Conditioning, Guidance
from layert2v_engine.sampling.kv_cache import frozen_predictor
from layert2v_engine.sampling.schedule import new_run
from layert2v_engine.stream_codec import LayerFrames, StreamDecoder, decode_layers, decode_streams

MATTE = "matte"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The networks of one checkpoint."""

    transformer: LayeredWanTransformer3DModel
    colour: VideoAutoencoder
    opacity: VideoAutoencoder  # the same, its decoder adapted to mattes
    text: TextEncoder
    projection: torch.nn.Module  # where mattes and shadows are encoded to


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One run of a model: what it is told, what is there already, and how far to go from that.

    frames, height, width: of the clip, in frames and pixels.
    given: whitened latents [C, F, h, w] by stream name; `frozen` names those that stay, the others
        are where a run with `strength` below 1 (0..1, noise level) starts.
    keep: how much of a stream stays as given, [F, h, w] in 0..1 by stream name.
    noise: what the streams are called when their noise is drawn; their names in the layout if
        empty.
    """

    layout: StreamLayout
    plan: PromptPlan
    frames: int
    height: int
    width: int
    seed: int
    steps: int
    guidance: float
    strength: float = 1.0
    given: Mapping[str, Tensor] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    keep: Mapping[str, Tensor] = field(default_factory=dict)
    noise: tuple[str, ...] = ()

    @classmethod
    def new(cls, spec: GenerateSpec, plan: PromptPlan) -> Scene:
        """Of a resolved request: nothing is there yet."""
        if spec.seed is None:
            raise ValueError("the request has no seed; resolve it first")
        return cls(
            layout=StreamLayout.for_foregrounds(len(plan.foregrounds)),
            plan=plan,
            frames=spec.frames,
            height=spec.height,
            width=spec.width,
            seed=spec.seed,
            steps=spec.steps,
            guidance=spec.guidance,
        )


class LayeredPipeline:
    """Draws layer stacks with one checkpoint."""

    def __init__(self, config: CheckpointConfig, parts: Parts, device: torch.device) -> None:
        self.config, self.parts, self.device = config, parts, device
        info, vectors = config.info, parts.text.sentence_vectors
        self._planner = PromptPlanner(info.vocabulary, vectors, info.max_foregrounds)
        # A change tells most layers what they were told before.
        self._told = lru_cache(maxsize=16)(parts.text.encode)

    @classmethod
    def from_pretrained(cls, model: str | Path, *, device: str = "cpu") -> LayeredPipeline:
        """Load a checkpoint folder, or a model shipped with the engine by its name.

        Raises ModelNotFound, BadCheckpoint.
        """
        folder = model_folder(model)
        config = read_index(folder)
        place = torch.device(device)
        return cls(config, _load_parts(folder, config, place), place)

    @property
    def info(self) -> ModelInfo:
        """Limits, defaults and abilities."""
        return self.config.info

    def plan(self, spec: GenerateSpec) -> PromptPlan:
        """What each layer will be told."""
        return self._planner.plan(spec)

    def plan_layers(self, figures: Sequence[str], scene: str, negative: str) -> PromptPlan:
        """The same for layers that each have their own text, or none."""
        return self._planner.plan_layers(figures, scene, negative)

    def sample(
        self, spec: GenerateSpec, plan: PromptPlan, on_step: Callable[[Step], None] = no_report
    ) -> Tensor:
        """Whitened latents [1, S, C, F, h, w] of a resolved request; the same for the same seed."""
        return self.draw(Scene.new(spec, plan), on_step)

    def draw(self, scene: Scene, on_step: Callable[[Step], None] = no_report) -> Tensor:
        """Whitened latents [1, S, C, F, h, w] of a scene; what is frozen stays to the bit."""
        config, layout, plan = self.config, scene.layout, scene.plan
        given = self._given(scene)
        predict = frozen_predictor(
            self.parts.transformer,
            layout,
            given.frozen,
            attention=config.frozen_attention,
            routing=config.routing,
            frames_per_stream=config.frames_per_stream or None,
            autocast=_autocast(self.device),
        )
        names, shape = scene.noise or layout.names, self.latent_shape(scene)
        noise = stream_noise(names, shape, scene.seed)
        run = new_run(
            config.solver,
            scene.steps,
            shift=config.shift,
            fresh=lambda step: stream_noise(names, shape, scene.seed, draw=step + 1),
            whole_times=config.times == "whole",
            strength=scene.strength,
        )
        prompts = self._conditioning([plan.whole, *plan.foregrounds, plan.background])
        negative = self._conditioning([plan.negative] * len(layout.prompts))
        # What the networks' own autocast makes of their weights is kept for as long as this lasts.
        with torch.autocast(self.device.type, enabled=False):
            return denoise(
                predict,
                noise.to(self.device),
                run,
                prompts,
                negative,
                self._guidance(scene.guidance),
                predicts_clean=config.prediction == "x",
                given=given,
                on_step=on_step,
            )

    def _guidance(self, scale: float) -> Guidance:
        """None where the network was taught to give guided answers by itself."""
        if self.config.distilled_guidance:
            return Guidance()
        return Guidance(scale=scale, interval=self.config.guidance_interval)

    def latent_shape(self, scene: Scene) -> tuple[int, int, int, int]:
        """Channels, frames, rows and columns of the latents of one stream."""
        colour = self.parts.colour
        frames = 1 + (scene.frames - 1) // colour.temporal_factor
        factor = colour.spatial_factor
        return colour.latent_channels, frames, scene.height // factor, scene.width // factor

    @torch.no_grad()
    def encode(self, video: Tensor, layout: StreamLayout, stream: str) -> Tensor:
        """Whitened latents [C, F, h, w] of what a stream shows: colour [T, 3, H, W] or opacity
        [T, 1, H, W] in 0..1, display-referred like everything a model draws.
        """
        index = layout.index(stream)
        planes = video.expand(-1, 3, -1, -1).movedim(1, 0)[None].to(self.device)
        latents = self.parts.colour.encode_video(planes * 2 - 1).float()
        if layout.shows_opacity(stream):
            latents = self.parts.projection(latents)
        mean, std = (each[index].to(latents) for each in self.config.statistics(layout))
        white: Tensor = (latents[0] - mean[:, None, None, None]) / std[:, None, None, None]
        return white

    def decode(self, latents: Tensor, foregrounds: int) -> Iterator[LayerFrames]:
        """Layers of latents [1, S, C, F, h, w], one frame group at a time."""
        layout = StreamLayout.for_foregrounds(foregrounds)
        decoder = self._decoder(layout, latents)
        return decode_layers(latents, layout, decoder, matte_colour=self.config.matte_colour)

    def decode_streams(
        self, latents: Tensor, layout: StreamLayout, names: Sequence[str]
    ) -> Iterator[dict[str, Tensor]]:
        """Frames of some streams of latents [1, S, C, F, h, w], one frame group at a time."""
        return decode_streams(latents, layout, names, self._decoder(layout, latents))

    @torch.no_grad()
    def first_frame(self, latents: Tensor) -> Tensor:
        """The first frame [3, H, W] of the full video in 0..1; decodes nothing else of the latents
        [1, S, C, F, h, w].
        """
        layout = StreamLayout.for_foregrounds(0)  # the composite comes first in every layout
        stream = layout.index("composite")
        decoder = self._decoder(layout, latents)
        return next(decoder.colour(latents[:, stream], stream))[0, :, 0]

    def _decoder(self, layout: StreamLayout, latents: Tensor) -> StreamDecoder:
        mean, std = (values.to(latents) for values in self.config.statistics(layout))
        return StreamDecoder(self.parts.colour, self.parts.opacity, mean, std)

    def _given(self, scene: Scene) -> Given:
        """What is there of a scene as the loop takes it. A model that never saw clean streams is
        shown all at one noise level; frozen ones are then kept wholly.
        """
        layout, (channels, *grid) = scene.layout, self.latent_shape(scene)
        clean = torch.zeros(1, len(layout), channels, *grid)
        keep = torch.zeros(len(layout), 1, *grid)
        for name, latents in scene.given.items():
            clean[:, layout.index(name)] = latents.float().cpu()
        for name, mask in scene.keep.items():
            keep[layout.index(name)] = mask
        frozen = tuple(layout.index(name) for name in scene.frozen)
        if CLEAN_CONDITIONING not in self.info.abilities:
            keep[list(frozen)], frozen = 1.0, ()
        return Given(
            clean=clean.to(self.device),
            frozen=frozen,
            keep=keep.to(self.device) if keep.any() else None,
        )

    def _conditioning(self, prompts: list[str]) -> Conditioning:
        told = [self._told((prompt,)) for prompt in prompts]
        states, mask = (torch.cat(each)[None].to(self.device) for each in zip(*told, strict=True))
        return Conditioning(states, mask)


def model_folder(model: str | Path) -> Path:
    """A checkpoint folder, or that of a shipped model by its name. Raises ModelNotFound."""
    if (Path(model) / INDEX).is_file():
        return Path(model)
    shipped = find_models(None)
    if str(model) not in shipped:
        raise ModelNotFound(
            f"There is no model called {str(model)!r} here.",
            f"Name a model folder, or one of: {', '.join(shipped) or 'none'}.",
        )
    return shipped[str(model)]


def find_models(folder: Path | None) -> Mapping[str, Path]:
    """Model folders by name: those in `folder`, before those shipped with the engine.

    One whose index cannot be read goes by the name of its folder, so that whoever asks for it
    learns why. Raises ModelNotFound where there is no `folder`.
    """
    if folder is not None and not folder.is_dir():
        raise ModelNotFound(
            f"There is no folder {folder}.", "Name a folder that holds model folders."
        )
    shipped = Path(str(resources.files("layert2v_engine"))) / "checkpoints"
    found: dict[str, Path] = {}
    for root in (folder, shipped):
        for index in sorted(root.glob(f"*/{INDEX}")) if root is not None else ():
            try:
                name = read_index(index.parent).info.name
            except BadCheckpoint as problem:
                _log.warning("model=%s skipped: %s", index.parent.name, problem)
                name = index.parent.name
            found.setdefault(name, index.parent)
    return found


def _load_parts(folder: Path, config: CheckpointConfig, device: torch.device) -> Parts:
    diffusers_logging.disable_progress_bar()  # the caller shows progress
    transformers_logging.disable_progress_bar()
    dtype = torch.float32 if device.type == "cpu" else torch.bfloat16
    transformer = load_transformer(folder / "transformer", dtype=dtype).to(device)
    with loading(f"The autoencoder of {folder}"):
        colour = load_autoencoder(folder / "autoencoder", device)
        opacity = adapted(colour, folder / MATTE)
        projection = load_projection(folder / MATTE, device)
    with loading(f"The text encoder of {folder}"):
        text = load_text_encoder(folder, config, device, dtype)
    return Parts(
        transformer=transformer, colour=colour, opacity=opacity, text=text, projection=projection
    )


def _autocast(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the processor multiplies it itself; elsewhere it only costs precision."""
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return torch.bfloat16 if able.get("amx_bf16") or able.get("avx512_bf16") else None
    return torch.bfloat16
