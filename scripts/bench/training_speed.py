"""Samples per second and peak memory of the joint stage's steps, on noise, for a device.

Everything a step costs is in it: captions, noise, forward, backward, both optimisers. Compiling is
not. Example: python scripts/bench/training_speed.py --still-batches 256 512 --batches 96 192
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from pathlib import Path
from random import Random

import torch

from layert2v_engine.devices import pick_device
from layert2v_engine.layout import StreamLayout, StreamRole
from layert2v_engine.model.text import MiniLMTextEncoder
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.training.caption_embeddings import CaptionEmbeddings
from layert2v_engine.training.config import load_config
from layert2v_engine.training.joint_phase import (
    BATCH_STREAMS,
    JointConfig,
    JointPhase,
    SceneGroup,
    TrainingData,
)
from layert2v_engine.training.joint_stage import JointStage
from layert2v_engine.training.latents import LatentSet, StreamNormalization
from layert2v_engine.training.network import new_transformer, role_names
from layert2v_engine.training.stages import AutoencoderStage
from layert2v_engine.training.trainer import Trainer, TrainerConfig
from layert2v_engine.world.text.scenes import sample_scene

CLIPS = 64
SHIPPED = Path("engine/layert2v_engine/training/configs/mini_v1")


def main() -> None:
    """Print one line per batch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configs", type=Path, default=SHIPPED)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--still-batches", type=int, nargs="*", default=[512])
    parser.add_argument("--batches", type=int, nargs="*", default=[192])
    parser.add_argument("--foregrounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="per line")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--text-encoder", type=Path, help="folder, where none is installed")
    args = parser.parse_args()
    warnings.filterwarnings("ignore", category=UserWarning)
    device = pick_device(args.device)
    stage = load_config(JointStage, "joint", args.configs)
    encoder = MiniLMTextEncoder(args.text_encoder, max_tokens=stage.max_tokens).to(device)
    first = load_config(AutoencoderStage, "autoencoder", args.configs)
    data = noise(first, CaptionEmbeddings(encoder), args.foregrounds, device)
    channels = data.groups[args.foregrounds].train.latents.shape[2]
    roles = role_names(args.foregrounds)
    for share, batches in ((1.0, args.still_batches), (0.0, args.batches)):
        for batch in batches:
            model = new_transformer(stage.transformer, channels, roles).to(device)
            joint = JointConfig(
                batch=batch,
                still_batch=batch,
                still_share=share,
                foregrounds=(args.foregrounds,),
                compile=not args.no_compile,
            )
            phase = JointPhase("speed", model, data, no_sheet, joint, stage.objective)
            print(measure(phase, batch, args.seconds, device), flush=True)


def noise(
    first: AutoencoderStage, captions: CaptionEmbeddings, foregrounds: int, device: torch.device
) -> TrainingData:
    """Return training data of the right shapes, all noise."""
    world, codec = first.world, first.autoencoder
    frames = 1 + (world.frames - 1) // codec["temporal_factor"]
    size = (world.height // codec["spatial_factor"], world.width // codec["spatial_factor"])
    layout = StreamLayout.for_foregrounds(foregrounds)
    rng = Random(0)  # noqa: S311 - scenes, not secrets
    latents = LatentSet(
        latents=torch.randn(CLIPS, len(layout), codec["latent_channels"], frames, *size).half(),
        coverage=torch.rand(CLIPS, 2 * foregrounds, frames, *size).half(),
        scenes=tuple(sample_scene(rng, foregrounds=foregrounds) for _ in range(CLIPS)),
    ).to(device)
    scenes = SceneGroup(layout=layout, train=latents, held_out=latents)
    plain = torch.ones(len(StreamRole), codec["latent_channels"])
    normalization = StreamNormalization(mean=0 * plain, std=plain).to(device)
    return TrainingData(
        groups={foregrounds: scenes}, captions=captions, normalization=normalization, stride=frames
    )


def measure(phase: JointPhase, batch: int, seconds: float, device: torch.device) -> str:
    """Run steps for ``seconds``, after as long a warm-up; return a line of metrics."""
    with tempfile.TemporaryDirectory() as folder:
        config = TrainerConfig(budget_s=seconds, muon_lr=1e-3)
        trainer = Trainer(phase, config, Path(folder))
        trainer.run()
        trainer.step, trainer.spent_s = 0, 0.0
        trainer.run()
    kind = "stills" if phase.config.still_share else "clips"
    share = BATCH_STREAMS / len(phase.groups[0].layout)
    rate = trainer.step * max(1, round(batch * share)) / trainer.spent_s
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    return f"{kind} batch={batch} samples_per_s={rate:.1f} peak_gib={peak:.1f} device={device}"


def no_sheet(
    model: LayeredWanTransformer3DModel,
    path: Path,
    frame: int | None,
    config: JointConfig,
) -> None:
    """Draw nothing: speed needs no pictures."""


if __name__ == "__main__":
    main()
