from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from fakes.tiny_run import AUTOENCODER, JOINT, MATTE, write_clips
from layert2v_engine.model.checkpoint import read_index
from layert2v_engine.training.stages import run_autoencoder, run_matte

SCRIPT = Path(__file__).parents[2] / "scripts" / "ablations.py"


@pytest.fixture(scope="module")
def ablations() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ablations", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ablations"] = module  # where its dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def test_every_variant_takes_one_thing_away(ablations: ModuleType) -> None:
    full, *others = ablations.variants(16)
    whole = full.of(JOINT)
    for variant in others:
        config = variant.of(JOINT)
        changed = [
            name
            for name in ("layer_adaln", "transformer", "objective", "phases")
            if getattr(config, name) != getattr(whole, name)
        ]
        assert len(changed) + variant.plain_mattes == 1, variant.name


def test_variants_are_trained_beside_the_run(tmp_path: Path, ablations: ModuleType) -> None:
    write_clips(tmp_path)
    run_autoencoder(tmp_path, AUTOENCODER, None)
    run_matte(tmp_path, MATTE, None)
    for variant in ablations.variants(16):
        ablations.train(tmp_path, variant, JOINT, AUTOENCODER, 1e-6)
    folder = tmp_path / "ablations"
    assert read_index(folder / "joint_prompt" / "model").routing == "joint"
    assert (folder / "full" / "model" / "matte").exists()
    assert not (folder / "plain_mattes" / "model" / "matte").exists()
    statistics = [folder / n / "whitening.safetensors" for n in ("plain_mattes", "rope_4d")]
    assert statistics[0].read_bytes() != statistics[1].read_bytes()


def test_what_was_not_measured_stays_empty(ablations: ModuleType) -> None:
    row = ablations.table_row("the method", {"loss": 0.12345, "recomposition_psnr_db": 30.04})
    assert row.startswith("| the method | 0.123 |  | 30.0 |  |")
    assert row.count("|") == len(ablations.COLUMNS) + 2
