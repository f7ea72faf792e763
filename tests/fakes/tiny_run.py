"""A training run small enough for a test, with noise for clips instead of a rendered world."""

from __future__ import annotations

from pathlib import Path
from random import Random

import torch

from fakes.tiny_model import CHANNELS
from layert2v_engine.training.chunks import ChunkConfig
from layert2v_engine.training.joint_phase import JointConfig
from layert2v_engine.training.joint_stage import JointPhaseConfig, JointStage, MultiStage
from layert2v_engine.training.latents import LatentSet
from layert2v_engine.training.stages import AutoencoderStage, ClipCounts, MatteStage, WorldConfig
from layert2v_engine.training.trainer_config import TrainerConfig
from layert2v_engine.world.dataset import ClipSet
from layert2v_engine.world.text.scenes import Scene, sample_scene

CLIPS = 8
ONE_STEP = TrainerConfig(budget_s=1e-6, muon_lr=1e-3)
AUTOENCODER = AutoencoderStage(
    world=WorldConfig(width=64, height=48, frames=5),
    clips=ClipCounts(train=CLIPS, held_out=CLIPS),
    autoencoder={"latent_channels": 8, "decoder_widths": (16, 8), "decoder_blocks": 1},
    chunks=ChunkConfig(batch=2, crop=32),
    trainer=ONE_STEP,
)
MATTE = MatteStage(rank=2, chunks=ChunkConfig(batch=2, crop=32), trainer=ONE_STEP)
JOINT = JointStage(
    clips=CLIPS,
    transformer={
        "num_attention_heads": 2,
        "attention_head_dim": 16,
        "ffn_dim": 32,
        "num_layers": 1,
        "freq_dim": 32,
        "rope_max_seq_len": 64,
        "position_grid": [3, 4],
    },
    phases=tuple(
        JointPhaseConfig(
            name=name,
            joint=JointConfig(batch=2, still_batch=2, still_share=share, compile=False),
            trainer=ONE_STEP,
        )
        for name, share in (("stills", 1.0), ("clips", 0.0))
    ),
)
MULTI = MultiStage(
    clips=(2, CLIPS, 4),
    phases=(
        JointPhaseConfig(
            name="multi",
            joint=JointConfig(
                batch=2, still_batch=2, still_share=0.5, foregrounds=(0, 1, 2), compile=False
            ),
            trainer=ONE_STEP,
        ),
    ),
)


def write_clips(run: Path) -> None:
    """Make a run folder that needs no world."""
    (run / "world").mkdir(parents=True)
    for name in ("clips", "held_out"):
        noise_clips(1, CLIPS).save(run / f"{name}.safetensors")
    for count, clips in ((0, 2), (2, 4)):
        noise_clips(count, clips).save(run / f"held_out_{count:02d}.safetensors")
        noise_latents(count, clips).save(run / f"latents_{count:02d}.safetensors")


def noise_clips(foregrounds: int, count: int) -> ClipSet:
    """Noise for pixels."""
    rng, shape = torch.Generator().manual_seed(0), (count, 6 + 5 * foregrounds, 5, 48, 64)
    pixels = torch.randint(0, 256, shape, generator=rng, dtype=torch.uint8)
    return ClipSet(pixels=pixels, scenes=scenes(foregrounds, count))


def noise_latents(foregrounds: int, count: int) -> LatentSet:
    """Latents of the tiny model, as if clips had been encoded."""
    latents = torch.randn(count, 2 + 3 * foregrounds, CHANNELS, 2, 6, 8).half()
    coverage = torch.rand(count, 2 * foregrounds, 2, 6, 8).half()
    return LatentSet(latents=latents, coverage=coverage, scenes=scenes(foregrounds, count))


def scenes(foregrounds: int, count: int) -> tuple[Scene, ...]:
    """Scenes of the world."""
    rng = Random(0)
    return tuple(sample_scene(rng, foregrounds=foregrounds) for _ in range(count))
