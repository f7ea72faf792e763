from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from fakes.scripts import load_script
from fakes.tiny_run import AUTOENCODER, JOINT, MATTE, write_clips
from layert2v_engine.model.checkpoint import read_index
from layert2v_engine.training.config import load_config
from layert2v_engine.training.joint_stage import JointStage
from layert2v_engine.training.stages import run_autoencoder, run_matte

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def ablations() -> ModuleType:
    return load_script("ablations")


def test_every_variant_takes_one_thing_away(ablations: ModuleType) -> None:
    full, *others = ablations.variants(16)
    method = full.configure(JOINT)
    for variant in others:
        config = variant.configure(JOINT)
        changed = [
            name
            for name in ("layer_adaln", "transformer", "objective", "phases")
            if getattr(config, name) != getattr(method, name)
        ]
        assert len(changed) + variant.plain_mattes == 1, variant.name


def test_a_seed_changes_what_is_drawn_and_nothing_else(ablations: ModuleType) -> None:
    full = ablations.variants(16)[0]
    first, second = full.configure(JOINT), full.configure(JOINT, seed=1)
    assert [entry.joint.seed for entry in second.phases] == [1, 1]
    entries = [replace(e, joint=replace(e.joint, seed=0)) for e in second.phases]
    assert replace(second, phases=tuple(entries)) == first


def test_variants_are_trained_beside_the_run(tmp_path: Path, ablations: ModuleType) -> None:
    write_clips(tmp_path)
    run_autoencoder(tmp_path, AUTOENCODER, None)
    run_matte(tmp_path, MATTE, None)
    for variant in ablations.variants(16):
        training = ablations.Training(run=tmp_path, variant=variant, seed=0)
        ablations.train(training, JOINT, AUTOENCODER)
    folder = tmp_path / "ablations"
    assert read_index(folder / "joint_prompt_0" / "model").routing == "joint"
    assert (folder / "full_0" / "model" / "matte").exists()
    assert not (folder / "plain_mattes_0" / "model" / "matte").exists()
    statistics = [folder / f"{n}_0" / "whitening.safetensors" for n in ("plain_mattes", "rope_4d")]
    assert statistics[0].read_bytes() != statistics[1].read_bytes()


def test_a_run_gets_the_autoencoder_of_a_shipped_model(
    tmp_path: Path, ablations: ModuleType
) -> None:
    write_clips(tmp_path)
    ablations.prepare_run(tmp_path, "mini", AUTOENCODER)
    assert (tmp_path / "matte" / "decoder_lora.safetensors").is_file()
    assert (tmp_path / "matte" / "projection" / "config.json").is_file()
    assert (tmp_path / "autoencoder" / "model" / "config.json").is_file()
    assert not (tmp_path / "start").exists()


def test_every_variant_has_the_same_steps(ablations: ModuleType) -> None:
    joint = load_config(JointStage, "joint", ROOT / ablations.CONFIGS)
    for variant in ablations.variants(joint.transformer["attention_head_dim"]):
        assert [entry.trainer for entry in variant.configure(joint).phases] == [
            entry.trainer for entry in joint.phases
        ]
    assert all(entry.trainer.steps > 0 for entry in joint.phases)


def test_what_was_not_measured_stays_empty(ablations: ModuleType) -> None:
    row = ablations.table_row("the method", {"loss": 0.12345, "recomposition_psnr_db": 30.04})
    assert row.startswith("| the method | 0.123 |  |  | 30.0 |  |")
    assert row.count("|") == len(ablations.COLUMNS) + 2
