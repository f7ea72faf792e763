"""Plates, donors and masks of a re-render: delivered as they are, or refused."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.layer_files import frames
from fakes.sample_stacks import disc, read_exr
from fakes.tiny_model import write_tiny_model
from layert2v.rerender import DonorLayer, Plate, RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v.stack import NetworkRecord, Stack, read_start
from layert2v_engine.engine import Engine
from layert2v_engine.errors import FootageError, InvalidSpec, StackError
from layert2v_engine.image import exr
from layert2v_engine.image.exr_header import ExrOptions, Tags
from layert2v_engine.stack import manifest
from layert2v_engine.stack.inspect import inspect

GENERATE = GenerateSpec(prompt="a red car driving through a forest at night", seed=3)

TAGS = Tags(colorspace="lin_rec709_scene", fps=24.0, frame=1)

LINEAR = Plate("plate", "lin_rec709_scene")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(write_tiny_model(tmp_path_factory.mktemp("models"), contrast=8.0))


@pytest.fixture(scope="module")
def generated(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated") / "stack"
    engine.generate(GENERATE, folder, report=lambda progress: None, cancelled=lambda: False)
    return folder


@pytest.fixture
def stack(generated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(generated, tmp_path / "stack"))


def run(engine: Engine, spec: RerenderSpec, folder: Path, **inputs: Path) -> Stack:
    return engine.rerender(
        spec, folder, inputs=inputs, report=lambda progress: None, cancelled=lambda: False
    )


def write_plate(folder: Path, alpha: torch.Tensor | None = None, count: int = 1) -> torch.Tensor:
    """Bright half pixels [32, 48, 4]; returns those of the first frame."""
    pixels = torch.rand(count, 32, 48, 4, generator=torch.Generator().manual_seed(1)) * 3
    pixels[..., 3] = 1 if alpha is None else alpha
    pixels[..., :3] *= pixels[..., 3:]
    for number, each in enumerate(pixels.half()):
        exr.write(folder / f"p.{number}.exr", each, TAGS, ExrOptions())
    return pixels[0].half()


@pytest.mark.parametrize("model", ["", "nowhere"])
def test_a_background_plate_is_delivered_as_it_is_and_a_model_generates_ref(
    engine: Engine, stack: Path, tmp_path: Path, model: str
) -> None:
    given = write_plate(tmp_path / "plate")
    before = read_start(stack)
    spec = RerenderSpec(action="replace", layers=("bg",), plate=LINEAR, model=model)
    after = run(engine, spec, stack, plate=tmp_path / "plate")
    assert all(np.array_equal(each, given) for each in frames(stack, after, "bg"))
    assert after.layer("bg").source == "plate"
    header, _ = read_exr(stack / after.layer("bg").files[0].path)
    note = "plate in Linear Rec.709 (sRGB), premultiplied alpha, its one frame held"
    assert header["layert2v/input_transform"] == after.history[-1].note.split(";")[0] == note
    note = "ref stays as it was" if model else "encoded from pixels: bg"
    assert after.history[-1].note.split("; ")[1] == note
    assert (after.flat("ref") == before.flat("ref")) == bool(model)
    assert inspect(stack, after).problems == []


def test_a_foreground_plate_is_delivered_as_it_is_with_a_generated_shadow(
    engine: Engine, stack: Path, tmp_path: Path
) -> None:
    given = write_plate(tmp_path / "plate", disc(32, 48))
    spec = RerenderSpec(action="replace", layers=("fg_01",), plate=LINEAR, seed=1)
    after = run(engine, spec, stack, plate=tmp_path / "plate")
    assert all(np.array_equal(each, given) for each in frames(stack, after, "fg_01"))
    assert after.history[-1].versions == {"shadow_01": 2, "fg_01": 2, "comp": 2, "ref": 2}
    assert after.latents_of("fg_01") is not None
    assert "encoded from pixels: fg_01" in after.history[-1].note
    assert inspect(stack, after).problems == []


def test_outside_a_foreground_plate_and_what_it_replaces_comp_is_identical(
    engine: Engine, stack: Path, tmp_path: Path
) -> None:
    write_plate(tmp_path / "plate", disc(32, 48))
    before = read_start(stack)
    spec = RerenderSpec(action="replace", layers=("fg_01",), frozen=("shadow_01",), plate=LINEAR)
    after = run(engine, spec, stack, plate=tmp_path / "plate")
    touched = sum(frames(stack, each, "fg_01")[..., 3] > 0 for each in (before, after)) > 0
    old, new = (frames(stack, each, "comp") for each in (before, after))
    assert (~touched).any()
    assert np.array_equal(old[~touched], new[~touched])


def test_a_new_layer_may_be_a_plate(engine: Engine, stack: Path, tmp_path: Path) -> None:
    given = write_plate(tmp_path / "plate", disc(32, 48))
    spec = RerenderSpec(action="add", layers=("fg_02",), plate=LINEAR, seed=1)
    after = run(engine, spec, stack, plate=tmp_path / "plate")
    assert [layer.name for layer in after.layers][-2:] == ["shadow_02", "fg_02"]
    assert np.array_equal(frames(stack, after, "fg_02")[0], given)
    assert after.layer("shadow_02").source == "generated"


def test_a_plate_that_cannot_be_used_leaves_the_stack_alone(
    engine: Engine, stack: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    write_plate(tmp_path / "short", count=2)
    names = sorted(stack.rglob("*"))
    spec = RerenderSpec(action="replace", layers=("bg",), plate=LINEAR)
    for folder in ("empty", "short", "nowhere"):
        with pytest.raises(FootageError):
            run(engine, spec, stack, plate=tmp_path / folder)
    assert sorted(stack.rglob("*")) == names


def test_a_layer_of_a_stack_of_another_size_is_fitted_and_encoded(
    engine: Engine, stack: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    wide = GenerateSpec(prompt="a fox", width=96, height=32, frames=9, seed=1, steps=1)
    engine.generate(wide, other, report=lambda progress: None, cancelled=lambda: False)
    spec = RerenderSpec(action="add", layers=("fg_02",), donor=DonorLayer("other", "fg_01"), seed=2)
    after = run(engine, spec, stack, other=other)
    note = after.history[-1].note
    assert "scaled from 96 x 32 to 48 x 16 with lanczos3 and centred, cut from 9 to 5" in note
    assert "encoded from pixels: fg_02" in note
    assert not frames(stack, after, "fg_02")[:, :8].any()
    assert after.layer("fg_02").prompt == "a fox running"
    assert inspect(stack, after).problems == []


def test_networks_that_made_a_donor_are_named_where_its_layer_is(
    engine: Engine, stack: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(stack, other)
    found = manifest.read(other)
    theirs = NetworkRecord("theirs", "CC-BY-NC-4.0", "no", "by its authors")
    entry = replace(found.history[-1], networks=(theirs,))
    manifest.write(replace(found, history=(*found.history[:-1], entry)), other)
    spec = RerenderSpec(action="replace", layers=("fg_01",), donor=DonorLayer("other", "fg_01"))
    after = run(engine, spec, stack, other=other)
    assert theirs in after.history[-1].networks
    assert after.networks.count(theirs) == 1


def test_a_donor_with_its_shadow_is_delivered_as_it_is_and_ref_changes(
    engine: Engine, stack: Path, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(stack, tmp_path / "other"))
    donor = DonorLayer("other", "fg_01", with_shadow=True)
    after = run(
        engine, RerenderSpec(action="add", layers=("fg_02",), donor=donor), stack, other=other
    )
    for new, old in (("fg_02", "fg_01"), ("shadow_02", "shadow_01")):
        assert np.array_equal(frames(stack, after, new), frames(stack, after, old))
    assert after.history[-1].versions == {"shadow_02": 1, "fg_02": 1, "comp": 2, "ref": 2}
    assert inspect(stack, after).problems == []


def test_a_donor_must_have_the_layer(engine: Engine, stack: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(stack, tmp_path / "other"))
    for layer, sentence in (("fg_09", "has no layer 'fg_09'"), ("bg", "must be a foreground")):
        spec = RerenderSpec(action="replace", layers=("fg_01",), donor=DonorLayer("other", layer))
        with pytest.raises(InvalidSpec, match=sentence):
            run(engine, spec, stack, other=other)


def test_a_donor_must_have_all_its_files(engine: Engine, stack: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(stack, tmp_path / "other"))
    spec = RerenderSpec(action="replace", layers=("fg_01",), donor=DonorLayer("other", "fg_01"))
    (other / "fg_01/v001/fg_01_v001.1003.exr").unlink()
    with pytest.raises(StackError, match=r"fg_01_v001\.1003\.exr is missing"):
        run(engine, spec, stack, other=other)
    shutil.rmtree(other)
    with pytest.raises(StackError, match=r"no stack\.json"):
        run(engine, spec, stack, other=other)


def test_where_a_mask_is_white_a_generated_layer_keeps_its_old_pixels(
    engine: Engine, stack: Path, tmp_path: Path
) -> None:
    white = torch.zeros(32, 48, 4)
    white[:, :24] = 1
    exr.write(tmp_path / "mask" / "m.exr", white.half(), TAGS, ExrOptions())
    before = read_start(stack)
    spec = RerenderSpec(action="regenerate", layers=("bg",), masks={"bg": "mask"}, seed=9)
    after = run(engine, spec, stack, mask=tmp_path / "mask")
    old, new = (frames(stack, each, "bg") for each in (before, after))
    assert np.array_equal(old[:, :, :24], new[:, :, :24])
    assert not np.array_equal(old[:, :, 32:], new[:, :, 32:])
