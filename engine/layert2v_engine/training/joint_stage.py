"""Stages 2 and 3 in a run folder: latents, the transformer phase by phase, scenes of one foreground
first and of several then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from layert2v_engine.devices import CPU
from layert2v_engine.layout import FOREGROUND_ROLES, StreamLayout, StreamRole
from layert2v_engine.model.autoencoder import VideoAutoencoder
from layert2v_engine.model.checkpoint import load_transformer
from layert2v_engine.model.components import (
    load_autoencoder,
    load_matte_projection,
    load_text_encoder,
)
from layert2v_engine.model.text import MiniLMTextEncoder, TextEncoder, save_for_captions
from layert2v_engine.model.transformer import LayeredWanTransformer3DModel
from layert2v_engine.training.data import (
    HELD_OUT_SEED,
    CaptionStates,
    ClipSet,
    LatentSet,
    Renderer,
    StreamWhitening,
    encode_clips,
    encode_streams,
    fit_whitening,
)
from layert2v_engine.training.init_from_checkpoint import START, network_settings, started
from layert2v_engine.training.joint_phase import JointConfig, JointPhase, Material, Scenes
from layert2v_engine.training.objective import ObjectiveConfig
from layert2v_engine.training.sample_sheet import SheetSampler
from layert2v_engine.training.stages import (
    AutoencoderStage,
    build_world,
    needed_from,
    report,
    train_phase,
)
from layert2v_engine.training.trainer import TrainerConfig
from layert2v_engine.world.text.captions import sample_captions

WHITENING_CLIPS = 400  # latent statistics settle long before
BLOCK = 1000  # clips
TEXT_ENCODER = "text_encoder"


@dataclass(frozen=True, kw_only=True, slots=True)
class JointPhaseConfig:
    """One [[phases]] entry of joint.toml or multi.toml."""

    name: str
    joint: JointConfig = field(default_factory=JointConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


@dataclass(frozen=True, kw_only=True, slots=True)
class JointStage:
    """joint.toml: scenes of one foreground."""

    start: str = ""  # a model to go on from, by folder or by the name of a shipped one
    clips: int = 6000
    processes: int = 2  # that render them; 0: all cores
    max_tokens: int = 20
    offered: tuple[int, ...] = ()  # least and most pixels of a side; empty: the world's size
    layer_adaln: bool = True  # false: no modulation by role, an ablation
    transformer: dict[str, Any] = field(default_factory=dict)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    phases: tuple[JointPhaseConfig, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MultiStage:
    """multi.toml: scenes of several foregrounds, among some of one and of none. distill.toml: the
    same, with phases that learn guided answers.
    """

    clips: tuple[int, ...] = (500, 6000, 4000, 3000)  # with 0, 1, 2, ... foregrounds
    frames: tuple[int, ...] = ()  # of each of these; empty: the world's
    processes: int = 2
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    phases: tuple[JointPhaseConfig, ...] = ()


def run_joint(
    run: Path, config: JointStage, budget_s: float | None, device: torch.device = CPU
) -> None:
    """The transformer on one foreground, phase by phase; each starts from the averaged weights of
    the one before.
    """
    waiting = _waiting(run, config.phases)
    if not waiting:
        return
    model = _network(run, config, 1, config.phases[: -len(waiting)]).to(device)
    wanted = {1: (config.clips, _world_frames(run))}
    _train(run, config, (wanted, config.processes), (model, waiting, config.objective), budget_s)


def run_multi(
    run: Path,
    joint: JointStage,
    config: MultiStage,
    budget_s: float | None,
    device: torch.device = CPU,
    before: Sequence[JointPhaseConfig] = (),
) -> None:
    """The transformer on several foregrounds: new rows of LayerAdaLN start from those of the first
    foreground.

    before: phases of other stages that come between those of the joint stage and these.
    """
    waiting = _waiting(run, config.phases)
    if not waiting:
        return
    done = (*joint.phases, *before, *config.phases[: -len(waiting)])
    model = _network(run, joint, len(config.clips) - 1, done).to(device)
    own = _world_frames(run)
    used = {count for entry in waiting for count in entry.joint.foregrounds}
    wanted = {
        count: (config.clips[count], config.frames[count] if config.frames else own)
        for count in sorted(used)
    }
    _train(run, joint, (wanted, config.processes), (model, waiting, config.objective), budget_s)


def run_prepare(run: Path, first: AutoencoderStage, config: JointStage) -> None:
    """World and text encoder: what takes CPU time and an installed package, as files to carry."""
    build_world(run, first.world)
    if not (run / TEXT_ENCODER).exists():
        encoder = MiniLMTextEncoder(max_tokens=config.max_tokens)
        save_for_captions(
            encoder, [*sample_captions(first.world.selection), ""], run / TEXT_ENCODER
        )


def _train(
    run: Path,
    config: JointStage,
    wanted: tuple[Mapping[int, tuple[int, int]], int],
    work: tuple[LayeredWanTransformer3DModel, Sequence[JointPhaseConfig], ObjectiveConfig],
    budget_s: float | None,
) -> None:
    """Train the phases that wait on clips: by number of foregrounds how many and their frames."""
    model, waiting, objective = work
    device = model.device
    maker = _LatentMaker(run, device, processes=wanted[1])
    scenes = {n: maker.scenes(n, count, frames) for n, (count, frames) in wanted[0].items()}
    texts = CaptionStates(_text_encoder(run, config, device))
    stride = 1 + (_world_frames(run) - 1) // maker.autoencoder.temporal_factor
    material = Material(scenes=scenes, texts=texts, whitening=maker.whitening, stride=stride)
    sampler = SheetSampler(run, material)
    for entry in waiting:
        phase = JointPhase(entry.name, model, material, sampler, entry.joint, objective)
        train_phase(phase, entry.trainer, average_path(run, entry.name).parent, budget_s)
        weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
        save_file(weights, average_path(run, entry.name))


def _text_encoder(run: Path, config: JointStage, device: torch.device) -> TextEncoder:
    """The run's own encoder if it was prepared, else the one of the start, else the installed."""
    prepared, start, tokens = run / TEXT_ENCODER, started(run), text_tokens(run, config)
    if prepared.exists() or start is None:
        folder = prepared if prepared.exists() else None
        return MiniLMTextEncoder(folder, max_tokens=tokens).to(device)
    declared = replace(start, text_tokens=tokens)
    return load_text_encoder(run / START, declared, device, torch.float32)


