"""The stage ``splitter``: frames are made once in the run folder, then the network is trained."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from layert2v_engine.decompose.splitter.network import (
    SplitterConfig,
    SplitterNetwork,
    load_network,
    save_network,
)
from layert2v_engine.decompose.splitter.trained import WEIGHTS
from layert2v_engine.devices import CPU
from layert2v_engine.errors import BadCheckpoint
from layert2v_engine.training import data_parallel
from layert2v_engine.training.splitter.frames import (
    FrameSet,
    HeldOut,
    collect,
    rendered_clips,
    world_clips,
)
from layert2v_engine.training.splitter.phase import SplitterBatch, SplitterPhase
from layert2v_engine.training.stages import WorldConfig, build_world, report, train_phase
from layert2v_engine.training.trainer_config import TrainerConfig
from layert2v_engine.world.dataset import HELD_OUT_SEED

RENDERED = "rendered"  # folder in the run, of scripts/rendered_clips
_SPREAD = 4  # frames of a clip that are apart from one another by as many


@dataclass(frozen=True, kw_only=True, slots=True)
class FrameCounts:
    """Clips of the world that frames are taken from, three of each."""

    train: int = 500
    held_out: int = 24


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitterStage:
    """Settings in splitter.toml."""

    world: WorldConfig = field(default_factory=WorldConfig)
    held_out: HeldOut = field(default_factory=HeldOut)
    clips: FrameCounts = field(default_factory=FrameCounts)
    network: SplitterConfig = field(default_factory=SplitterConfig)
    batch: SplitterBatch = field(default_factory=SplitterBatch)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    goes_on_from_shipped: bool = False  # from the product's weights, not from nothing


def run_splitter(
    run: Path, config: SplitterStage, budget_s: float | None, device: torch.device = CPU
) -> None:
    """Make the frames, train the network, write it into ``run``/splitter/model.

    Raises MissingStage where rendered clips are wanted and there are none.
    """
    with data_parallel.first_process_first():
        world, rendered, held_out = _prepare_frames(run, config)
    torch.manual_seed(config.batch.seed)
    network = _init_network(config)
    phase = SplitterPhase(network, (world, rendered), held_out, config.batch, device)
    folder = run / "splitter"
    train_phase(phase, config.trainer, folder, budget_s)
    data_parallel.call_on_first(lambda: save_network(network, folder / "model"))


def _init_network(config: SplitterStage) -> SplitterNetwork:
    """Return a network that has learned nothing, or what the one that ships has learned.

    Raises BadCheckpoint where the shipped weights are of other sizes; a context of another size
    begins anew.
    """
    does_without = config.batch.without_plate_share > 0
    network = SplitterNetwork(replace(config.network, is_plate_optional=does_without))
    if config.goes_on_from_shipped:
        known = load_network(WEIGHTS)
        if known.config.widths != config.network.widths:
            raise BadCheckpoint(
                f"The splitter that ships has the widths {list(known.config.widths)}, not "
                f"{list(config.network.widths)}.",
                "Set those in splitter.toml, or goes_on_from_shipped = false.",
            )
        is_same = known.config.context == config.network.context
        weights = known.state_dict().items()
        shared = {k: v for k, v in weights if is_same or not k.startswith("context.")}
        network.load_state_dict(shared, strict=False)
    return network


def _prepare_frames(run: Path, config: SplitterStage) -> tuple[FrameSet, FrameSet | None, FrameSet]:
    """Return frames of the world, rendered ones, and those kept for validation."""
    build_world(run, config.world)
    sets = {}
    for name, count, seed in (
        ("frames", config.clips.train, 0),
        ("held_out_frames", config.clips.held_out, HELD_OUT_SEED),
    ):
        path = run / f"{name}.safetensors"
        if not path.exists():
            clips = world_clips(
                run / "world",
                config.held_out,
                first_seed=seed,
                count=count,
                frames=2 * _SPREAD + 1,
                is_test=False,
            )
            collect(clips, _SPREAD, report, count).save(path)
        sets[name] = FrameSet.load(path)
    rendered = None
    if config.batch.rendered_share:
        path = run / "rendered_frames.safetensors"
        if not path.exists():
            collect(rendered_clips(run / RENDERED / "train"), 1, report, 0).save(path)
        rendered = FrameSet.load(path)
    return sets["frames"], rendered, sets["held_out_frames"]
