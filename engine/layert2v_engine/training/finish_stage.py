"""The last stage: decoders learn to draw what the trained transformer makes of noisy latents.

Its estimates are smoother than the latents of clips, which is all that a decoder saw before; from
them it would draw less than it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from torch import Tensor

from layert2v_engine.errors import BadConfig
from layert2v_engine.image.atomic import atomic_write
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.components import DECODER_LORA, load_autoencoder, load_matte_projection
from layert2v_engine.model.lora import lora_state
from layert2v_engine.model.matte_adapter import MatteProjection
from layert2v_engine.tensor_file import load_tensors
from layert2v_engine.training import data_parallel
from layert2v_engine.training.autoencoder_phase import DecoderPhase, MattePhase
from layert2v_engine.training.chunks import ChunkConfig
from layert2v_engine.training.joint_stage import (
    JointPhaseConfig,
    JointRun,
    JointStage,
    MultiStage,
    load_phase,
)
from layert2v_engine.training.phase_weights import ema_path
from layert2v_engine.training.stages import report, require_stage, train_phase
from layert2v_engine.training.trainer_config import TrainerConfig
from layert2v_engine.world.dataset import ClipSet

FOLDER, AUTOENCODER = "finish", "autoencoder"
_DENOISED = "denoised.safetensors"
_AT_ONCE = 2  # clips


@dataclass(frozen=True, kw_only=True, slots=True)
class DecoderTraining:
    """How one of the two decoders learns."""

    chunks: ChunkConfig = field(default_factory=ChunkConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishStage:
    """Settings in finish.toml.

    phase: of the transformer, trained. levels: the noise in 0..1 that it is given, least and most.
    rank, alpha: of the matte decoder's LoRA.
    """

    phase: str = "multi"
    levels: tuple[float, float] = (0.1, 0.5)
    rank: int = 16
    alpha: float = 16.0
    color: DecoderTraining = field(default_factory=DecoderTraining)
    matte: DecoderTraining = field(default_factory=DecoderTraining)


def run_finish(
    run: Path,
    config: FinishStage,
    stages: Sequence[JointStage | MultiStage],
    call: JointRun | None = None,
) -> None:
    """Train the color decoder on, and a new LoRA for mattes; ``stages``: the joint ones, in order.

    What the run had before stays beside it. Latents are denoised once: without the folder
    ``finish`` they are anew. Raises BadConfig for an autoencoder that was not trained here, and
    MissingStage where the phase has not been trained to its end.
    """
    call = call or JointRun()
    folder = run / FOLDER
    autoencoder = load_autoencoder(run / "autoencoder" / "model", call.device)
    if not isinstance(autoencoder, PatchAutoencoder):
        raise BadConfig(
            "The stage finish trains small decoders, and this run has another autoencoder.",
            "Leave out the stage.",
        )
    with data_parallel.first_process_first():
        if not (folder / _DENOISED).exists():
            _write_denoised(run, config, stages, call)
    denoised = load_tensors(folder / _DENOISED)["latents"]
    clips, held_out = (
        ClipSet.load(run / f"{name}.safetensors").to(call.device) for name in ("clips", "held_out")
    )
    start = folder / AUTOENCODER / "model"
    autoencoder.decoder.requires_grad_(True)
    color = DecoderPhase(autoencoder, clips, held_out, config.color.chunks, denoised)
    train_phase(color, config.color.trainer, start.parent, call.budget_s)
    data_parallel.call_on_first(lambda: autoencoder.save_pretrained(start))
    projection = load_matte_projection(run / "matte" / "projection", call.device)
    matte = MattePhase(
        autoencoder,
        clips,
        held_out,
        config.matte.chunks,
        rank=config.rank,
        alpha=config.alpha,
        projection=cast(MatteProjection, projection),
        denoised=denoised,
    )
    train_phase(matte, config.matte.trainer, folder / "matte", call.budget_s)
    lora = folder / "matte" / DECODER_LORA
    data_parallel.call_on_first(lambda: save_file(lora_state(matte.decoder), lora))


def find_decoders(run: Path) -> tuple[Path, Path]:
    """Return the folder of a run's autoencoder and the file of its LoRA, finished or not."""
    finished = run / FOLDER / "matte" / DECODER_LORA
    if finished.exists():
        return run / FOLDER / AUTOENCODER / "model", finished
    return run / "autoencoder" / "model", run / "matte" / DECODER_LORA


def _write_denoised(
    run: Path, config: FinishStage, stages: Sequence[JointStage | MultiStage], call: JointRun
) -> None:
    """Write the estimates of all clips that are there as pixels: [N, 5, C, F, h, w], float16."""
    entry = _find_entry(stages, config.phase)
    is_first = any(isinstance(each, JointStage) and entry in each.phases for each in stages)
    require_stage(ema_path(run, entry.name), "joint" if is_first else "multi")
    phase, group, normalization = load_phase(run, stages, entry, call)
    count = len(ClipSet.load(require_stage(run / "clips.safetensors", "autoencoder")).scenes)
    own = normalization.of(group.layout)
    mean, std = (each[:, :, None, None, None].cpu() for each in (own.mean, own.std))
    low, high = config.levels
    parts = list[Tensor]()
    for rows in torch.arange(count).split(_AT_ONCE):
        generator = torch.Generator().manual_seed(int(rows[0]))
        levels = low + (high - low) * torch.rand(len(rows), generator=generator)
        clean = phase.denoise(group, rows.tolist(), levels).cpu()
        parts.append((clean * std + mean).half())
        report("denoised", int(rows[-1]) + 1, count)
    path = run / FOLDER / _DENOISED
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        save_file({"latents": torch.cat(parts)}, temporary)


def _find_entry(stages: Sequence[JointStage | MultiStage], name: str) -> JointPhaseConfig:
    entries = {entry.name: entry for stage in stages for entry in stage.phases}
    if name not in entries:
        raise BadConfig(
            f"The configurations have no phase {name!r}.", f"They have {', '.join(entries)}."
        )
    return entries[name]
