from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from layert2v.spec import GenerateSpec, resolve
from layert2v_engine.cli.main import main
from layert2v_engine.devices import CPU
from layert2v_engine.errors import EngineError, MissingStage
from layert2v_engine.evaluation import reference_data
from layert2v_engine.model.autoencoder import PatchAutoencoder
from layert2v_engine.model.matte_adapter import MatteProjection
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.training import finish_stage, latent_builder, layout_prior
from layert2v_engine.training.chunks import ChunkConfig
from layert2v_engine.training.export import export
from layert2v_engine.training.finish_stage import DecoderTraining, FinishStage, run_finish
from layert2v_engine.training.joint_phase import JointConfig, JointPhase
from layert2v_engine.training.joint_stage import JointPhaseConfig, JointStage, run_joint
from layert2v_engine.training.latents import (
    LatentSet,
    encode_clips,
    encode_streams,
    fit_normalization,
)
from layert2v_engine.training.stages import (
    AutoencoderStage,
    ClipCounts,
    MatteStage,
    WorldConfig,
    run_autoencoder,
    run_matte,
)
from layert2v_engine.training.trainer_config import TrainerConfig
from layert2v_engine.world.dataset import ClipSet, render_clips
from layert2v_engine.world.text.vocabulary import V0

# Two subjects and four scenes, of which the fox's by day are held out of training.
FEW = replace(
    V0, subjects=("fox", "bear"), places=("desert", "meadow"), times=("sunny day", "night")
)
WORLD = WorldConfig(
    width=64,
    height=48,
    frames=5,
    creatures_per_species=1,
    plates_per_scene=1,
    processes=1,
    selection=FEW,
)
AUTOENCODER = AutoencoderStage(
    world=WORLD,
    clips=ClipCounts(train=24, held_out=8),
    autoencoder={"latent_channels": 8, "decoder_widths": (16, 8), "decoder_blocks": 1},
    chunks=ChunkConfig(batch=2, crop=32),
    trainer=TrainerConfig(budget_s=0.2),
)
MATTE = MatteStage(
    rank=2, chunks=ChunkConfig(batch=2, crop=32), trainer=TrainerConfig(budget_s=0.2)
)
TRANSFORMER = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "ffn_dim": 32,
    "num_layers": 1,
    "freq_dim": 32,
    "rope_max_seq_len": 64,
    "position_grid": [3, 4],
}
PHASES = tuple(
    JointPhaseConfig(
        name=name,
        joint=JointConfig(
            batch=2, still_batch=2, still_share=share, compile=False, prior_share=1 - share
        ),
        trainer=TrainerConfig(budget_s=0.2, muon_lr=1e-3),
    )
    for name, share in (("stills", 1.0), ("clips", 0.15))
)
JOINT = JointStage(clips=24, max_tokens=20, transformer=TRANSFORMER, phases=PHASES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every stage, each for a fraction of a second."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout_prior, "CLIPS", 50)
        run_autoencoder(folder, AUTOENCODER, None)
        run_matte(folder, MATTE, None)
        run_joint(folder, JOINT, None)
    return folder


def export_weights(run: Path, out: Path) -> dict[str, bytes]:
    """Return the files of the model of a run."""
    export(run, out, JOINT, WORLD, "clips")
    return {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}


def test_a_run_ends_in_a_checkpoint_that_draws(run: Path, tmp_path: Path) -> None:
    export(run, tmp_path / "mini", JOINT, WORLD, "clips")
    pipeline = LayeredPipeline.from_pretrained(tmp_path / "mini")
    prior = pipeline.components.layout_prior
    assert prior is not None
    assert prior.subjects == {"fox", "bear"}
    spec = resolve(GenerateSpec(prompt="a bear in a desert at night", steps=2), pipeline.info, 1)
    plan = pipeline.plan(spec)
    assert plan.figures == (("bear", "right", "middle"),)
    frames = list(pipeline.decode(pipeline.sample(spec, plan), 1))
    assert [f.composite.shape[2] for f in frames] == [1, 4]
    assert frames[0].composite.shape[-2:] == (48, 64)


def test_decoders_learn_from_what_the_transformer_makes(run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(run, tmp_path / "run"))
    part = DecoderTraining(
        chunks=ChunkConfig(batch=2, crop=32, denoised_share=0.7),
        trainer=TrainerConfig(budget_s=0.2),
    )
    config = FinishStage(phase="clips", rank=2, color=part, matte=part)
    plain = export_weights(run, tmp_path / "plain")
    run_finish(run, config, (JOINT,), None)
    finished = export_weights(run, tmp_path / "finished")
    changed = {name for name, content in finished.items() if content != plain[name]}
    assert changed == {
        "autoencoder/diffusion_pytorch_model.safetensors",
        "matte/decoder_lora.safetensors",
        "model_index.json",
    }
    run_finish(run, config, (JOINT,), None)
    assert export_weights(run, tmp_path / "again") == finished


def test_other_autoencoders_are_left_as_they_are(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish_stage, "load_autoencoder", lambda *_: object())
    with pytest.raises(EngineError, match="another autoencoder"):
        run_finish(run, FinishStage(phase="clips"), (JOINT,), None)
    assert not (run / "finish").exists()


def test_a_phase_that_was_not_trained_to_its_end_is_named(run: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(run, tmp_path / "run"))
    (run / "joint_clips" / "average.safetensors").unlink()
    with pytest.raises(MissingStage, match=r"joint_clips/average.* is missing") as caught:
        run_finish(run, FinishStage(phase="clips"), (JOINT,), None)
    assert "`joint`" in caught.value.hint


def test_export_replaces_a_model_and_nothing_else(run: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(EngineError, match="holds no model"):
        export(run, tmp_path / "home", JOINT, WORLD, "clips")
    assert (tmp_path / "home" / "letter.txt").read_text() == "dear"
    for _ in range(2):
        export(run, tmp_path / "mini", JOINT, WORLD, "clips")
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".part"] == []
    assert all(str(run) not in p.read_text() for p in (tmp_path / "mini").rglob("*.json"))


def test_finished_phases_are_not_trained_again(run: Path) -> None:
    weights = run / "joint_clips" / "average.safetensors"
    before = weights.stat().st_mtime_ns
    run_joint(run, JOINT, None)
    assert weights.stat().st_mtime_ns == before


def test_a_stopped_phase_has_the_losses_of_one_without_a_stop(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joint = JointConfig(batch=2, still_batch=2, still_share=0.5, compile=False, prior_share=0.5)
    steps = TrainerConfig(steps=6, muon_lr=1e-3, warmup_steps=2, save_every_s=-1.0)
    phase = JointPhaseConfig(name="more", joint=joint, trainer=steps)
    config = replace(JOINT, phases=(*PHASES, phase))
    loss_of, losses, stops = JointPhase.loss, dict[int, float](), [4]

    def loss(self: JointPhase, step: int, progress: float) -> Tensor:
        if step in stops:
            raise KeyboardInterrupt
        assert step not in losses
        result = loss_of(self, step, progress)
        losses[step] = float(result.detach())
        return result

    monkeypatch.setattr(JointPhase, "loss", loss)
    stopped = Path(shutil.copytree(run, tmp_path / "stopped"))
    with pytest.raises(KeyboardInterrupt):
        run_joint(stopped, config, None)
    stops.clear()
    run_joint(stopped, config, None)
    after_a_stop = dict(losses)
    losses.clear()
    run_joint(Path(shutil.copytree(run, tmp_path / "whole")), config, None)
    assert len(losses) == 6
    assert after_a_stop == pytest.approx(losses, rel=1e-6)


def test_latents_are_the_same_after_a_stop(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Path(shutil.copytree(run, tmp_path / "run"))
    whole = run / "latents.safetensors"
    whole.unlink()
    monkeypatch.setattr(latent_builder, "BLOCK_CLIPS", 4)
    builder = latent_builder.LatentBuilder(run, CPU, processes=1, data_sets=())
    expected = builder.group(1, 34, 5).train.latents
    whole.unlink()

    encode, encoded = builder._encode, 0

    def encode_two_blocks(clips: ClipSet) -> LatentSet:
        nonlocal encoded
        encoded += 1
        if encoded == 3:
            raise KeyboardInterrupt
        return encode(clips)

    monkeypatch.setattr(builder, "_encode", encode_two_blocks)
    with pytest.raises(KeyboardInterrupt):
        builder._train_latents(1, 34, 5, "")
    assert not whole.exists()
    encoded = -10
    assert torch.equal(builder._train_latents(1, 34, 5, "").latents, expected)
    assert encoded == -8  # of four blocks, two were kept
    assert not (run / "latents").exists()


def test_a_stage_names_the_one_it_needs(tmp_path: Path) -> None:
    with pytest.raises(MissingStage, match="autoencoder"):
        run_matte(tmp_path, MATTE, None)


def test_the_same_seeds_render_the_same_clips(run: Path) -> None:
    kept = ClipSet.load(run / "clips.safetensors")
    again = render_clips(
        run / "world", 3, first_seed=5, frames=5, processes=1, report=lambda *_: None
    )
    assert torch.equal(again.pixels, kept.pixels[5:8])
    assert again.scenes == kept.scenes[5:8]


def test_normalized_latents_keep_coarse_channels_larger(run: Path) -> None:
    clips = ClipSet.load(run / "clips.safetensors")
    autoencoder = PatchAutoencoder.from_pretrained(run / "autoencoder" / "fit")
    projection = MatteProjection(8)
    latents = encode_streams(autoencoder, projection, clips.streams(torch.arange(24)))
    normalization = fit_normalization(latents, torch.linspace(10, 1, 8))
    encoded = encode_clips(clips, autoencoder, projection, normalization, lambda *_: None)
    mean_pairwise_distance = encoded.latents.float().std(dim=(0, 1, 3, 4, 5))
    assert encoded.latents.shape == (24, 5, 8, 2, 6, 8)
    assert encoded.coverage.shape == (24, 2, 2, 6, 8)
    assert mean_pairwise_distance[0] > mean_pairwise_distance[-1]


@pytest.mark.slow
def test_evaluate_measures_generated_and_redrawn_layers(
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reference_data, "TEST_CLIPS", 8)
    model, out = tmp_path / "models" / "fresh", tmp_path / "evaluation"
    export(run, model, JOINT, WORLD, "clips")
    few = ["evaluate", str(model), "--run", str(run), "--out", str(out), "--count", "1"]
    few += ["--classifier-clips", "8", "--classifier-budget", "1s", "--device", "cpu"]
    assert main(few) == 0
    assert "| recomposition, PSNR |" in capsys.readouterr().out
    metrics = json.loads((out / "report.json").read_text())
    assert {"seen", "held_out", "real", "against_real", "round_trip", "variety", "cost"} <= set(
        metrics
    )
    assert (out / "contact_seen_1.png").exists()
    assert main([*few, "--rerender"]) == 0
    redrawn = json.loads((out / "rerender.json").read_text())
    assert redrawn["stacks"] == 1
    assert (out / "rerender_1.png").exists()
