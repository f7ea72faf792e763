"""The trainer in two workers of Ray."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from fakes.tiny_run import AUTOENCODER, MATTE, write_clips
from layert2v_engine.cli.main import main
from layert2v_engine.training.stages import run_autoencoder, run_matte

pytest.importorskip("ray.train", exc_type=ImportError)
ROOT = Path(__file__).parents[2]
JOINT = """
clips = 8
[transformer]
num_attention_heads = 2
attention_head_dim = 16
ffn_dim = 32
num_layers = 1
freq_dim = 32
rope_max_seq_len = 64
position_grid = [3, 4]
[[phases]]
name = "clips"
[phases.joint]
batch = 2
still_share = 0.0
compile = false
[phases.trainer]
steps = 6
lr = 0.001
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_workers_that_share_the_model_learn_what_one_process_does(tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    for stage, text in (("joint", JOINT), ("autoencoder", "")):
        (tmp_path / "configs" / f"{stage}.toml").write_text(text)
    write_clips(tmp_path / "one")
    run_autoencoder(tmp_path / "one", AUTOENCODER, None)
    run_matte(tmp_path / "one", MATTE, None)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    options = ["joint", "--configs", str(tmp_path / "configs"), "--run"]
    assert main(["train", *options, str(tmp_path / "one"), "--device", "cpu"]) == 0
    # A cluster of its own, whatever else runs here.
    environment = {**os.environ, "RAY_ADDRESS": "local", "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, str(ROOT / "scripts" / "train_ray.py"), "--workers", "2"]
    command += ["--failures", "0", "--storage", str(tmp_path / "ray"), "--"]
    command += [*options, str(tmp_path / "two"), "--sharded"]
    subprocess.run(command, env=environment, check=True, cwd=ROOT, timeout=800)
    one, two = (
        load_file(tmp_path / name / "joint_clips" / "average.safetensors")
        for name in ("one", "two")
    )
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, atol=1e-3, rtol=1e-2)
