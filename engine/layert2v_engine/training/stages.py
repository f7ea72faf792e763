"""Stage 1 in a run folder: world, clips, autoencoder and matte adaptation.

Each stage has its own TOML file.

A run folder holds everything: world/, clips, autoencoder/, matte/, latents, one folder per phase of
the joint stage. Every stage skips what an earlier call finished and resumes what it left;
``checkpoint/`` is what the engine loads.
"""

from __future__ import annotations

import inspect
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file

from layert2v_engine.devices import CPU
from layert2v_engine.errors import MissingStage
from layert2v_engine.model.autoencoder import PatchAutoencoder, WanAutoencoder
from layert2v_engine.model.components import DECODER_LORA as LORA
from layert2v_engine.model.components import load_autoencoder, load_matte_projection
from layert2v_engine.model.lora import lora_state
from layert2v_engine.model.matte_adapter import MatteProjection, WanMatteProjection
from layert2v_engine.training import data_parallel
from layert2v_engine.training.autoencoder_phase import DecoderPhase, MattePhase
from layert2v_engine.training.chunks import ChunkConfig, fit_encoder
from layert2v_engine.training.init_from_checkpoint import START
from layert2v_engine.training.trainer import Phase, Trainer
from layert2v_engine.training.trainer_config import TrainerConfig
from layert2v_engine.training.training_state import has_state
from layert2v_engine.training.wan_matte_phase import WanMattePhase
from layert2v_engine.world.clips import build_bank
from layert2v_engine.world.dataset import HELD_OUT_SEED, ClipSet, core_count, render_clips
from layert2v_engine.world.text.vocabulary import V0, Selection

logger = logging.getLogger(__name__)