def text_tokens(run: Path, config: JointStage) -> int:
    """The length that prompts are padded to; no start is cut shorter than it was."""
    start = started(run)
    return max(config.max_tokens, 0 if start is None else start.text_tokens)


def _world_frames(run: Path) -> int:
    """Frames of a clip of the run."""
    path = needed_from(run / "held_out.safetensors", "autoencoder")
    return ClipSet.load(path).pixels.shape[2]


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


def _waiting(run: Path, phases: Sequence[JointPhaseConfig]) -> list[JointPhaseConfig]:
    """The phases still to be trained; where one was begun, those before it are done."""
    waiting: list[JointPhaseConfig] = []
    for entry in reversed(phases):
        path = average_path(run, entry.name)
        if path.exists():
            break
        waiting.insert(0, entry)
        if (path.parent / "state.json").exists():
            break
    return waiting


def _network(
    run: Path, config: JointStage, foregrounds: int, done: Sequence[JointPhaseConfig]
) -> LayeredWanTransformer3DModel:
    """The transformer with what the newest finished phase left, or the start, or nothing."""
    autoencoder = load_autoencoder(needed_from(run / "autoencoder" / "model", "autoencoder"), CPU)
    finished = [p for p in (average_path(run, entry.name) for entry in done) if p.exists()]
    if finished:
        weights = load_file(finished[-1])
    elif (run / START).exists():
        weights = load_transformer(run / START / "transformer").state_dict()
    else:
        weights = {}
    settings = network_settings(run, config.transformer)
    rows = len(weights["layer_modulation"]) if weights else 0
    names = role_names(max(foregrounds, foregrounds_of(rows)))
    model = new_transformer(settings, autoencoder.latent_channels, names)
    if weights:
        model.load_state_dict(weights | {"layer_modulation": grown(weights, names)})
    if not config.layer_adaln:
        nn.init.zeros_(model.layer_modulation.requires_grad_(False))
    return model


def role_names(foregrounds: int) -> tuple[str, ...]:
    """LayerAdaLN rows: one for each role, and own ones for every foreground after the first."""
    more = (f"{role}_{k:02d}" for k in range(2, foregrounds + 1) for role in FOREGROUND_ROLES)
    return (*(role.value for role in StreamRole), *more)


def foregrounds_of(rows: int) -> int:
    """How many foregrounds a transformer with so many LayerAdaLN rows was trained for."""
    return max(1, 1 + (rows - len(StreamRole)) // len(FOREGROUND_ROLES))


def grown(weights: Mapping[str, Tensor], names: Sequence[str]) -> Tensor:
    """LayerAdaLN rows for `names`: those there are, and for new foregrounds the first one's."""
    table = weights["layer_modulation"]
    known = role_names(foregrounds_of(len(table)))
    rows = [known.index(name if name in known else name.rpartition("_")[0]) for name in names]
    return table[rows].clone()


class _LatentMaker:
    """Renders and encodes clips, in blocks so that pixels never pile up."""

    def __init__(self, run: Path, device: torch.device, *, processes: int) -> None:
        self.run, self.processes = run, processes
        self.autoencoder: VideoAutoencoder = load_autoencoder(run / "autoencoder" / "model", device)
        matte = run / "matte" if (run / START).exists() else needed_from(run / "matte", "matte")
        self.projection = load_matte_projection(matte / "projection", device)
        self.device = device
        self.whitening = self._whitening()

    def scenes(self, foregrounds: int, count: int, frames: int) -> Scenes:
        """Latents of `count` clips and of the held-out ones."""
        suffix = "" if foregrounds == 1 else f"_{foregrounds:02d}"
        held_out = self._held_out(foregrounds, frames, suffix)
        path = self.run / f"latents{suffix}.safetensors"
        if path.exists():
            latents = LatentSet.load(path)
        else:
            blocks = [self._encode(b) for b in self._blocks(foregrounds, count, frames)]
            latents = LatentSet(
                latents=torch.cat([b.latents for b in blocks]),
                coverage=torch.cat([b.coverage for b in blocks]),
                scenes=tuple(scene for b in blocks for scene in b.scenes),
            )
            latents.save(path)
        return Scenes(
            layout=StreamLayout.for_foregrounds(foregrounds),
            latents=latents.to(self.device),
            held_out=self._encode(held_out).to(self.device),
        )

    def _whitening(self) -> StreamWhitening:
        """The run's latent statistics; fitted once, where no start brought them."""
        path = self.run / "whitening.safetensors"
        if path.exists():
            return StreamWhitening(**load_file(path)).to(self.device)
        known = ClipSet.load(self.run / "clips.safetensors")
        rows = torch.arange(min(WHITENING_CLIPS, len(known.scenes)))
        streams = known.streams(rows, self.device)
        sample = encode_streams(self.autoencoder, self.projection, streams)
        fitted = self.run / "autoencoder" / "components.safetensors"
        if fitted.exists():
            components = load_file(fitted)["component_std"].to(self.device)
        else:  # an autoencoder that was not fitted here
            components = sample.std(dim=(0, 1, 3, 4, 5))
        whitening = fit_whitening(sample, components)
        save_file({"mean": whitening.mean, "std": whitening.std}, path)
        return whitening

    def _encode(self, clips: ClipSet) -> LatentSet:
        return encode_clips(clips, self.autoencoder, self.projection, self.whitening, report)

    def _held_out(self, foregrounds: int, frames: int, suffix: str) -> ClipSet:
        path = self.run / f"held_out{suffix}.safetensors"
        if not path.exists():
            count = len(ClipSet.load(self.run / "held_out.safetensors").scenes)
            with Renderer(self.run / "world", self.processes) as renderer:
                renderer.clips(
                    count,
                    first_seed=HELD_OUT_SEED,
                    frames=frames,
                    report=report,
                    foregrounds=foregrounds,
                ).save(path)
        return ClipSet.load(path)

    def _blocks(self, foregrounds: int, count: int, frames: int) -> Iterator[ClipSet]:
        """The clips the autoencoder was trained on, if they have as many foregrounds, then more."""
        known = 0
        if foregrounds == 1:
            kept = ClipSet.load(self.run / "clips.safetensors")
            known = len(kept.scenes)
            yield kept
        starts = range(known, count, BLOCK)
        if not starts:
            return
        with Renderer(self.run / "world", self.processes) as renderer:
            for start in starts:
                size = min(BLOCK, count - start)
                yield renderer.clips(
                    size,
                    first_seed=start,
                    frames=frames,
                    report=report,
                    foregrounds=foregrounds,
                )


def new_transformer(
    settings: Mapping[str, Any], channels: int, roles: Sequence[str] = role_names(1)
) -> LayeredWanTransformer3DModel:
    """A transformer from scratch for latents of so many channels; text is MiniLM's unless the
    settings say otherwise.
    """
    torch.manual_seed(0)
    fixed = {"in_channels": channels, "out_channels": channels, "roles": list(roles)}
    model = LayeredWanTransformer3DModel(**{"text_dim": 384, **settings, **fixed})
    # A network trained from scratch tells roles apart from the first step; a fine-tuned Wan starts
    # at zero instead.
    nn.init.normal_(model.layer_modulation, std=0.02)
    if model.position_table is not None:
        nn.init.normal_(model.position_table, std=0.02)
    nn.init.zeros_(model.proj_out.weight)
    nn.init.zeros_(model.proj_out.bias)
    return model
