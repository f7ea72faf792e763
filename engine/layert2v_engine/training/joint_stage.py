"""Stages 2 and 3 in a run folder: latents, then the transformer phase by phase.

Scenes of one foreground come first, of several then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from layert2v_engine.devices import CPU
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.autoencoder import VideoAutoencoder
from layert2v_engine.model.checkpoint import load_transformer
from layert2v_engine.model.components import load_autoencoder, load_matte_projection
from layert2v_engine.model.text import MiniLMTextEncoder, UMT5TextEncoder, save_for_captions
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.tensor_file import load_tensors
from layert2v_engine.training import data_parallel
from layert2v_engine.training.caption_embeddings import CaptionEmbeddings, CaptionEncoder
from layert2v_engine.training.init_from_checkpoint import START, network_settings, read_init_config
from layert2v_engine.training.joint_phase import JointConfig, JointPhase, SceneGroup, TrainingData
from layert2v_engine.training.latents import (
    LatentSet,
    StreamNormalization,
    encode_clips,
    encode_streams,
    fit_normalization,
)
from layert2v_engine.training.layered_data import ClipFormat, read_blocks
from layert2v_engine.training.network import (
    expand_roles,
    foregrounds_of,
    new_transformer,
    role_names,
)
from layert2v_engine.training.objective import ObjectiveConfig
from layert2v_engine.training.sample_sheet import SampleSheetWriter
from layert2v_engine.training.stages import (
    AutoencoderStage,
    build_world,
    report,
    require_stage,
    train_phase,
)
from layert2v_engine.training.trainer_config import TrainerConfig
from layert2v_engine.training.training_state import has_state
from layert2v_engine.world.dataset import HELD_OUT_SEED, ClipSet, Renderer
from layert2v_engine.world.text.captions import sample_captions

NORMALIZATION_CLIPS = 400  # latent statistics settle long before
BLOCK_CLIPS = 200  # 5 GB as pixels, of three foregrounds at 320 x 192 x 17
TEXT_ENCODER = "text_encoder"


@dataclass(frozen=True, kw_only=True, slots=True)
class JointPhaseConfig:
    """One ``[[phases]]`` entry of joint.toml or multi.toml."""

    name: str
    joint: JointConfig = field(default_factory=JointConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class JointStage:
    """Settings in joint.toml: scenes of one foreground."""

    start: str = ""  # a model to go on from, by folder or by the name of a shipped one
    clips: int = 6000
    processes: int = 2  # that render them; 0: all cores
    max_tokens: int = 20
    offered: tuple[int, ...] = ()  # least and most pixels of a side; empty: the world's size
    layer_adaln: bool = True  # false: no modulation by role, an ablation
    transformer: dict[str, Any] = field(default_factory=dict)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    phases: tuple[JointPhaseConfig, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiStage:
    """Settings in multi.toml: scenes of several foregrounds, among some of one and of none.

    Those in distill.toml are the same, with phases that learn guided predictions.
    """

    clips: tuple[int, ...] = (500, 6000, 4000, 3000)  # with 0, 1, 2, ... foregrounds
    frames: tuple[int, ...] = ()  # of each of these; empty: the world's
    processes: int = 2
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    phases: tuple[JointPhaseConfig, ...] = ()


def run_joint(
    run: Path,
    config: JointStage,
    budget_s: float | None,
    device: torch.device = CPU,
    data_sets: Sequence[Path] = (),
) -> None:
    """Train the transformer on one foreground, phase by phase.

    Each phase starts from the averaged weights of the one before. ``budget_s`` seconds of training
    a phase replace those of ``config``. The clips of ``data_sets`` are mixed with the world's.
    """
    pending = _pending_phases(run, config.phases)
    if not pending:
        return
    model = _network(run, config, 1, config.phases[: -len(pending)]).to(device)
    clips = {1: (config.clips, _world_frames(run))}
    _train(
        run,
        config,
        clips,
        model,
        pending,
        objective=config.objective,
        processes=config.processes,
        budget_s=budget_s,
        data_sets=data_sets,
    )


def run_multi(
    run: Path,
    joint: JointStage,
    config: MultiStage,
    budget_s: float | None,
    device: torch.device = CPU,
    before: Sequence[JointPhaseConfig] = (),
    data_sets: Sequence[Path] = (),
) -> None:
    """Train the transformer on several foregrounds.

    New rows of LayerAdaLN start from those of the first foreground.

    before: phases of other stages that come between those of the joint stage and these.
    data_sets: layered data sets whose clips are mixed with the world's.
    """
    pending = _pending_phases(run, config.phases)
    if not pending:
        return
    done = (*joint.phases, *before, *config.phases[: -len(pending)])
    model = _network(run, joint, len(config.clips) - 1, done).to(device)
    own = _world_frames(run)
    used = {count for entry in pending for count in entry.joint.foregrounds}
    clips = {
        count: (config.clips[count], config.frames[count] if config.frames else own)
        for count in sorted(used)
    }
    _train(
        run,
        joint,
        clips,
        model,
        pending,
        objective=config.objective,
        processes=config.processes,
        budget_s=budget_s,
        data_sets=data_sets,
    )


def run_prepare(run: Path, first: AutoencoderStage, config: JointStage) -> None:
    """Write world and text encoder, which need CPU time and a package, as files to carry."""
    build_world(run, first.world)
    if not (run / TEXT_ENCODER).exists():
        encoder = MiniLMTextEncoder(max_tokens=config.max_tokens)
        save_for_captions(
            encoder, [*sample_captions(first.world.selection), ""], run / TEXT_ENCODER
        )


def _train(
    run: Path,
    config: JointStage,
    clips: Mapping[int, tuple[int, int]],
    model: LayeredWanTransformer3DModel,
    phases: Sequence[JointPhaseConfig],
    *,
    objective: ObjectiveConfig,
    processes: int,
    budget_s: float | None,
    data_sets: Sequence[Path],
) -> None:
    """Train phases on clips: by number of foregrounds, how many and of how many frames."""
    device = model.device
    with data_parallel.first_process_first():
        builder = _LatentBuilder(run, device, processes=processes, data_sets=data_sets)
        groups = {n: builder.group(n, count, frames) for n, (count, frames) in clips.items()}
    captions = CaptionEmbeddings(_text_encoder(run, config, device))
    stride = 1 + (_world_frames(run) - 1) // builder.autoencoder.temporal_factor
    data = TrainingData(
        groups=groups, captions=captions, normalization=builder.normalization, stride=stride
    )
    sampler = SampleSheetWriter(run, data)
    for entry in phases:
        phase = JointPhase(entry.name, model, data, sampler, entry.joint, objective)
        path = ema_path(run, entry.name)
        train_phase(phase, entry.trainer, path.parent, budget_s)
        data_parallel.call_on_first(partial(_save_weights, model, path))


def _save_weights(model: nn.Module, path: Path) -> None:
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    with atomic_write(path) as temporary:
        save_file(weights, temporary)


def _text_encoder(run: Path, config: JointStage, device: torch.device) -> CaptionEncoder:
    """Return the run's own encoder if it was prepared, else that of the start or of the package.

    It is in bfloat16: four times as fast on a CPU, and training computes in nothing finer.
    """
    prepared, start, tokens = run / TEXT_ENCODER, read_init_config(run), text_tokens(run, config)
    if start is not None and start.text_encoder == "umt5" and not prepared.exists():
        return UMT5TextEncoder(run / START, max_tokens=tokens, dtype=torch.bfloat16).to(device)
    folder = prepared if prepared.exists() else None
    encoder = MiniLMTextEncoder(folder, max_tokens=tokens).to(device)
    encoder.model.bfloat16()
    return encoder


def text_tokens(run: Path, config: JointStage) -> int:
    """Return the length in tokens that prompts are padded to, at least that of the start."""
    start = read_init_config(run)
    return max(config.max_tokens, 0 if start is None else start.text_tokens)


def _world_frames(run: Path) -> int:
    """Return the number of frames of a clip of the run."""
    path = require_stage(run / "held_out.safetensors", "autoencoder")
    return ClipSet.load(path).pixels.shape[2]


def ema_path(run: Path, phase: str) -> Path:
    """Return where a finished phase leaves its averaged weights."""
    return run / f"joint_{phase}" / "average.safetensors"


def load_ema(run: Path, phase: str) -> dict[str, Tensor]:
    """Return the averaged weights of a phase, finished or not."""
    path = ema_path(run, phase)
    if path.exists():
        return load_tensors(path)
    state = load_tensors(require_stage(path.with_name("state.safetensors"), "joint"))
    return {
        name.removeprefix("average."): tensor
        for name, tensor in state.items()
        if name.startswith("average.")
    }


def _pending_phases(run: Path, phases: Sequence[JointPhaseConfig]) -> list[JointPhaseConfig]:
    """Return the phases still to be trained; where one was begun, those before it are done."""
    pending: list[JointPhaseConfig] = []
    for entry in reversed(phases):
        path = ema_path(run, entry.name)
        if path.exists():
            break
        pending.insert(0, entry)
        if has_state(path.parent):
            break
    return pending


def _network(
    run: Path, config: JointStage, foregrounds: int, done: Sequence[JointPhaseConfig]
) -> LayeredWanTransformer3DModel:
    """Return the transformer with the weights of the newest finished phase, the start, or none."""
    autoencoder = load_autoencoder(require_stage(run / "autoencoder" / "model", "autoencoder"), CPU)
    finished = [p for p in (ema_path(run, entry.name) for entry in done) if p.exists()]
    if finished:
        weights = load_tensors(finished[-1])
    elif (run / START).exists():
        weights = load_transformer(run / START / "transformer").state_dict()
    else:
        weights = {}
    settings = network_settings(run, config.transformer)
    rows = len(weights["layer_modulation"]) if weights else 0
    names = role_names(max(foregrounds, foregrounds_of(rows)))
    model = new_transformer(settings, autoencoder.latent_channels, names)
    if weights:
        model.load_state_dict(weights | {"layer_modulation": expand_roles(weights, names)})
    if not config.layer_adaln:
        nn.init.zeros_(model.layer_modulation.requires_grad_(False))
    return model


class _LatentBuilder:
    """Render and encode clips, in blocks so that pixels never pile up."""

    def __init__(
        self, run: Path, device: torch.device, *, processes: int, data_sets: Sequence[Path]
    ) -> None:
        self.run, self.processes, self.data_sets = run, processes, data_sets
        self.autoencoder: VideoAutoencoder = load_autoencoder(run / "autoencoder" / "model", device)
        matte = run / "matte" if (run / START).exists() else require_stage(run / "matte", "matte")
        self.projection = load_matte_projection(matte / "projection", device)
        self.device = device
        self.normalization = self._load_normalization()

    def group(self, foregrounds: int, count: int, frames: int) -> SceneGroup:
        """Return latents of ``count`` clips and of the held-out ones."""
        suffix = "" if foregrounds == 1 else f"_{foregrounds:02d}"
        held_out = self._held_out(foregrounds, frames, suffix)
        path = self.run / f"latents{suffix}.safetensors"
        if path.exists():
            latents = LatentSet.load(path)
        else:
            blocks = [self._encode(b) for b in self._blocks(foregrounds, count, frames)]
            latents = LatentSet(
                latents=torch.cat([b.latents for b in blocks]),
                coverage=torch.cat([b.coverage for b in blocks]),
                scenes=tuple(scene for b in blocks for scene in b.scenes),
            )
            latents.save(path)
        return SceneGroup(
            layout=StreamLayout.for_foregrounds(foregrounds),
            train=self._add_data_sets(latents, held_out).to(self.device),
            held_out=self._encode(held_out).to(self.device),
        )

    def _add_data_sets(self, latents: LatentSet, like: ClipSet) -> LatentSet:
        """Return the clips of the world, and after them those of data sets that are alike."""
        wanted = ClipFormat(like.foregrounds, like.pixels.shape[2], *like.size)
        for block in read_blocks(self.data_sets, wanted):
            latents = latents.extend(self._encode(block.clips), block.captions)
        if self.data_sets:
            counts = len(latents.captions), len(latents)
            logging.getLogger(__name__).info("data sets give %d of %d clips", *counts)
        return latents

    def _load_normalization(self) -> StreamNormalization:
        """Return the run's latent statistics; fit them once, where no start brought them."""
        path = self.run / "whitening.safetensors"
        if path.exists():
            return StreamNormalization(**load_tensors(path)).to(self.device)
        clips = ClipSet.load(self.run / "clips.safetensors")
        rows = torch.arange(min(NORMALIZATION_CLIPS, len(clips.scenes)))
        streams = clips.streams(rows, self.device)
        sample = encode_streams(self.autoencoder, self.projection, streams)
        components_path = self.run / "autoencoder" / "components.safetensors"
        if components_path.exists():
            components = load_tensors(components_path)["component_std"].to(self.device)
        else:  # an autoencoder that was not fitted here
            components = sample.std(dim=(0, 1, 3, 4, 5))
        normalization = fit_normalization(sample, components)
        save_file({"mean": normalization.mean, "std": normalization.std}, path)
        return normalization

    def _encode(self, clips: ClipSet) -> LatentSet:
        return encode_clips(clips, self.autoencoder, self.projection, self.normalization, report)

    def _held_out(self, foregrounds: int, frames: int, suffix: str) -> ClipSet:
        path = self.run / f"held_out{suffix}.safetensors"
        if not path.exists():
            count = len(ClipSet.load(self.run / "held_out.safetensors").scenes)
            with Renderer(self.run / "world", self.processes) as renderer:
                renderer.clips(
                    count,
                    first_seed=HELD_OUT_SEED,
                    frames=frames,
                    report=report,
                    foregrounds=foregrounds,
                    unseen=True,
                ).save(path)
        return ClipSet.load(path)

    def _blocks(self, foregrounds: int, count: int, frames: int) -> Iterator[ClipSet]:
        """Yield the clips the autoencoder was trained on, if their foregrounds fit, then more."""
        first = 0
        if foregrounds == 1:
            kept = ClipSet.load(self.run / "clips.safetensors")
            first = len(kept.scenes)
            yield kept
        starts = range(first, count, BLOCK_CLIPS)
        if not starts:
            return
        with Renderer(self.run / "world", self.processes) as renderer:
            for start in starts:
                size = min(BLOCK_CLIPS, count - start)
                yield renderer.clips(
                    size,
                    first_seed=start,
                    frames=frames,
                    report=report,
                    foregrounds=foregrounds,
                )
