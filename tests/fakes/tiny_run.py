"""A training run small enough for a test, with noise for clips instead of a rendered world."""

from __future__ import annotations

from pathlib import Path

import torch

from layert2v_engine.training.autoencoding import ChunkConfig
from layert2v_engine.training.data import ClipSet
from layert2v_engine.training.joint import JointConfig
from layert2v_engine.training.joint_stage import JointPhaseConfig, JointStage
from layert2v_engine.training.stages import AutoencoderStage, ClipCounts, MatteStage, WorldConfig
from layert2v_engine.training.trainer import TrainerConfig
from layert2v_engine.world.vocabulary import labels

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


def write_clips(run: Path) -> None:
    """Make a run folder that needs no world."""
    (run / "world").mkdir(parents=True)
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (CLIPS, 11, 5, 48, 64), generator=rng, dtype=torch.uint8)
    for name in ("clips", "held_out"):
        ClipSet(pixels=pixels, labels=tuple(labels()[:CLIPS])).save(run / f"{name}.safetensors")
