"""Stages 2 and 3 in a run folder: latents, then the transformer phase by phase.

Scenes of one foreground come first, of several then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from layert2v_engine.devices import CPU
from layert2v_engine.errors import BadConfig
from layert2v_engine.model.text import MiniLMTextEncoder, UMT5TextEncoder, save_for_captions
from layert2v_engine.training import data_parallel, sharding
from layert2v_engine.training.caption_embeddings import CaptionEmbeddings, CaptionEncoder
from layert2v_engine.training.encoded.reader import EncodedCaptions, EncodedData, is_encoded
from layert2v_engine.training.encoded.writer import Encoders
from layert2v_engine.training.init_from_checkpoint import START, read_init_config
from layert2v_engine.training.joint_phase import (
    JointConfig,
    JointPhase,
    SceneGroup,
    TrainingData,
)
from layert2v_engine.training.latent_builder import LatentBuilder, latents_digest
from layert2v_engine.training.latents import StreamNormalization
from layert2v_engine.training.layout_prior import PriorLatents, build_layout_prior
from layert2v_engine.training.objective import ObjectiveConfig
from layert2v_engine.training.phase_weights import (
    LoRAConfig,
    ema_path,
    load_network,
    prepare_network,
    save_weights,
)
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
from layert2v_engine.world.dataset import ClipSet
from layert2v_engine.world.text.captions import sample_captions

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
    lora: LoRAConfig = field(default_factory=LoRAConfig)
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
    lora: LoRAConfig = field(default_factory=LoRAConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    phases: tuple[JointPhaseConfig, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class JointRun:
    """What a call of the trainer says beside the configurations.

    budget_s: seconds of training a phase, in place of those of the files.
    data_sets: layered data sets, or folders of encoded ones, whose clips are mixed with the
        world's.
    sharded: share weights, gradients and moments out over all processes.
    """

    budget_s: float | None = None
    device: torch.device = CPU
    data_sets: tuple[Path, ...] = ()
    sharded: bool = False


def run_joint(run: Path, config: JointStage, call: JointRun | None = None) -> None:
    """Train the transformer on one foreground, phase by phase.

    Each phase starts from the averaged weights of the one before.
    """
    pending = _pending_phases(run, config.phases)
    if pending:
        clips = {1: (config.clips, _world_frames(run))}
        done = config.phases[: -len(pending)]
        _train(run, config, config, call or JointRun(), clips, done, pending)


def run_multi(
    run: Path,
    joint: JointStage,
    config: MultiStage,
    call: JointRun | None = None,
    before: Sequence[JointPhaseConfig] = (),
) -> None:
    """Train the transformer on several foregrounds.

    New rows of LayerAdaLN start from those of the first foreground.

    before: phases of other stages that come between those of the joint stage and these.
    """
    pending = _pending_phases(run, config.phases)
    if not pending:
        return
    done = (*joint.phases, *before, *config.phases[: -len(pending)])
    own = _world_frames(run)
    used = {count for entry in pending for count in entry.joint.foregrounds}
    clips = {
        count: (config.clips[count], config.frames[count] if config.frames else own)
        for count in sorted(used)
    }
    _train(run, joint, config, call or JointRun(), clips, done, pending)


def make_encoders(run: Path, config: JointStage, device: torch.device) -> Encoders:
    """Return what encodes clips and captions for a run that has its autoencoder and mattes.

    Raises MissingStage where it has not.
    """
    builder = LatentBuilder(run, device, processes=1, data_sets=())
    return Encoders(
        autoencoder=builder.autoencoder,
        projection=builder.projection,
        normalization=builder.normalization,
        captions=_text_encoder(run, config, device),
        digest=latents_digest(run),
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
    joint: JointStage,
    stage: JointStage | MultiStage,
    call: JointRun,
    clips: Mapping[int, tuple[int, int]],
    done: Sequence[JointPhaseConfig],
    phases: Sequence[JointPhaseConfig],
) -> None:
    """Train phases on clips: by number of foregrounds, how many and of how many frames.

    done: the phases before them.
    """
    data = _training_data(run, joint, stage, call, clips)
    if any(entry.joint.prior_share for entry in phases):
        data = replace(data, prior=_layout_prior(run, stage.processes, call.device, clips))
    sampler = SampleSheetWriter(run, data)
    foregrounds = len(stage.clips) - 1 if isinstance(stage, MultiStage) else 1
    for number, entry in enumerate(phases):
        before = [each.name for each in (*done, *phases[:number])]
        finished = [name for name in before if ema_path(run, name).exists()]
        model = load_network(run, joint.transformer, foregrounds, finished)
        if not joint.layer_adaln:
            nn.init.zeros_(model.layer_modulation.requires_grad_(False))
        prepare_network(run, entry.name, model, stage.lora, finished)
        model.to(call.device)
        if call.sharded:
            _check_sharded(entry)
            sharding.shard(model, model.blocks, call.device)
        phase = JointPhase(entry.name, model, data, sampler, entry.joint, stage.objective)
        path = ema_path(run, entry.name)
        train_phase(phase, entry.trainer, path.parent, call.budget_s)
        save_weights(model, path, stage.lora)


def load_phase(
    run: Path, stages: Sequence[JointStage | MultiStage], entry: JointPhaseConfig, call: JointRun
) -> tuple[JointPhase, SceneGroup, StreamNormalization]:
    """Return a trained phase, its scenes of one foreground, and the statistics of latents.

    stages: the joint one, and that of several foregrounds if the phase is one of its.
    """
    joint = next(stage for stage in stages if isinstance(stage, JointStage))
    stage = next(stage for stage in stages if entry in stage.phases)
    own = stage.clips if isinstance(stage, JointStage) else stage.clips[1]
    clips = {1: (own, _world_frames(run))}
    data = _training_data(run, joint, stage, call, clips)
    if entry.joint.prior_share:
        data = replace(data, prior=_layout_prior(run, stage.processes, call.device, clips))
    model = load_network(run, joint.transformer, 1, [entry.name]).to(call.device)
    config = replace(entry.joint, foregrounds=(1,), shares=(), compile=False)
    sampler = SampleSheetWriter(run, data)
    phase = JointPhase(entry.name, model, data, sampler, config, stage.objective)
    return phase, data.groups[1], data.normalization


def _training_data(
    run: Path,
    joint: JointStage,
    stage: JointStage | MultiStage,
    call: JointRun,
    clips: Mapping[int, tuple[int, int]],
) -> TrainingData:
    encoded = [path for path in call.data_sets if is_encoded(path)]
    raw = [path for path in call.data_sets if path not in encoded]
    with data_parallel.first_process_first():
        builder = LatentBuilder(run, call.device, processes=stage.processes, data_sets=raw)
        groups = {n: builder.group(n, count, frames) for n, (count, frames) in clips.items()}
    sets = [EncodedData(path, latents_digest(run)) for path in encoded]
    for count, group in groups.items():
        found = tuple(each for data in sets for each in data.buckets(group.layout))
        groups[count] = replace(group, encoded=found)
    encoder: CaptionEncoder = EncodedCaptions(
        sets, partial(_text_encoder, run, joint, call.device), text_tokens(run, joint)
    )
    return TrainingData(
        groups=groups,
        captions=CaptionEmbeddings(encoder if sets else _text_encoder(run, joint, call.device)),
        normalization=builder.normalization,
        stride=_stride(run, builder.autoencoder.temporal_factor),
    )


def _layout_prior(
    run: Path, processes: int, device: torch.device, clips: Mapping[int, tuple[int, int]]
) -> PriorLatents:
    with data_parallel.first_process_first():
        prior = build_layout_prior(run, max(clips), processes, report)
    builder = LatentBuilder(run, device, processes=1, data_sets=())
    held_out = ClipSet.load(require_stage(run / "held_out.safetensors", "autoencoder"))
    frames = {frames for _, frames in clips.values()}
    if len(frames) > 1:
        raise BadConfig("A layout prior needs clips of one length.", "Set `frames` alike.")
    return PriorLatents(prior, (frames.pop(), *held_out.size), builder.encode_opacity)


def _stride(run: Path, temporal_factor: int) -> int:
    """Return the latent frames between two streams; 0 for those of a clip, as Wan's models have.

    A model that grew up on the world has the positions of its longest clips.
    """
    start = read_init_config(run)
    if start is not None and not start.info.vocabulary:
        return start.frames_per_stream
    return 1 + (_world_frames(run) - 1) // temporal_factor


def _check_sharded(entry: JointPhaseConfig) -> None:
    """Raise BadConfig for what needs whole matrices on one device."""
    if entry.trainer.muon_lr or entry.joint.guidance:
        raise BadConfig(
            f"The phase {entry.name} uses Muon or a teacher, which need whole matrices.",
            "Leave out --sharded, or set muon_lr and guidance to 0.",
        )


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
