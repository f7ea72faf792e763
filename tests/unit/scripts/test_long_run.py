from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch

from fakes.scripts import load_script
from fakes.tiny_run import AUTOENCODER, JOINT, MATTE, write_clips
from layert2v_engine.training.joint_stage import JointRun, run_joint
from layert2v_engine.training.phase_weights import ema_path, load_ema
from layert2v_engine.training.stages import run_autoencoder, run_matte


@pytest.fixture(scope="module")
def long_run() -> ModuleType:
    return load_script("long_run")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_clips(folder)
    run_autoencoder(folder, AUTOENCODER, None)
    run_matte(folder, MATTE, None)
    run_joint(folder, JOINT, None)
    ema_path(folder, "clips").unlink()  # as if clips were still being trained
    return folder


def test_a_run_goes_on_from_its_pieces(run: Path, tmp_path: Path, long_run: ModuleType) -> None:
    long_run.write_pieces(long_run.portable_files(run), tmp_path / "out")
    long_run.unpack(tmp_path / "out", tmp_path / "again")
    write_clips(tmp_path / "again")
    before = load_ema(run, "clips")["patch_embedding.weight"]
    after = load_ema(tmp_path / "again", "clips")["patch_embedding.weight"]
    assert torch.equal(before.half(), after)
    run_autoencoder(tmp_path / "again", AUTOENCODER, 1.0)
    run_matte(tmp_path / "again", MATTE, 1.0)
    run_joint(tmp_path / "again", JOINT, JointRun(budget_s=0.1))
    assert ema_path(tmp_path / "again", "clips").exists()
    assert not ema_path(tmp_path / "again", "stills").exists()


def test_an_export_brings_the_text_encoder(
    run: Path, tmp_path: Path, long_run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "text_encoder").mkdir()
    (run / "text_encoder" / "config.json").write_text("{}")
    monkeypatch.setattr("sys.argv", ["long_run", "export", str(run), str(tmp_path / "out")])
    assert long_run.main() == 0
    long_run.unpack(tmp_path / "out", tmp_path / "again")
    assert (tmp_path / "again" / "text_encoder" / "config.json").read_text() == "{}"
    assert (tmp_path / "again" / "joint_clips" / "state.safetensors").exists()


def test_pieces_hold_the_newest_weights_only(run: Path, long_run: ModuleType) -> None:
    names = [name for name, _ in long_run.portable_files(run)]
    assert "joint_clips/state.safetensors" in names
    assert "autoencoder/model/diffusion_pytorch_model.safetensors" in names
    assert not [n for n in names if "stills/average" in n]
    assert not [n for n in names if n.startswith(("clips", "held_out", "latents"))]
    assert not [n for n in names if n.startswith(("autoencoder/state", "autoencoder/fit"))]


def test_small_pieces_replace_the_old_ones(
    run: Path, tmp_path: Path, long_run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_run, "PIECE_BYTES", 100_000)
    long_run.write_pieces(long_run.portable_files(run), tmp_path)
    pieces = sorted(tmp_path.glob("run.tar.??"))
    assert len(pieces) > 2
    assert all(piece.stat().st_size <= 100_000 for piece in pieces)
    long_run.write_pieces(iter([("note", b"short")]), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["run.tar.00"]


def test_a_trainer_runs_on_its_own(
    tmp_path: Path, long_run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_run, "PACK_EVERY_S", 0.5)
    run, out = tmp_path / "run", tmp_path / "out"
    code = long_run.train_for(run, out, 120, None, ["matte", "--device", "cpu"])
    assert code == 2  # there is no autoencoder to train on
    assert "Train the stage `autoencoder`" in (out / "train.log").read_text()
