"""Stage 2 in a run folder: latents, the transformer phase by phase, and the checkpoint the engine
loads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from layert2v_engine.devices import CPU
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.matte import MatteProjection
from layert2v_engine.model.text import MiniLMTextEncoder, save_for_captions
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.training.data import (
    CaptionStates,
    ClipSet,
    LatentSet,
    Renderer,
    StreamWhitening,
    encode_clips,
    encode_streams,
    fit_whitening,
)
from layert2v_engine.training.joint import JointConfig, JointPhase, Material
from layert2v_engine.training.objective import ObjectiveConfig
from layert2v_engine.training.sheet import SheetSampler
from layert2v_engine.training.stages import (
    AutoencoderStage,
    build_world,
    needed_from,
    report,
    train_phase,
)
from layert2v_engine.training.trainer import TrainerConfig
from layert2v_engine.world.captions import all_texts

WHITENING_CLIPS = 400  # latent statistics settle long before
BLOCK = 1000  # clips
TEXT_ENCODER = "text_encoder"


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
    processes: int = 2  # that render them; 0: all cores
    max_tokens: int = 20
    transformer: dict[str, Any] = field(default_factory=dict)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    phases: tuple[JointPhaseConfig, ...] = ()


def run_joint(
    run: Path, config: JointStage, budget_s: float | None, device: torch.device = CPU
) -> None:
    """The transformer, phase by phase; each starts from the averaged weights of the one before."""
    autoencoder = PatchAutoencoder.from_pretrained(
        needed_from(run / "autoencoder" / "model", "autoencoder"), use_safetensors=True
    ).to(device)
    projection = MatteProjection.from_pretrained(
        needed_from(run / "matte" / "projection", "matte"), use_safetensors=True
    )
    model = new_transformer(config, autoencoder.latent_channels).to(device)
    waiting = _waiting(run, config, model)
    if not waiting:
        return
    latents, held_out, whitening = _latents(run, config, autoencoder, projection.to(device))
    texts = _texts(run, config, device)
    layout = StreamLayout.for_foregrounds(1)
    sampler = SheetSampler(run, layout, whitening.to(device), texts, latents.latents.shape[3:])
    material = Material(
        layout=layout, latents=latents.to(device), held_out=held_out.to(device), texts=texts
    )
    for entry in waiting:
        phase = JointPhase(entry.name, model, material, sampler, entry.joint, config.objective)
        train_phase(phase, entry.trainer, average_path(run, entry.name).parent, budget_s)
        weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        save_file(weights, average_path(run, entry.name))


def run_prepare(run: Path, first: AutoencoderStage, config: JointStage) -> None:
    """World and text encoder: what takes CPU time and an installed package, as files to carry."""
    build_world(run, first.world)
    if not (run / TEXT_ENCODER).exists():
        encoder = MiniLMTextEncoder(max_tokens=config.max_tokens)
        save_for_captions(encoder, all_texts(), run / TEXT_ENCODER)


def _texts(run: Path, config: JointStage, device: torch.device) -> CaptionStates:
    """With the run's own encoder if it was prepared, else the installed one."""
    prepared = run / TEXT_ENCODER
    folder = prepared if prepared.exists() else None
    return CaptionStates(MiniLMTextEncoder(folder, max_tokens=config.max_tokens).to(device))


def average_path(run: Path, phase: str) -> Path:
    """Where a finished phase leaves its averaged weights."""
    return run / f"joint_{phase}" / "average.safetensors"


def averages(run: Path, phase: str) -> dict[str, Tensor]:
    """The averaged weights of a phase, finished or not."""
    path = average_path(run, phase)
    if path.exists():
        return load_file(path)
    state = load_file(needed_from(path.with_name("state.safetensors"), "joint"))
    return {
        name.removeprefix("average."): tensor
        for name, tensor in state.items()
        if name.startswith("average.")
    }


def _waiting(
    run: Path, config: JointStage, model: LayeredWanTransformer3DModel
) -> list[JointPhaseConfig]:
    """The phases still to be trained, the model holding what the one before them left.

    A phase that was begun means that those before it are done.
    """
    waiting: list[JointPhaseConfig] = []
    for entry in reversed(config.phases):
        path = average_path(run, entry.name)
        if path.exists():
            model.load_state_dict(load_file(path))
            break
        waiting.insert(0, entry)
        if (path.parent / "state.json").exists():
            break
    return waiting


def _latents(
    run: Path, config: JointStage, autoencoder: PatchAutoencoder, projection: MatteProjection
) -> tuple[LatentSet, LatentSet, StreamWhitening]:
    """Latents of `config.clips` clips, rendered in blocks so that pixels never pile up."""
    device = autoencoder.device
    held_out = ClipSet.load(run / "held_out.safetensors")
    known = ClipSet.load(run / "clips.safetensors")
    if (run / "whitening.safetensors").exists():
        whitening = StreamWhitening(**load_file(run / "whitening.safetensors")).to(device)
    else:
        rows = torch.arange(min(WHITENING_CLIPS, len(known.labels)))
        sample = encode_streams(autoencoder, projection, known.streams(rows, device))
        components = load_file(run / "autoencoder" / "components.safetensors")["component_std"]
        whitening = fit_whitening(sample, components.to(device))
        save_file({"mean": whitening.mean, "std": whitening.std}, run / "whitening.safetensors")

    def encode(clips: ClipSet) -> LatentSet:
        return encode_clips(clips, autoencoder, projection, whitening, report)

    path = run / "latents.safetensors"
    if path.exists():
        return LatentSet.load(path), encode(held_out), whitening
    blocks = [encode(known), *map(encode, _more_clips(run, config, known))]
    latents = LatentSet(
        latents=torch.cat([b.latents for b in blocks]),
        coverage=torch.cat([b.coverage for b in blocks]),
        labels=tuple(label for b in blocks for label in b.labels),
    )
    latents.save(path)
    return latents, encode(held_out), whitening


def _more_clips(run: Path, config: JointStage, known: ClipSet) -> Iterator[ClipSet]:
    """The clips after the known ones, block by block."""
    starts = range(len(known.labels), config.clips, BLOCK)
    if not starts:
        return
    with Renderer(run / "world", config.processes) as renderer:
        for start in starts:
            count = min(BLOCK, config.clips - start)
            frames = known.pixels.shape[2]
            yield renderer.clips(count, first_seed=start, frames=frames, report=report)


def new_transformer(config: JointStage, channels: int) -> LayeredWanTransformer3DModel:
    torch.manual_seed(0)
    model = LayeredWanTransformer3DModel(
        in_channels=channels, out_channels=channels, text_dim=384, **config.transformer
    )
    # A network trained from scratch tells roles apart from the first step; a fine-tuned Wan starts
    # at zero instead.
    nn.init.normal_(model.layer_modulation, std=0.02)
    if model.position_table is not None:
        nn.init.normal_(model.position_table, std=0.02)
    nn.init.zeros_(model.proj_out.weight)
    nn.init.zeros_(model.proj_out.bias)
    return model
