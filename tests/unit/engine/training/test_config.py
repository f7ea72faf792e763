"""Configurations: every shipped one loads, keys in files stay what they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from layert2v_engine.errors import BadConfig
from layert2v_engine.training import config as training_config
from layert2v_engine.training.config import load_config
from layert2v_engine.training.finish_stage import FinishStage
from layert2v_engine.training.joint_stage import JointStage, MultiStage
from layert2v_engine.training.splitter.stage import SplitterStage
from layert2v_engine.training.stages import AutoencoderStage, MatteStage

CONFIGS = Path(training_config.__file__).with_name("configs")
KINDS = {
    "autoencoder": AutoencoderStage,
    "matte": MatteStage,
    "finish": FinishStage,
    "joint": JointStage,
    "multi": MultiStage,
    "distill": MultiStage,
    "splitter": SplitterStage,
}


def test_every_shipped_configuration_is_understood() -> None:
    assert load_config(AutoencoderStage, "autoencoder").world.width == 112
    assert load_config(MatteStage, "matte").rank == 16
    assert [p.name for p in load_config(JointStage, "joint").phases] == ["stills", "clips"]


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*/*.toml")), ids=lambda p: f"{p.parts[-2:]}")
def test_every_shipped_file_is_understood(path: Path) -> None:
    load_config(KINDS[path.stem], path.stem, path.parent)


def test_keys_of_files_stay_where_fields_have_other_names() -> None:
    folder = CONFIGS / "mini_v0_3"
    stage = load_config(AutoencoderStage, "autoencoder", folder)
    assert stage.reuse_latents_of_init  # codes_of_start
    assert stage.chunks.temporal_consistency_weight == 3.0  # steadiness
    assert stage.world.selection.colors == ("red", "blue", "yellow")  # colors
    objective = load_config(JointStage, "joint", folder).objective
    assert objective.consistency_weight == 1.0  # agreement_weight


@pytest.mark.parametrize("key", ["clipz = 3", "consistency_weight = 1.0"])
def test_an_unknown_setting_is_named(tmp_path: Path, key: str) -> None:
    (tmp_path / "joint.toml").write_text(f"{key}\n")
    with pytest.raises(BadConfig, match=f"joint has no setting '{key.split()[0]}'"):
        load_config(JointStage, "joint", tmp_path)
