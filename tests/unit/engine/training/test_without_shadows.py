"""Training from a model without streams of shadows, as the authors' checkpoints are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes.tiny_run import JOINT, MATTE, MULTI, scenes, write_clips
from fakes.tiny_wan import write_stock_folder
from layert2v.spec import CLEAN_CONDITIONING, NO_SHADOWS, GenerateSpec
from layert2v_engine.engine import Engine
from layert2v_engine.layout import StreamLayout
from layert2v_engine.model.checkpoint import read_index
from layert2v_engine.model.wan_model import WanModelOptions, convert_model
from layert2v_engine.pipeline import LayeredPipeline
from layert2v_engine.training.export import export
from layert2v_engine.training.init_from_checkpoint import init_from_checkpoint
from layert2v_engine.training.joint_stage import run_joint, run_multi
from layert2v_engine.training.latents import LatentSet
from layert2v_engine.training.network import expand_roles, foregrounds_of, role_names
from layert2v_engine.training.stages import WorldConfig, run_matte

ON = replace(JOINT, transformer={}, phases=JOINT.phases[1:])
(ENTRY,) = MULTI.phases
TWO = replace(MULTI, phases=(replace(ENTRY, joint=replace(ENTRY.joint, foregrounds=(2,))),))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model that was trained as the authors', a step of each stage."""
    folder = tmp_path_factory.mktemp("bare")
    stock, run = write_stock_folder(folder / "stock"), folder / "run"
    convert_model(stock, folder / "start", WanModelOptions(name="wan", title="Wan", shadows=False))
    write_clips(run)
    for count, clips in ((0, 2), (1, 8), (2, 4)):
        noise_latents(count, clips).save(
            run / f"latents{f'_{count:02d}' * (count != 1)}.safetensors"
        )
    init_from_checkpoint(run, str(folder / "start"))
    run_matte(run, MATTE, None)
    run_joint(run, ON, None)
    run_multi(run, ON, TWO, None)
    world = WorldConfig(width=64, height=48, frames=5)
    export(run, folder / "models" / "wan", ON, world, "multi", [TWO])
    assert "loss_shadow_01" not in (run / "joint_clips" / "validation.jsonl").read_text()
    return folder / "models"


def noise_latents(foregrounds: int, clips: int) -> LatentSet:
    """Latents of Wan, with their shadows, as clips are encoded."""
    return LatentSet(
        latents=torch.randn(clips, 2 + 3 * foregrounds, 16, 2, 6, 8).half(),
        coverage=torch.rand(clips, 2 * foregrounds, 2, 6, 8).half(),
        scenes=scenes(foregrounds, clips),
    )


def test_it_makes_no_shadows_and_generates_two_layers(model: Path, tmp_path: Path) -> None:
    config = read_index(model / "wan")
    assert set(config.info.abilities) == {"generate", NO_SHADOWS, CLEAN_CONDITIONING}
    assert config.info.max_foregrounds == 2
    assert not config.untrained
    assert set(config.latent_normalization) == set(role_names(1, shadows=False))
    roles = LayeredPipeline.from_pretrained(model / "wan").components.transformer.config.roles
    assert tuple(roles) == role_names(2, shadows=False)
    spec = GenerateSpec(
        prompt="a fox and a bear in the snow",
        foreground_prompts=("a fox", "a bear"),
        model="wan",
        width=64,
        height=64,
        frames=5,
        steps=1,
    )
    stack = Engine(model).generate(spec, tmp_path, report=lambda _: None, cancelled=lambda: False)
    assert [layer.name for layer in stack.layers] == ["bg", "fg_01", "fg_02"]


@pytest.mark.parametrize("foregrounds", [1, 2, 3, 4])
def test_rows_tell_how_many_foregrounds_there_are(foregrounds: int) -> None:
    names = role_names(foregrounds, shadows=False)
    assert not any("shadow" in name for name in names)
    assert foregrounds_of(len(names), shadows=False) == foregrounds
    table = torch.randn(len(names), 6, 2)
    more = role_names(foregrounds + 1, shadows=False)
    rows = expand_roles({"layer_modulation": table}, more, shadows=False)
    assert torch.equal(rows[: len(names)], table)
    assert torch.equal(rows[-1], table[3])  # the matte of the first


def test_streams_are_chosen_by_name() -> None:
    whole = noise_latents(2, 1)
    kept = whole.select_streams(StreamLayout.for_foregrounds(2, shadows=False))
    assert torch.equal(kept.latents, whole.latents[:, [0, 1, 2, 3, 5, 6]])
    assert whole.select_streams(StreamLayout.for_foregrounds(2)) is whole
