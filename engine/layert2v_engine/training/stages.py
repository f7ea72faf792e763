"""Stage 1 in a run folder: world, pixels, autoencoder and matte adaptation, each from its own TOML
file.

A run folder holds everything: world/, clips, autoencoder/, matte/, latents, one folder per phase of
the joint stage. Every stage skips what an earlier call finished and resumes what it left;
`checkpoint/` is what the engine loads.
"""

from __future__ import annotations

import inspect
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from layert2v_engine.devices import CPU
from layert2v_engine.errors import MissingStage
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.components import DECODER_LORA as LORA
from layert2v_engine.model.components import load_matte_projection
from layert2v_engine.model.matte_adapter import MatteProjection, lora_state
from layert2v_engine.training.autoencoder_phase import ChunkConfig, DecoderPhase, MattePhase, fit
from layert2v_engine.training.data import HELD_OUT_SEED, ClipSet, cores, render_clips
from layert2v_engine.training.init_from_checkpoint import START
from layert2v_engine.training.trainer import Phase, Trainer, TrainerConfig
from layert2v_engine.world.clips import build_bank
from layert2v_engine.world.text.vocabulary import V0, Selection

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldConfig:
    """Size of the rendered world and how much of it is drawn once."""

    width: int = 112
    height: int = 80
    frames: int = 9
    creatures_per_species: int = 24
    plates_per_scene: int = 40
    processes: int = 2  # 0: all cores
    selection: Selection = V0  # what there is in it


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
    # The latents of the model the run starts from, and a new decoder, or its own to go on with.
    codes_of_start: bool = False
    autoencoder: dict[str, Any] = field(default_factory=dict)
    chunks: ChunkConfig = field(default_factory=ChunkConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class MatteStage:
    """matte.toml"""

    plain: bool = False  # no adaptation: mattes are colour to the decoder, an ablation
    rank: int = 16
    alpha: float = 16.0
    chunks: ChunkConfig = field(default_factory=ChunkConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


def run_autoencoder(
    run: Path, config: AutoencoderStage, budget_s: float | None, device: torch.device = CPU
) -> None:
    """World, pixels, linear fit, decoder."""
    folder = run / "autoencoder"
    if _carried(folder, "model"):
        _pixels(run, config)
        return
    clips, held_out = (each.to(device) for each in _pixels(run, config))
    if not (folder / "fit").exists():
        _fit(run, config, clips, device).save_pretrained(folder / "fit")
    autoencoder = _loaded(folder / "fit").to(device)
    phase = DecoderPhase(autoencoder, clips, held_out, config.chunks)
    train_phase(phase, config.trainer, folder, budget_s)
    autoencoder.save_pretrained(folder / "model")


def _fit(
    run: Path, config: AutoencoderStage, clips: ClipSet, device: torch.device
) -> PatchAutoencoder:
    """An autoencoder whose encoder is final and whose decoder is linear, or begins with one that is
    there.
    """
    autoencoder = PatchAutoencoder(**config.autoencoder).to(device)
    folder = made_folder(run / "autoencoder")
    if config.codes_of_start:
        there = _loaded(needed_from(run / START / "autoencoder", "joint, with a `start`,"))
        if _settings(there) == _settings(autoencoder):
            return there.to(device)
        autoencoder.match_latents_of(there.to(device))
    else:
        save_file({"component_std": fit(autoencoder, clips)}, folder / "components.safetensors")
    return autoencoder


def _settings(autoencoder: PatchAutoencoder) -> dict[str, Any]:
    """What says which weights fit into it; files know lists where code has tuples."""
    names = inspect.signature(PatchAutoencoder).parameters
    settings = {name: autoencoder.config[name] for name in names}
    return settings | {"decoder_widths": tuple(settings["decoder_widths"])}


def _loaded(folder: Path) -> PatchAutoencoder:
    return PatchAutoencoder.from_pretrained(folder, use_safetensors=True).float()


def run_matte(
    run: Path, config: MatteStage, budget_s: float | None, device: torch.device = CPU
) -> None:
    """Projection and decoder LoRA on the frozen autoencoder; with the latents of a start, its
    projection stays.
    """
    folder = run / "matte"
    if _carried(folder, LORA):
        return
    if config.plain:
        made_folder(folder)
        return
    autoencoder = _loaded(needed_from(run / "autoencoder" / "model", "autoencoder")).to(device)
    projection = load_matte_projection(run / START / "matte", device)
    clips, held_out = (
        ClipSet.load(run / f"{name}.safetensors").to(device) for name in ("clips", "held_out")
    )
    phase = MattePhase(
        autoencoder,
        clips,
        held_out,
        config.chunks,
        rank=config.rank,
        alpha=config.alpha,
        projection=projection if isinstance(projection, MatteProjection) else None,
    )
    train_phase(phase, config.trainer, folder, budget_s)
    phase.projection.save_pretrained(folder / "projection")
    save_file(lora_state(phase.decoder), folder / LORA)


def train_phase(phase: Phase, config: TrainerConfig, folder: Path, budget_s: float | None) -> None:
    trainer = Trainer(
        phase, config if budget_s is None else replace(config, budget_s=budget_s), folder
    )
    if trainer.resume():
        logger.info(
            "phase=%s resumed step=%d spent_s=%.0f", phase.name, trainer.step, trainer.spent_s
        )
    trainer.run()
    trainer.apply_average()
    phase.model.eval()


def _carried(folder: Path, result: str) -> bool:
    """Whether a stage came here finished, without the state it could be trained on from."""
    return (folder / result).exists() and not (folder / "state.json").exists()


def build_world(run: Path, world: WorldConfig) -> None:
    """Render the bank of figures and plates, unless it is there."""
    if (run / "world").exists():
        return
    partial = run / "world.part"
    build_bank(
        partial,
        selection=world.selection,
        width=world.width,
        height=world.height,
        creatures_per_species=world.creatures_per_species,
        plates_per_scene=world.plates_per_scene,
        processes=cores(world.processes),
        report=report,
    )
    partial.rename(run / "world")


def _pixels(run: Path, config: AutoencoderStage) -> tuple[ClipSet, ClipSet]:
    world = config.world
    build_world(run, world)
    sets = {}
    for name, count, seed in (
        ("clips", config.clips.train, 0),
        ("held_out", config.clips.held_out, HELD_OUT_SEED),
    ):
        path = run / f"{name}.safetensors"
        if not path.exists():
            clips = render_clips(
                run / "world",
                count,
                first_seed=seed,
                frames=world.frames,
                processes=world.processes,
                report=report,
            )
            clips.save(path)
        sets[name] = ClipSet.load(path)
    return sets["clips"], sets["held_out"]


def report(what: str, done: int, total: int) -> None:
    if done == total or done % 500 < 20:
        logger.info("prepare=%s done=%d/%d", what, done, total)


def needed_from(path: Path, stage: str) -> Path:
    if not path.exists():
        raise MissingStage(
            f"{path} is missing.", f"Train the stage `{stage}` in this run folder first."
        )
    return path


def made_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