LOG_EVERY_S = 30.0


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
    """Settings in autoencoder.toml."""

    world: WorldConfig = field(default_factory=WorldConfig)
    clips: ClipCounts = field(default_factory=ClipCounts)
    # The latents of the model the run starts from, and a new decoder, or its own to go on with.
    reuse_latents_of_init: bool = field(default=False, metadata={"stored": "codes_of_start"})
    autoencoder: dict[str, Any] = field(default_factory=dict)
    chunks: ChunkConfig = field(default_factory=ChunkConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class MatteStage:
    """Settings in matte.toml."""

    plain: bool = False  # no adaptation: mattes are color to the decoder, an ablation
    rank: int = 16
    alpha: float = 16.0
    chunks: ChunkConfig = field(default_factory=ChunkConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


def run_autoencoder(
    run: Path, config: AutoencoderStage, budget_s: float | None, device: torch.device = CPU
) -> None:
    """Render world and clips, fit the linear encoder, train the decoder."""
    folder = run / "autoencoder"
    with data_parallel.first_process_first():
        clips, held_out = (each.to(device) for each in _prepare_clips(run, config))
        if _is_imported(folder, "model"):
            return
        if not (folder / "fit").exists():
            _init_autoencoder(run, config, clips, device).save_pretrained(folder / "fit")
    autoencoder = _load_autoencoder(folder / "fit").to(device)
    phase = DecoderPhase(autoencoder, clips, held_out, config.chunks)
    train_phase(phase, config.trainer, folder, budget_s)
    data_parallel.call_on_first(lambda: autoencoder.save_pretrained(folder / "model"))


def _init_autoencoder(
    run: Path, config: AutoencoderStage, clips: ClipSet, device: torch.device
) -> PatchAutoencoder:
    """Return an autoencoder with its final encoder, and a linear or an initial decoder."""
    autoencoder = PatchAutoencoder(**config.autoencoder).to(device)
    folder = ensure_folder(run / "autoencoder")
    if config.reuse_latents_of_init:
        init = _load_autoencoder(
            require_stage(run / START / "autoencoder", "joint, with a `start`,")
        )
        if _architecture(init) == _architecture(autoencoder):
            return init.to(device)
        autoencoder.match_latents_of(init.to(device))
    else:
        save_file(
            {"component_std": fit_encoder(autoencoder, clips)}, folder / "components.safetensors"
        )
    return autoencoder


def _architecture(autoencoder: PatchAutoencoder) -> dict[str, Any]:
    """Return the settings that decide which weights fit; files know lists, code tuples."""
    names = inspect.signature(PatchAutoencoder).parameters
    settings = {name: autoencoder.config[name] for name in names}
    return settings | {"decoder_widths": tuple(settings["decoder_widths"])}


def _load_autoencoder(folder: Path) -> PatchAutoencoder:
    return PatchAutoencoder.from_pretrained(folder, use_safetensors=True).float()


def run_matte(
    run: Path, config: MatteStage, budget_s: float | None, device: torch.device = CPU
) -> None:
    """Train projection and decoder LoRA on the frozen autoencoder.

    With the latents of an initial model its projection stays as it is.
    """
    folder = run / "matte"
    if _is_imported(folder, LORA):
        return
    if config.plain:
        ensure_folder(folder)
        return
    model = require_stage(run / "autoencoder" / "model", "autoencoder")
    autoencoder = load_autoencoder(model, device)
    projection = load_matte_projection(run / START / "matte", device)
    clips, held_out = (
        ClipSet.load(run / f"{name}.safetensors").to(device) for name in ("clips", "held_out")
    )
    phase: MattePhase | WanMattePhase
    rank, alpha = config.rank, config.alpha
    if isinstance(autoencoder, WanAutoencoder):
        phase = WanMattePhase(
            autoencoder,
            clips,
            held_out,
            config.chunks,
            rank=rank,
            alpha=alpha,
            projection=projection if isinstance(projection, WanMatteProjection) else None,
        )
    else:
        phase = MattePhase(
            cast(PatchAutoencoder, autoencoder),
            clips,
            held_out,
            config.chunks,
            rank=rank,
            alpha=alpha,
            projection=projection if isinstance(projection, MatteProjection) else None,
        )
    train_phase(phase, config.trainer, folder, budget_s)

    def write() -> None:
        phase.projection.save_pretrained(folder / "projection")
        save_file(lora_state(phase.decoder), folder / LORA)

    data_parallel.call_on_first(write)


def train_phase(phase: Phase, config: TrainerConfig, folder: Path, budget_s: float | None) -> None:
    """Train a phase, or go on with it, and leave the averaged weights in its model.

    ``budget_s`` seconds replace those of ``config``.
    """
    trainer = Trainer(
        phase, config if budget_s is None else replace(config, budget_s=budget_s), folder
    )
    if trainer.resume():
        logger.info(
            "phase=%s resumed step=%d spent_s=%.0f", phase.name, trainer.step, trainer.spent_s
        )
    trainer.run()
    trainer.apply_ema()
    phase.model.eval()


def _is_imported(folder: Path, result: str) -> bool:
    """Return whether a finished stage came here without a state to go on from."""
    return (folder / result).exists() and not has_state(folder)


def build_world(run: Path, world: WorldConfig) -> None:
    """Render the bank of subjects and plates, unless it is there."""
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
        processes=core_count(world.processes),
        report=report,
    )
    partial.rename(run / "world")


def _prepare_clips(run: Path, config: AutoencoderStage) -> tuple[ClipSet, ClipSet]:
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


class PreparationLog:
    """Logs how far preparations are: the first sign of each, then one every half minute."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged: dict[str, float] = {}  # when a preparation was logged last

    def __call__(self, what: str, done: int, total: int) -> None:
        """Log ``done`` of ``total`` items where it is time, or all are done."""
        now = self._clock()
        if done == total or now - self._logged.get(what, -math.inf) >= LOG_EVERY_S:
            self._logged[what] = now
            logger.info("prepare=%s done=%d/%d", what, done, total)


report = PreparationLog()


def require_stage(path: Path, stage: str) -> Path:
    """Return ``path``; raise MissingStage, naming its ``stage``, where it does not exist."""
    if not path.exists():
        raise MissingStage(
            f"{path} is missing.", f"Train the stage `{stage}` in this run folder first."
        )
    return path


def ensure_folder(folder: Path) -> Path:
    """Return ``folder``, created where it did not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder
