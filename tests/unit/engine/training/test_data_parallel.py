"""Two processes train as one does."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fakes.letters import Letters
from fakes.tiny_model import CHANNELS
from fakes.tiny_run import AUTOENCODER, JOINT, noise_clips, noise_latents
from layert2v_engine.errors import EngineError
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.training import data_parallel
from layert2v_engine.training.autoencoder_phase import DecoderPhase
from layert2v_engine.training.caption_embeddings import CaptionEmbeddings
from layert2v_engine.training.chunks import ChunkConfig
from layert2v_engine.training.data_parallel import run_in_processes
from layert2v_engine.training.joint_phase import JointConfig, JointPhase, SceneGroup, TrainingData
from layert2v_engine.training.latents import StreamNormalization
from layert2v_engine.training.network import new_transformer
from layert2v_engine.training.objective import ObjectiveConfig
from layert2v_engine.training.trainer import Phase, Trainer
from layert2v_engine.training.trainer_config import TrainerConfig

STEPS = 4


def joint_phase() -> JointPhase:
    torch.manual_seed(0)
    layout, latents = StreamLayout.for_foregrounds(1), noise_latents(1, 4)
    plain = torch.ones(5, CHANNELS)
    data = TrainingData(
        groups={1: SceneGroup(layout=layout, train=latents, held_out=latents)},
        captions=CaptionEmbeddings(Letters()),
        normalization=StreamNormalization(mean=0 * plain, std=plain),
        stride=2,
    )
    model = new_transformer({**JOINT.transformer, "text_dim": 4}, CHANNELS)
    config = JointConfig(batch=3, still_batch=4, still_share=0.5, compile=False)
    objective = ObjectiveConfig(one_way=True, consistency_weight=1.0)
    return JointPhase("joint", model, data, lambda *_: None, config, objective)


def decoder_phase() -> DecoderPhase:
    torch.manual_seed(0)
    autoencoder = PatchAutoencoder(**AUTOENCODER.autoencoder)
    with torch.no_grad():  # the weights of the first process count
        autoencoder.decoder.head.weight += data_parallel.rank()
    clips = noise_clips(1, 4)
    return DecoderPhase(autoencoder, clips, clips, ChunkConfig(batch=4, crop=32))


def phase_of(kind: str) -> Phase:
    return joint_phase() if kind == "joint" else decoder_phase()


def train(kind: str, folder: Path) -> int:
    phase = phase_of(kind)
    phase.validate = dict  # type: ignore[method-assign]
    phase.sample = lambda _: None  # type: ignore[method-assign]
    config = TrainerConfig(steps=STEPS, lr=1e-3, muon_lr=1e-3, ema=0.9, warmup_steps=0)
    Trainer(phase, config, folder / "run").run()
    return 0


@pytest.mark.parametrize("kind", ["joint", "decoder"])
def test_two_processes_learn_what_one_does(kind: str, tmp_path: Path) -> None:
    assert run_in_processes(partial(train, kind, tmp_path / "one"), 1) == 0
    assert run_in_processes(partial(train, kind, tmp_path / "two"), 2) == 0
    one, two = (load_file(tmp_path / name / "run" / "state.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    start = {f"model.{n}": p.detach() for n, p in phase_of(kind).model.named_parameters()}
    names = [name for name in one if name.startswith("model.")]
    moved, moved_by_two = (
        torch.cat([(state[name] - start[name]).flatten() for name in names]) for state in (one, two)
    )
    assert float(moved.abs().max()) > 1e-3
    # What rounds differently in bfloat16 turns small gradients over, and Adam's steps with them.
    assert float((moved - moved_by_two).norm() / moved.norm()) < 0.1


def fail_in_the_second(folder: Path) -> int:
    if data_parallel.rank() == 1:
        raise SystemExit(1)
    data_parallel.sum_in_place([torch.ones(1)])
    return 0


def test_the_end_of_another_process_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="Another process of this training has ended"):
        run_in_processes(partial(fail_in_the_second, tmp_path), 2)


def test_one_process_has_all_rows() -> None:
    assert list(range(5))[data_parallel.own_rows()] == list(range(5))
    assert data_parallel.of_first(1.5) == (1.5,)
