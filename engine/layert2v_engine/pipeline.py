"""One checkpoint, ready to generate: a request to prompts, prompts to latents, latents to layers.

Knows networks and images; files other than its own checkpoint, progress bars and jobs are the
business of ``engine``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from layert2v.spec import CLEAN_CONDITIONING, GenerateSpec, ModelInfo
from layert2v_engine.errors import BadCheckpoint, ModelNotFound
from layert2v_engine.layout import Figure, StreamLayout
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.checkpoint import (
    INDEX,
    CheckpointConfig,
    read_index,
)
from layert2v_engine.model.components import Components, load_components
from layert2v_engine.model.memory import (
    MemoryOptions,
    Offload,
    on_device,
)
from layert2v_engine.model.parallel import Parallelism, value_of_first
from layert2v_engine.model.speed import SpeedOptions, apply_speed_options
from layert2v_engine.model.text import TEXT_BLOCK
from layert2v_engine.prompting.language_model import PromptSplitter, find_language_model
from layert2v_engine.prompting.planner import NewText, PromptPlan, PromptPlanner
from layert2v_engine.sampling.denoise import InitLatents, Step, denoise, ignore_step, stream_noise
from layert2v_engine.sampling.guidance import Conditioning, Guidance
from layert2v_engine.sampling.kv_cache import make_predictor
from layert2v_engine.sampling.placement import placement_shift
from layert2v_engine.sampling.run_state import RunState
from layert2v_engine.sampling.solvers import make_sampler
from layert2v_engine.sampling_request import SamplingRequest
from layert2v_engine.stream_codec import (
    LayerFrames,
    StreamDecoder,
    decode_layers,
    decode_streams,
    ignore_group,
)

_log = logging.getLogger(__name__)


class LayeredPipeline:
    """Generates layer stacks with one checkpoint."""

    def __init__(
        self,
        config: CheckpointConfig,
        components: Components,
        device: torch.device,
        memory: MemoryOptions | None = None,
        speed: SpeedOptions | None = None,
    ) -> None:
        self.config, self.components, self.device = config, components, device
        self.memory = memory or MemoryOptions()
        self.speed = speed or SpeedOptions()
        apply_speed_options(components.transformer, device, self.speed)
        info, embed = config.info, components.text_encoder.sentence_embeddings
        splitter = PromptSplitter(find_language_model())
        self._planner = PromptPlanner(info.vocabulary, embed, info.max_foregrounds, splitter)
        # A re-render conditions most layers on the prompts they had before.
        self._encode_text = lru_cache(maxsize=16)(components.text_encoder.encode)

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path,
        *,
        device: str = "cpu",
        memory: MemoryOptions | None = None,
        speed: SpeedOptions | None = None,
    ) -> LayeredPipeline:
        """Load a checkpoint folder, or a model shipped with the engine by its name.

        memory, speed: what is switched on to save memory of the device, and time. Raises
        ModelNotFound, BadCheckpoint, and BadDevice for what the device does not do.
        """
        folder, memory = find_model(model), memory or MemoryOptions()
        config = read_index(folder)
        torch_device = torch.device(device)
        components = load_components(folder, config, torch_device, memory)
        return cls(config, components, torch_device, memory, speed)

    @property
    def info(self) -> ModelInfo:
        """Limits, defaults and abilities."""
        return self.config.info

    def layout(self, foregrounds: int) -> StreamLayout:
        """Return the streams of a scene with so many foregrounds, as this model knows them."""
        return StreamLayout.for_foregrounds(foregrounds, shadows=self.info.makes_shadows)

    def plan(self, spec: GenerateSpec) -> PromptPlan:
        """Return the prompt of each layer for a request that passed validation.

        Of several processes that share a run, the first decides.
        """
        plan = self._with_warnings(self._planner.plan(spec))
        if self.speed.parallel is None:
            return plan
        values: dict[str, Any] = value_of_first(asdict(plan))
        lists = {name: tuple(values[name]) for name in ("foregrounds", "warnings")}
        figures = tuple(Figure(*each) for each in values["figures"])
        return replace(plan, **values | lists | {"figures": figures})

    def plan_layers(
        self,
        foregrounds: Sequence[str],
        background: str,
        negative: str,
        *,
        sentence: str = "",
        new: Mapping[int, NewText] = MappingProxyType({}),
        seed: int = 0,
    ) -> PromptPlan:
        """Return the same for layers that each have their own text, or none.

        sentence: the artist's own of the whole, if it still holds. new, seed: as in
        ``PromptPlanner.plan_layers``.
        """
        return self._with_warnings(
            self._planner.plan_layers(
                foregrounds, background, negative, sentence=sentence, new=new, seed=seed
            )
        )

    def _with_warnings(self, plan: PromptPlan) -> PromptPlan:
        if not self.config.untrained:
            return plan
        warning = f"{self.info.title} is untrained: its layers do not differ as they should."
        return replace(plan, warnings=(*plan.warnings, warning))

    def sample(
        self,
        spec: GenerateSpec,
        plan: PromptPlan,
        on_step: Callable[[Step], None] = ignore_step,
        state: RunState | None = None,
    ) -> Tensor:
        """Return normalized latents [1, S, C, F, h, w] of a resolved request.

        The same for the same seed. state: where the run is kept in case that it is killed.
        """
        layout = self.layout(len(plan.foregrounds))
        return self.sample_request(SamplingRequest.from_spec(spec, plan, layout), on_step, state)

    def sample_request(
        self,
        request: SamplingRequest,
        on_step: Callable[[Step], None] = ignore_step,
        state: RunState | None = None,
    ) -> Tensor:
        """Return normalized latents [1, S, C, F, h, w] of a run; frozen ones stay to the bit."""
        config, layout, plan = self.config, request.layout, request.plan
        if self.speed.parallel is not None:
            state = None  # the other processes of this run would begin anew
        if state is not None:
            state.identify(*request.facts(self.info.digest))
        init = self._prepare_init(request)
        predict = make_predictor(
            self.components.transformer,
            layout,
            init.frozen,
            attention=config.frozen_attention,
            routing=config.routing,
            frames_per_stream=config.frames_per_stream or None,
            autocast=_autocast_dtype(self.device),
        )
        names, shape = request.noise_names or layout.names, self.latent_shape(request)
        prior = self.components.layout_prior
        shift = placement_shift(request, self.latent_shape(request), self.encode, prior)
        noise = stream_noise(names, shape, request.seed) + shift
        sampler = make_sampler(
            config.solver,
            request.steps,
            shift=config.shift,
            levels=config.noise_levels,
            integer_timesteps=config.timesteps == "whole",
            strength=request.strength,
            noise_source=lambda step: (
                stream_noise(names, shape, request.seed, draw=step + 1) + shift
            ),
        )
        texts = [plan.global_prompt, *plan.foregrounds, plan.background][: len(layout.prompts)]
        prompts = self._encode_prompts(texts)
        negative = self._encode_prompts([plan.negative] * len(layout.prompts))
        # What the networks' own autocast makes of their weights is kept for as long as this lasts.
        with torch.autocast(self.device.type, enabled=False), self._hold_transformer():
            return denoise(
                predict,
                noise.to(self.device),
                sampler,
                prompts,
                negative,
                self._make_guidance(request.guidance),
                predicts_clean=config.prediction == "x",
                init=init,
                state=state,
                on_step=on_step,
            )

    def _hold_transformer(self) -> AbstractContextManager[None]:
        """Return a block in which the transformer is where it computes."""
        if self.memory.offload is not Offload.model:
            return nullcontext()
        return on_device(self.components.transformer, self.device)

    def _make_guidance(self, scale: float) -> Guidance:
        """Return no guidance for a network that was taught to give guided output by itself."""
        if self.config.distilled_guidance:
            return Guidance()
        return Guidance(
            scale=scale,
            interval=self.config.guidance_interval,
            is_shared=self.speed.parallel is Parallelism.guidance,
        )

    def latent_shape(self, request: SamplingRequest) -> tuple[int, int, int, int]:
        """Return channels, frames, rows and columns of the latents of one stream."""
        vae = self.components.vae
        frames = 1 + (request.frames - 1) // vae.temporal_factor
        factor = vae.spatial_factor
        return vae.latent_channels, frames, request.height // factor, request.width // factor

    @torch.no_grad()
    def encode(self, video: Tensor, layout: StreamLayout, stream: str) -> Tensor:
        """Return normalized latents [C, F, h, w] of the images of a stream.

        video: color [T, 3, H, W] or opacity [T, 1, H, W] in 0..1, display-referred like everything
            a model generates.
        """
        index = layout.index(stream)
        planes = video.expand(-1, 3, -1, -1).movedim(1, 0)[None].to(self.device)
        latents = self.components.vae.encode_video(planes * 2 - 1).float()
        if layout.is_opacity(stream):
            latents = self.components.matte_projection(latents)
        mean, std = (each[index].to(latents) for each in self.config.latents_mean_std(layout))
        normalized: Tensor = (latents[0] - mean[:, None, None, None]) / std[:, None, None, None]
        return normalized

    def decode(
        self, latents: Tensor, foregrounds: int, *, on_group: Callable[[], None] = ignore_group
    ) -> Iterator[LayerFrames]:
        """Decode normalized latents [1, S, C, F, h, w] to layers, one frame group at a time.

        on_group: called while streams are decoded one by one; what it raises ends the decoding.
        """
        layout = self.layout(foregrounds)
        return decode_layers(
            latents,
            layout,
            self._make_decoder(layout, latents),
            matte_color=self.config.matte_color,
            one_by_one=self.memory.one_stream_decode,
            on_group=on_group,
        )

    def decode_streams(
        self,
        latents: Tensor,
        layout: StreamLayout,
        names: Sequence[str],
        *,
        on_group: Callable[[], None] = ignore_group,
    ) -> Iterator[dict[str, Tensor]]:
        """Decode the streams ``names`` of normalized latents [1, S, C, F, h, w].

        Yields frames [1, 3 or 1, t, H, W] in 0..1 by stream name, one frame group at a time.
        on_group: as in ``decode``.
        """
        return decode_streams(
            latents,
            layout,
            names,
            self._make_decoder(layout, latents),
            one_by_one=self.memory.one_stream_decode,
            on_group=on_group,
        )

    @torch.no_grad()
    def decode_first_frame(self, latents: Tensor) -> Tensor:
        """Return the first frame [3, H, W] in 0..1 of the full video.

        Decodes nothing else of the latents [1, S, C, F, h, w].
        """
        layout = self.layout(0)  # the composite comes first in every layout
        stream = layout.index("composite")
        decoder = self._make_decoder(layout, latents)
        return next(decoder.decode_color(latents[:, stream], stream))[0, :, 0]

    def _make_decoder(self, layout: StreamLayout, latents: Tensor) -> StreamDecoder:
        mean, std = (values.to(latents) for values in self.config.latents_mean_std(layout))
        vae = self.components.vae
        is_ours = self.device.type == "cpu" and isinstance(vae, PatchAutoencoder)
        autocast = _autocast_dtype(self.device) if is_ours else None  # Wan's is trained in float32
        return StreamDecoder(vae, self.components.matte_vae, mean, std, autocast=autocast)

    def _prepare_init(self, request: SamplingRequest) -> InitLatents:
        """Return the latents of a request as the loop takes them.

        A model that never saw clean streams is shown all at one noise level; frozen ones are then
        kept wholly.
        """
        layout, (channels, *grid) = request.layout, self.latent_shape(request)
        init = torch.zeros(1, len(layout), channels, *grid)
        keep = torch.zeros(len(layout), 1, *grid)
        for name, latents in request.init_latents.items():
            init[:, layout.index(name)] = latents.float().cpu()
        for name, mask in request.keep_masks.items():
            keep[layout.index(name)] = mask
        frozen = tuple(layout.index(name) for name in request.frozen)
        if CLEAN_CONDITIONING not in self.info.abilities:
            keep[list(frozen)], frozen = 1.0, ()
        return InitLatents(
            latents=init.to(self.device),
            frozen=frozen,
            keep_mask=keep.to(self.device) if keep.any() else None,
        )

    def _encode_prompts(self, prompts: list[str]) -> Conditioning:
        encoded = [self._encode_text((prompt,)) for prompt in prompts]
        states, mask = (
            torch.cat(each)[None].to(self.device) for each in zip(*encoded, strict=True)
        )
        if self.config.text_padding == "attended":
            return Conditioning(states, None)
        used = int(mask.any(1).any(0).nonzero().max()) + 1 if mask.any() else 1
        length = -(-used // TEXT_BLOCK) * TEXT_BLOCK  # few lengths, so that little is compiled
        return Conditioning(states[:, :, :length], mask[:, :, :length])


def find_model(model: str | Path) -> Path:
    """Return a checkpoint folder, or that of a shipped model by its name. Raises ModelNotFound."""
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
    """Return model folders by name: those in ``folder``, before those shipped with the engine.

    One whose index cannot be read goes by the name of its folder, so that whoever asks for it
    learns why. Raises ModelNotFound where there is no ``folder``.
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
            except BadCheckpoint as error:
                _log.warning("model=%s skipped: %s", index.parent.name, error)
                name = index.parent.name
            found.setdefault(name, index.parent)
    return found


def _autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return bfloat16 where the processor multiplies it; elsewhere it only costs precision."""
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        has_bfloat16 = capabilities.get("amx_bf16") or capabilities.get("avx512_bf16")
        return torch.bfloat16 if has_bfloat16 else None
    return torch.bfloat16
