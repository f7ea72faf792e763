"""The stages in order, each from its own TOML file: what they read, what they write, how they go on after a stop.

A run folder holds everything: world/, clips, autoencoder/, matte/, latents, one folder per phase of the joint stage.
Every stage skips what an earlier call finished and resumes what it left; `checkpoint/` is what the engine loads.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from layert2v_engine.errors import EngineError
from layert2v_engine.layout import StreamLayout, StreamRole
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.matte import MatteProjection, lora_state
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.training.autoencoding import ChunkConfig, DecoderPhase, MattePhase, fit
from layert2v_engine.training.data import (
    HELD_OUT_SEED,
    CaptionStates,
    ClipSet,
    LatentSet,
    Whitening,
    encode_clips,
    encode_streams,
    fit_whitening,
    render_clips,
)
from layert2v_engine.training.export import SheetSampler, export_checkpoint
from layert2v_engine.training.joint import JointConfig, JointPhase
from layert2v_engine.training.objective import ObjectiveConfig
from layert2v_engine.training.trainer import Phase, Trainer, TrainerConfig
from layert2v_engine.world.clips import build_bank

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldConfig:
    """Size of the rendered world and how much of it is drawn once."""

    width: int = 112
    height: int = 80
    frames: int = 9
    creatures_per_species: int = 24
    plates_per_scene: int = 40
    processes: int = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipCounts:
    """Clips kept in memory as pixels."""

    train: int = 1400
    held_out: int = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderStage:
    """autoencoder.toml"""

    world: WorldConfig = field(default_factory=WorldConfig)
    clips: ClipCounts = field(default_factory=ClipCounts)
    autoencoder: dict[str, Any] = field(default_factory=dict)
    chunks: ChunkConfig = field(default_factory=ChunkConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class MatteStage:
    """matte.toml"""

    rank: int = 16
    alpha: float = 16.0
    chunks: ChunkConfig = field(default_factory=ChunkConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class JointPhaseConfig:
    """One [[phases]] entry of joint.toml."""

    name: str
    joint: JointConfig = field(default_factory=JointConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class JointStage:
    """joint.toml"""

    clips: int = 6000
    max_tokens: int = 20
    transformer: dict[str, Any] = field(default_factory=dict)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    phases: tuple[JointPhaseConfig, ...] = ()


class MissingStage(EngineError):
    """A stage was asked for before the one it builds on."""

    reason = "MISSING_STAGE"


def run_autoencoder(run: Path, config: AutoencoderStage, budget_s: float | None) -> None:
    """World, pixels, linear fit, decoder."""
    folder = run / "autoencoder"
    clips, held_out = _pixels(run, config)
    if (folder / "fit").exists():
        autoencoder = PatchAutoencoder.from_pretrained(folder / "fit")
    else:
        autoencoder = PatchAutoencoder(**config.autoencoder)
        save_file({"component_std": fit(autoencoder, clips)}, _made(folder) / "components.safetensors")
        autoencoder.save_pretrained(folder / "fit")
    phase = DecoderPhase(autoencoder, clips, held_out, config.chunks)
    _train(phase, config.trainer, folder, budget_s)
    autoencoder.save_pretrained(folder / "model")


def run_matte(run: Path, config: MatteStage, budget_s: float | None) -> None:
    """Projection and decoder LoRA on the frozen autoencoder."""
    folder = run / "matte"
    autoencoder = PatchAutoencoder.from_pretrained(_needed(run / "autoencoder" / "model", "autoencoder"))
    clips, held_out = ClipSet.load(run / "clips.safetensors"), ClipSet.load(run / "held_out.safetensors")
    phase = MattePhase(autoencoder, clips, held_out, config.chunks, rank=config.rank, alpha=config.alpha)
    _train(phase, config.trainer, folder, budget_s)
    phase.projection.save_pretrained(folder / "projection")
    save_file(lora_state(phase.decoder), folder / "decoder_lora.safetensors")


def run_joint(run: Path, config: JointStage, budget_s: float | None) -> None:
    """The transformer, phase by phase; a checkpoint the engine loads is written after each."""
    autoencoder = PatchAutoencoder.from_pretrained(_needed(run / "autoencoder" / "model", "autoencoder"))
    projection = MatteProjection.from_pretrained(_needed(run / "matte" / "projection", "matte"))
    latents, held_out, whitening = _latents(run, config, autoencoder, projection)
    texts = CaptionStates.encode_all(config.max_tokens, _report)
    layout = StreamLayout.for_foregrounds(1)
    model = _new_transformer(config, autoencoder.latent_channels)
    sampler = SheetSampler(run, layout, whitening, texts, latents.latents.shape[3:])
    for entry in config.phases:
        folder = run / f"joint_{entry.name}"
        if (folder / "average.safetensors").exists():
            model.load_state_dict(load_file(folder / "average.safetensors"))
            continue
        phase = JointPhase(
            entry.name, model, layout, latents, held_out, texts, sampler, entry.joint, config.objective
        )
        _train(phase, entry.trainer, folder, budget_s)
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "average.safetensors")
        export_checkpoint(run, model, whitening, max_tokens=config.max_tokens)


def _train(phase: Phase, config: TrainerConfig, folder: Path, budget_s: float | None) -> None:
    trainer = Trainer(phase, config if budget_s is None else replace(config, budget_s=budget_s), folder)
    if trainer.resume():
        logger.info("phase=%s resumed step=%d spent_s=%.0f", phase.name, trainer.step, trainer.spent_s)
    trainer.run()
    trainer.apply_average()
    phase.model.eval()


def _pixels(run: Path, config: AutoencoderStage) -> tuple[ClipSet, ClipSet]:
    world = config.world
    if not (run / "world").exists():
        partial = run / "world.part"
        build_bank(
            partial,
            width=world.width,
            height=world.height,
            creatures_per_species=world.creatures_per_species,
            plates_per_scene=world.plates_per_scene,
            processes=world.processes,
            report=_report,
        )
        partial.rename(run / "world")
    sets = {}
    for name, count, seed in (("clips", config.clips.train, 0), ("held_out", config.clips.held_out, HELD_OUT_SEED)):
        path = run / f"{name}.safetensors"
        if not path.exists():
            clips = render_clips(
                run / "world",
                count,
                first_seed=seed,
                frames=world.frames,
                processes=world.processes,
                report=_report,
            )
            clips.save(path)
        sets[name] = ClipSet.load(path)
    return sets["clips"], sets["held_out"]


def _latents(
    run: Path, config: JointStage, autoencoder: PatchAutoencoder, projection: MatteProjection
) -> tuple[LatentSet, LatentSet, Whitening]:
    """Latents of `config.clips` clips, rendered in blocks so that pixels never pile up."""
    held_out = ClipSet.load(run / "held_out.safetensors")
    known = ClipSet.load(run / "clips.safetensors")
    if (run / "whitening.safetensors").exists():
        whitening = Whitening(**load_file(run / "whitening.safetensors"))
    else:
        sample = encode_streams(autoencoder, projection, known.streams(torch.arange(400)))
        components = load_file(run / "autoencoder" / "components.safetensors")["component_std"]
        whitening = fit_whitening(sample, components)
        save_file({"mean": whitening.mean, "std": whitening.std}, run / "whitening.safetensors")

    def encode(clips: ClipSet) -> LatentSet:
        return encode_clips(clips, autoencoder, projection, whitening, _report)

    path = run / "latents.safetensors"
    if path.exists():
        return LatentSet.load(path), encode(held_out), whitening
    blocks, frames = [encode(known)], known.pixels.shape[2]
    done = len(known.labels)
    while done < config.clips:
        count = min(1000, config.clips - done)
        fresh = render_clips(
            run / "world", count, first_seed=done, frames=frames, processes=2, report=_report
        )
        blocks.append(encode(fresh))
        done += count
    latents = LatentSet(
        latents=torch.cat([b.latents for b in blocks]),
        coverage=torch.cat([b.coverage for b in blocks]),
        labels=tuple(label for b in blocks for label in b.labels),
    )
    latents.save(path)
    return latents, encode(held_out), whitening


def _new_transformer(config: JointStage, channels: int) -> LayeredWanTransformer3DModel:
    torch.manual_seed(0)
    model = LayeredWanTransformer3DModel(
        in_channels=channels, out_channels=channels, text_dim=384, **config.transformer
    )
    # A network trained from scratch tells roles apart from the first step; a fine-tuned Wan starts at zero instead.
    nn.init.normal_(model.layer_modulation, std=0.02)
    if model.position_table is not None:
        nn.init.normal_(model.position_table, std=0.02)
    nn.init.zeros_(model.proj_out.weight)
    nn.init.zeros_(model.proj_out.bias)
    assert tuple(model.config.roles) == tuple(StreamRole)
    return model


def _report(what: str, done: int, total: int) -> None:
    if done == total or done % 500 < 20:
        logger.info("prepare=%s done=%d/%d", what, done, total)


def _needed(path: Path, stage: str) -> Path:
    if not path.exists():
        raise MissingStage(f"{path} is missing.", f"Train the stage `{stage}` in this run folder first.")
    return path


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


STAGES: dict[str, tuple[type[Any], Callable[[Path, Any, float | None], None]]] = {
    "autoencoder": (AutoencoderStage, run_autoencoder),
    "matte": (MatteStage, run_matte),
    "joint": (JointStage, run_joint),
}
