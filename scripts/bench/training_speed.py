"""Samples per hour of the joint stage's steps, on noise: as of commit b10b95f, and as they are now.

Everything a step costs is in it: captions, noise, forward, backward, all-reduce, both optimizers.
Compiling is not. On the CPU both ways are timed in turn: one process of two threads that encodes
padded captions in float32 into a growing table and takes five Newton-Schulz iterations, and two
processes of one thread each as the trainer works today. On a GPU there is one process.

Example: python scripts/bench/training_speed.py --batches 16 --still-batches
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from layert2v_engine.devices import pick_device
from layert2v_engine.layout import StreamLayout, StreamRole
from layert2v_engine.model.text import MiniLMTextEncoder
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.training import data_parallel
from layert2v_engine.training.caption_embeddings import CaptionEmbeddings
from layert2v_engine.training.config import load_config
from layert2v_engine.training.data_parallel import run_in_processes
from layert2v_engine.training.init_from_checkpoint import (
    init_from_checkpoint,
    network_settings,
)
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
from layert2v_engine.training.trainer import Trainer
from layert2v_engine.training.trainer_config import TrainerConfig
from layert2v_engine.world.text.scenes import sample_scene

CLIPS, WIDTH = 64, 384  # of MiniLM's states
SHIPPED = Path("engine/layert2v_engine/training/configs/mini_v1_gpu")


BASELINE = "b10b95f"


class GrowingCaptions(CaptionEmbeddings):
    """The table of commit b10b95f: padded, and copied as a whole for every new caption."""

    def batch(self, prompts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor]:
        """Return embeddings [B, P, L, D] and mask [B, P, L] of B rows of P prompts."""
        captions = [text for row in prompts for text in row]
        if new := [text for text in dict.fromkeys(captions) if text not in self._rows]:
            states, mask = self._encoder.encode(new, padded=True)
            self._add(new, states.half(), mask)
        rows = torch.tensor([self._rows[text] for text in captions])
        shape = (len(prompts), len(prompts[0]))
        return self._embeddings[rows].float().unflatten(0, shape), self._mask[rows].unflatten(
            0, shape
        )

    def fill(self, count: int) -> None:
        """Let the table hold ``count`` captions already, as it does after a while of training."""
        shape = (count, self._encoder.max_tokens)
        names = [str(number) for number in range(count)]
        self._add(names, torch.zeros(*shape, WIDTH).half(), torch.ones(shape).bool())

    def _add(self, new: Sequence[str], states: Tensor, mask: Tensor) -> None:
        known = len(self._rows)
        self._rows |= {text: known + i for i, text in enumerate(new)}
        self._embeddings = torch.cat([self._embeddings, states]) if known else states
        self._mask = torch.cat([self._mask, mask]) if known else mask


def main() -> None:
    """Print one line per way and batch."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Raw)
    parser.add_argument("--configs", type=Path, default=SHIPPED)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--still-batches", type=int, nargs="*", default=[32])
    parser.add_argument("--batches", type=int, nargs="*", default=[16])
    parser.add_argument("--foregrounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0, help="per line")
    parser.add_argument("--known-captions", type=int, default=10_000, help="of the growing table")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--ways", nargs="*", default=[BASELINE, "now"])
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--text-encoder", type=Path, help="folder, where none is installed")
    args = parser.parse_args()
    device = pick_device(args.device)
    for way in args.ways if device.type == "cpu" else ["now"]:
        torch.set_num_threads(args.processes if device.type == "cpu" else 1)
        is_baseline = way == BASELINE
        count = 1 if is_baseline or device.type != "cpu" else args.processes
        run_in_processes(partial(measure_all, args, is_baseline), count)


class _Raw(argparse.RawDescriptionHelpFormatter):
    pass


def measure_all(args: argparse.Namespace, is_baseline: bool) -> int:
    """Print a line per batch of one way to train."""
    warnings.filterwarnings("ignore", category=UserWarning)
    device = pick_device(args.device)
    stage = load_config(JointStage, "joint", args.configs)
    encoder = MiniLMTextEncoder(args.text_encoder, max_tokens=stage.max_tokens).to(device)
    if is_baseline:
        captions: CaptionEmbeddings = GrowingCaptions(encoder)
        captions.fill(args.known_captions)
    else:
        encoder.model.bfloat16()
        captions = CaptionEmbeddings(encoder)
    first = load_config(AutoencoderStage, "autoencoder", args.configs)
    settings = transformer_settings(stage)
    data = noise(first, captions, args.foregrounds, device)
    channels = data.groups[args.foregrounds].train.latents.shape[2]
    roles = role_names(args.foregrounds)
    for share, batches in ((1.0, args.still_batches), (0.0, args.batches)):
        for batch in batches:
            model = new_transformer(settings, channels, roles).to(device)
            joint = JointConfig(
                batch=batch,
                still_batch=batch,
                still_share=share,
                foregrounds=(args.foregrounds,),
                compile=not args.no_compile,
            )
            phase = JointPhase("speed", model, data, no_sheet, joint, stage.objective)
            line = measure(phase, batch, args.seconds, device, is_baseline)
            if data_parallel.rank() == 0:
                print(f"{BASELINE if is_baseline else 'now':8}", line, flush=True)
    return 0


def transformer_settings(stage: JointStage) -> dict[str, Any]:
    """Return the arguments of the transformer that a stage trains, its start's if it has one."""
    with tempfile.TemporaryDirectory() as run:
        if stage.start:
            init_from_checkpoint(Path(run), stage.start)
        return network_settings(Path(run), stage.transformer)


def noise(
    first: AutoencoderStage, captions: CaptionEmbeddings, foregrounds: int, device: torch.device
) -> TrainingData:
    """Return training data of the right shapes, all noise."""
    world, codec = first.world, first.autoencoder
    frames = 1 + (world.frames - 1) // codec["temporal_factor"]
    size = (world.height // codec["spatial_factor"], world.width // codec["spatial_factor"])
    layout = StreamLayout.for_foregrounds(foregrounds)
    rng, words = Random(0), first.world.selection  # noqa: S311 - scenes, not secrets
    latents = LatentSet(
        latents=torch.randn(CLIPS, len(layout), codec["latent_channels"], frames, *size).half(),
        coverage=torch.rand(CLIPS, 2 * foregrounds, frames, *size).half(),
        scenes=tuple(sample_scene(rng, words, foregrounds=foregrounds) for _ in range(CLIPS)),
    ).to(device)
    scenes = SceneGroup(layout=layout, train=latents, held_out=latents)
    plain = torch.ones(len(StreamRole), codec["latent_channels"])
    normalization = StreamNormalization(mean=0 * plain, std=plain).to(device)
    return TrainingData(
        groups={foregrounds: scenes}, captions=captions, normalization=normalization, stride=frames
    )


def measure(
    phase: JointPhase, batch: int, seconds: float, device: torch.device, is_baseline: bool
) -> str:
    """Run steps for ``seconds``, after some to warm up; return a line of metrics."""
    phase.validate = dict  # type: ignore[method-assign] - speed needs no quality
    iterations = 5 if is_baseline else TrainerConfig().muon_iterations
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            phase, TrainerConfig(steps=4, muon_lr=1e-3, muon_iterations=iterations), Path(folder)
        )
        trainer.run()
        trainer.config = replace(trainer.config, budget_s=seconds, steps=0)
        trainer.step, trainer.spent_s = 0, 0.0
        trainer.run()
    kind = "stills" if phase.config.still_share else "clips"
    share = BATCH_STREAMS / len(phase.groups[0].layout)
    rate = trainer.step * max(1, round(batch * share)) / trainer.spent_s
    peak = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else 0.0
    return (
        f"{kind} batch={batch} samples_per_hour={3600 * rate:.0f} samples_per_s={rate:.2f} "
        f"processes={data_parallel.world_size()} threads={torch.get_num_threads()} "
        f"peak_gib={peak:.1f} device={device}"
    )


def no_sheet(
    model: LayeredWanTransformer3DModel,
    path: Path,
    frame: int | None,
    config: JointConfig,
) -> None:
    """Draw nothing: speed needs no pictures."""


if __name__ == "__main__":
    main()
