from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.footage import save_exr
from layert2v_engine.decompose.splitter.network import SplitterConfig, SplitterNetwork, load_network
from layert2v_engine.decompose.splitter.trained import WEIGHTS
from layert2v_engine.devices import CPU
from layert2v_engine.errors import BadCheckpoint, MissingStage
from layert2v_engine.training.splitter.frames import FrameSet, collect, rendered_clips
from layert2v_engine.training.splitter.phase import SplitterBatch, SplitterPhase
from layert2v_engine.training.splitter.stage import SplitterStage, run_splitter
from layert2v_engine.training.trainer_config import TrainerConfig
from layert2v_engine.training.training_state import TrainingState


def frames(seed: int) -> FrameSet:
    planes = torch.rand(3, 8, 40, 60, generator=torch.Generator().manual_seed(seed))
    planes[:, 6:] = (planes[:, 6:] > 0.5).float()
    planes[:, 7] *= 0.4
    return FrameSet(planes=planes.half())


def stage(steps: int, rendered_share: float = 0.0) -> SplitterStage:
    return SplitterStage(
        network=SplitterConfig(widths=(8, 16), groups=4),
        batch=SplitterBatch(batch=2, height=32, width=48, rendered_share=rendered_share),
        trainer=TrainerConfig(steps=steps, log_every=1, validate_every_s=1e9),
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "world").mkdir()
    frames(0).save(tmp_path / "frames.safetensors")
    frames(1).save(tmp_path / "held_out_frames.safetensors")
    return tmp_path


def test_a_run_goes_on_where_it_stopped(run: Path) -> None:
    run_splitter(run, stage(2), None)
    first = load_network(run / "splitter" / "model")
    run_splitter(run, stage(4), None)
    resumed = load_network(run / "splitter" / "model")
    state = TrainingState.load(run / "splitter")
    assert state is not None
    assert state.step == 4
    assert not torch.equal(first.head.weight, resumed.head.weight)


def test_a_batch_that_was_drawn_ahead_is_that_of_its_step() -> None:
    def phase() -> SplitterPhase:
        network = SplitterNetwork(SplitterConfig(widths=(8, 16), groups=4))
        return SplitterPhase(network, (frames(0), None), frames(1), stage(1).batch, CPU)

    one = phase()
    losses = [float(one.loss(step, 0.0).detach()) for step in (0, 1, 2, 1)]
    alone = [float(phase().loss(step, 0.0).detach()) for step in (0, 1, 2, 1)]
    assert losses == alone
    assert len(set(losses)) == 3


def test_a_run_validates_and_draws_a_sheet(run: Path) -> None:
    run_splitter(run, stage(1), None)
    metrics = json.loads((run / "splitter" / "validation.jsonl").read_text().splitlines()[-1])
    assert {"mask_error", "alpha_error", "shadow_error", "shadow_error_p90"} <= set(metrics)
    assert "shadow_error_without_plate" in metrics
    assert (run / "splitter" / "sample_final.png").is_file()


def test_a_run_goes_on_from_the_shipped_weights_with_a_wider_view(run: Path) -> None:
    shipped = load_network(WEIGHTS)
    sizes = {"widths": shipped.config.widths, "groups": shipped.config.groups}
    config = replace(stage(1), network=SplitterConfig(**sizes, context=16))

    run_splitter(run, replace(config, goes_on_from_shipped=True), None)

    trained = load_network(run / "splitter" / "model")
    assert trained.config.context == 16
    assert float((trained.head.weight - shipped.head.weight).abs().max()) < 0.05


def test_what_was_trained_without_plates_says_so(run: Path) -> None:
    run_splitter(run, stage(1), None)
    assert load_network(run / "splitter" / "model").config.is_plate_optional

    config = stage(2)
    with_plates = replace(config.batch, without_plate_share=0.0)
    run_splitter(run, replace(config, batch=with_plates), None)
    assert not load_network(run / "splitter" / "model").config.is_plate_optional


def test_the_shipped_weights_fit_no_other_widths(run: Path) -> None:
    with pytest.raises(BadCheckpoint, match=r"not \[8, 16\]"):
        run_splitter(run, replace(stage(1), goes_on_from_shipped=True), None)


def test_rendered_clips_of_two_sizes_are_refused() -> None:
    clips = iter([(torch.zeros(1, 8, 40, 60), "head"), (torch.zeros(1, 8, 20, 60), "head")])
    with pytest.raises(MissingStage, match="60 x 40 and 60 x 20"):
        collect(clips, 1, lambda *_: None, 2)


def test_rendered_clips_that_are_missing_are_asked_for(run: Path) -> None:
    with pytest.raises(MissingStage, match="no rendered clips"):
        run_splitter(run, stage(1, rendered_share=0.5), None)


def test_a_rendered_clip_is_what_its_pictures_say(tmp_path: Path) -> None:
    folder = tmp_path / "clip_0000"
    folder.mkdir()
    (folder / "clip.json").write_text('{"kind": "furry", "frames": 1}')
    for name, value, alpha in (("subject", 0.1, 0.5), ("plate", 0.4, 1), ("shadowed", 0.3, 1)):
        planes = dict.fromkeys("RGB", np.full((6, 8), value)) | {"A": np.full((6, 8), alpha)}
        save_exr(planes, np.float16)(folder / f"{name}.0001.exr")
    ((planes, kind),) = rendered_clips(tmp_path)
    assert (kind, planes.shape) == ("furry", (1, 8, 6, 8))
    assert planes[0, :, 0, 0].tolist() == pytest.approx(
        [0.5371, 0.5371, 0.5371, 0.6652, 0.6652, 0.6652, 0.5, 0.25], abs=2e-3
    )
