"""What a re-render promises, with a real pipeline of random weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.layer_files import fingerprints, frames
from fakes.tiny_model import INFO, write_tiny_model
from layert2v.rerender import DonorLayer, RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v.stack import Stack, read_start, read_state
from layert2v_engine.engine import Engine, Progress
from layert2v_engine.errors import Cancelled, InvalidSpec, StackError
from layert2v_engine.stack.inspect import inspect

GENERATE = GenerateSpec(prompt="a red car driving through a forest at night", seed=3)
BACKGROUND = RerenderSpec(action="regenerate", layers=("bg",), seed=5)
ACTOR = RerenderSpec(action="regenerate", layers=("fg_01",), seed=5)
# Nothing but `ref` is drawn of these two.
BROUGHT = RerenderSpec(action="replace", layers=("bg",), donor=DonorLayer("other", "bg"), seed=5)
REF = RerenderSpec(action="regenerate", layers=("ref",), seed=5)

Rerender = Callable[..., Stack]


def ignore(_progress: Progress) -> None:
    pass


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine(write_tiny_model(tmp_path_factory.mktemp("models"), contrast=8.0))


@pytest.fixture(scope="module")
def made(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "stack"
    engine.generate(GENERATE, folder, report=ignore, cancelled=never)
    return folder


@pytest.fixture
def stack(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "stack"))


@pytest.fixture
def rerender(engine: Engine) -> Rerender:
    def run(spec: RerenderSpec, folder: Path, **inputs: Path) -> Stack:
        return engine.rerender(spec, folder, inputs=inputs, report=ignore, cancelled=never)

    return run


@pytest.mark.parametrize(
    "spec",
    [
        BACKGROUND,
        ACTOR,
        replace(ACTOR, frozen=("shadow_01",)),
        replace(ACTOR, strength=0.5),
        RerenderSpec(action="regenerate", layers=("shadow_01",), seed=1),
        RerenderSpec(action="add", layers=("fg_02",), prompts={"fg_02": "a fox"}, seed=1),
        RerenderSpec(action="remove", layers=("fg_01",)),
        BROUGHT,
        replace(BROUGHT, model="nowhere"),
        REF,
    ],
)
def test_no_file_that_was_there_changes_but_the_manifest(
    stack: Path, made: Path, rerender: Rerender, spec: RerenderSpec
) -> None:
    before = fingerprints(stack)
    rerender(spec, stack, other=made)
    after = fingerprints(stack)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == {"stack.json"}


def test_a_layer_that_is_kept_keeps_its_version_and_its_latents(
    stack: Path, rerender: Rerender
) -> None:
    before = read_start(stack)
    after = rerender(BACKGROUND, stack)
    assert after.layer("fg_01") == before.layer("fg_01")
    assert after.layer("shadow_01") == before.layer("shadow_01")
    assert after.latents_of("fg_01") == before.latents_of("fg_01")
    assert after.history[-1].versions == {"bg": 2, "comp": 2, "ref": 2}
    assert not (stack / "fg_01" / "v002").exists()


@pytest.mark.parametrize("spec", [BACKGROUND, ACTOR, replace(ACTOR, strength=0.5)])
def test_comp_is_the_over_of_what_is_delivered(
    stack: Path, rerender: Rerender, spec: RerenderSpec
) -> None:
    made = rerender(spec, stack)
    report = inspect(stack, made)
    assert report.problems == []
    assert report.exact_comp_frames == made.frames


@pytest.mark.parametrize("strength", [1.0, 0.4])
@pytest.mark.parametrize("layer", ["fg_01", "shadow_01"])
def test_comp_is_identical_outside_the_old_and_the_new_alpha(
    stack: Path, rerender: Rerender, layer: str, strength: float
) -> None:
    before = read_start(stack)
    spec = RerenderSpec(
        action="regenerate", layers=(layer,), frozen=("shadow_01",), seed=8, strength=strength
    )
    spec = spec if layer == "fg_01" else replace(spec, frozen=())
    after = rerender(spec, stack)
    touched = sum(frames(stack, state, layer)[..., 3] > 0 for state in (before, after)) > 0
    old, new = (frames(stack, state, "comp") for state in (before, after))
    assert (~touched).any()
    assert np.array_equal(old[~touched], new[~touched])
    assert not np.array_equal(old, new)


def test_the_same_request_gives_the_same_bytes(made: Path, tmp_path: Path, engine: Engine) -> None:
    def hashes(name: str, spec: RerenderSpec) -> list[str]:
        folder = shutil.copytree(made, tmp_path / name)
        inputs = {"other": made}
        after = engine.rerender(spec, folder, inputs=inputs, report=ignore, cancelled=never)
        return [file.sha256 for each in (*after.layers, *after.flats) for file in each.files]

    for number, spec in enumerate((ACTOR, BROUGHT)):
        assert hashes(f"a{number}", spec) == hashes(f"b{number}", spec)
        assert hashes(f"c{number}", replace(spec, seed=6)) != hashes(f"d{number}", spec)


def test_a_seed_is_chosen_and_recorded(stack: Path, rerender: Rerender) -> None:
    after = rerender(replace(ACTOR, seed=None), stack)
    assert after.layer("fg_01").seed == after.history[-1].spec["seed"]
    assert after.layer("bg").seed == GENERATE.seed


def test_ten_changes_in_a_row_leave_a_frozen_layer_as_it_was(
    stack: Path, rerender: Rerender
) -> None:
    actor = frames(stack, read_start(stack), "fg_01")
    kept = (stack / "latents/fg_01_v001.safetensors").read_bytes()
    for seed in range(10):
        after = rerender(replace(BACKGROUND, seed=seed, steps=1), stack)
    assert after.layer("bg").version == 11
    assert np.array_equal(frames(stack, after, "fg_01"), actor)
    assert (stack / "latents/fg_01_v001.safetensors").read_bytes() == kept
    assert inspect(stack, after).problems == []


def test_a_weak_change_stays_nearer_to_the_old_picture(stack: Path, rerender: Rerender) -> None:
    old = frames(stack, read_start(stack), "bg")
    distances = []
    for strength in (0.1, 0.5, 1.0):
        after = rerender(replace(BACKGROUND, strength=strength, at=1, steps=8), stack)
        distances.append(np.abs(frames(stack, after, "bg").astype(float) - old).mean())
    assert distances == sorted(distances)
    assert distances[0] < 0.5 * distances[2]


def test_a_shadow_follows_unless_it_is_held(stack: Path, rerender: Rerender) -> None:
    assert rerender(ACTOR, stack).layer("shadow_01").version == 2
    held = rerender(replace(ACTOR, frozen=("shadow_01",)), stack)
    assert held.layer("shadow_01").version == 2
    assert held.layer("fg_01").version == 3


def test_a_new_prompt_is_told_to_the_layer_and_its_shadow(stack: Path, rerender: Rerender) -> None:
    after = rerender(replace(ACTOR, prompts={"fg_01": "the fox"}), stack)
    assert after.layer("fg_01").prompt == after.layer("shadow_01").prompt == "a fox running"
    assert after.layer("bg").prompt == "a forest at night"
    assert after.prompt_interpretation == "fox, running, forest, night"
    assert after.prompt == GENERATE.prompt


@pytest.mark.parametrize("spec", [ACTOR, BROUGHT])
@pytest.mark.parametrize("stage", ["load", "text", "denoise", "decode", "write"])
def test_a_cancelled_change_leaves_no_trace(
    stack: Path, made: Path, engine: Engine, stage: str, spec: RerenderSpec
) -> None:
    before = fingerprints(stack)
    reached: list[str] = []
    with pytest.raises(Cancelled):
        engine.rerender(
            spec,
            stack,
            inputs={"other": made},
            report=lambda progress: reached.append(progress.stage),
            cancelled=lambda: stage in reached,
        )
    assert fingerprints(stack) == before
    assert not list(stack.glob("*/v002"))


def test_any_earlier_state_can_be_changed_again(stack: Path, rerender: Rerender) -> None:
    rerender(replace(BACKGROUND, prompts={"bg": "a forest at sunset"}), stack)
    third = rerender(replace(ACTOR, at=1), stack)
    assert third.layer("bg").version == 1
    assert [entry.parent for entry in third.history] == [0, 1, 1]
    assert read_state(stack, 2).layer("bg").version == 2
    fourth = rerender(replace(BACKGROUND, at=3), stack)
    assert (fourth.layer("bg").version, fourth.layer("fg_01").version) == (3, 2)


def test_a_removed_layer_is_gone_from_comp_and_its_files_stay(
    stack: Path, rerender: Rerender
) -> None:
    after = rerender(RerenderSpec(action="remove", layers=("fg_01",)), stack)
    assert [layer.name for layer in after.layers] == ["bg"]
    assert np.array_equal(frames(stack, after, "comp"), frames(stack, after, "bg"))
    assert after.flat("ref").version == 1
    assert "ref stays" in after.history[-1].note
    assert read_state(stack, 1).layer("fg_01").files[0].path in fingerprints(stack)


def test_where_pixels_are_brought_ref_alone_is_drawn_again(
    stack: Path, made: Path, rerender: Rerender
) -> None:
    before = read_start(stack)
    after = rerender(replace(BROUGHT, seed=None), stack, other=made)
    assert after.history[-1].versions == {"bg": 2, "comp": 2, "ref": 2}
    assert after.history[-1].spec["seed"] is not None
    assert after.history[-1].note.endswith("bg of a_red_car_driving_through_a_forest_at_ni")
    assert after.latents_of("fg_01") == before.latents_of("fg_01")
    assert {after.latents_of(name) is None for name in ("bg", "ref")} == {False}
    assert inspect(stack, after).problems == []


@pytest.mark.parametrize("widest", [32, 256])
def test_where_no_model_can_draw_ref_it_stays_as_it_was(
    stack: Path, made: Path, tmp_path: Path, widest: int
) -> None:
    named = INFO.name if widest == 32 else "nowhere"
    small = replace(INFO, width_range=(32, widest), default_width=32)
    engine = Engine(write_tiny_model(tmp_path / "models", small))
    spec = replace(BROUGHT, seed=None, model=named)
    after = engine.rerender(spec, stack, inputs={"other": made}, report=ignore, cancelled=never)
    assert after.history[-1].versions == {"bg": 2, "comp": 2}
    assert after.history[-1].note.endswith("ref stays as it was")
    assert after.history[-1].spec["seed"] is None


def test_ref_alone_is_drawn_again_on_request(stack: Path, rerender: Rerender) -> None:
    bare = rerender(RerenderSpec(action="remove", layers=("fg_01",)), stack)
    after = rerender(REF, stack)
    assert after.history[-1].versions == {"ref": 2}
    assert after.layers == bare.layers
    assert after.flat("comp") == bare.flat("comp")
    assert np.array_equal(frames(stack, after, "comp"), frames(stack, bare, "comp"))


def test_layers_change_places_with_their_shadows(stack: Path, rerender: Rerender) -> None:
    rerender(RerenderSpec(action="add", layers=("fg_02",), prompts={"fg_02": "a fox"}), stack)
    order = RerenderSpec(action="reorder", layers=("bg", "fg_02", "fg_01"))
    after = rerender(order, stack)
    names = [layer.name for layer in after.layers]
    assert names == ["bg", "shadow_02", "fg_02", "shadow_01", "fg_01"]
    assert inspect(stack, after).problems == []


@pytest.mark.parametrize(
    ("above", "names"),
    [
        ("", ["bg", "shadow_01", "fg_01", "shadow_02", "fg_02"]),
        ("bg", ["bg", "shadow_02", "fg_02", "shadow_01", "fg_01"]),
    ],
)
def test_a_scene_with_more_actors_than_the_model_knows_is_seen_through_a_window(
    stack: Path, rerender: Rerender, above: str, names: list[str]
) -> None:
    spec = RerenderSpec(
        action="add", layers=("fg_02",), prompts={"fg_02": "a fox"}, above=above, seed=2
    )
    before = fingerprints(stack)
    after = rerender(spec, stack)
    assert [layer.name for layer in after.layers] == names
    assert inspect(stack, after).problems == []
    said = "not seen by the model: shadow_01, fg_01" if above else "bg, shadow_01, fg_01 flattened"
    assert said in after.history[-1].note
    assert (
        fingerprints(stack)["fg_01/v001/fg_01_v001.1001.exr"]
        == before["fg_01/v001/fg_01_v001.1001.exr"]
    )


def test_layers_over_the_window_lie_over_ref(stack: Path, rerender: Rerender) -> None:
    spec = RerenderSpec(action="add", layers=("fg_02",), prompts={"fg_02": "a fox"}, above="bg")
    after = rerender(spec, stack)
    solid = frames(stack, after, "fg_01")[..., 3] == 1
    ref, actor = frames(stack, after, "ref"), frames(stack, after, "fg_01")
    assert solid.any()
    assert np.array_equal(ref[solid], actor[solid])


def test_a_layer_without_latents_is_encoded_and_the_result_says_so(
    stack: Path, rerender: Rerender
) -> None:
    (stack / "latents/bg_v001.safetensors").unlink()
    after = rerender(ACTOR, stack)
    assert "encoded from pixels: bg" in after.history[-1].note
    assert after.latents_of("fg_01") is not None


def test_latents_of_another_model_are_not_used(
    stack: Path, rerender: Rerender, tmp_path: Path
) -> None:
    other = replace(INFO, name="mini", title="Other", default_steps=2)
    models = write_tiny_model(tmp_path / "models", other, contrast=4.0)
    after = Engine(models).rerender(ACTOR, stack, inputs={}, report=ignore, cancelled=never)
    assert after.history[-1].note == "encoded from pixels: bg"
    assert rerender(replace(ACTOR, at=1), stack).history[-1].note == ""


def test_a_model_that_was_never_shown_clean_layers_holds_them_with_fixed_noise(
    stack: Path, tmp_path: Path
) -> None:
    info = replace(INFO, abilities=("generate",))
    models = write_tiny_model(tmp_path / "models", info, contrast=8.0)
    before = fingerprints(stack)
    after = Engine(models).rerender(ACTOR, stack, inputs={}, report=ignore, cancelled=never)
    assert "held with fixed noise" in after.history[-1].note
    assert inspect(stack, after).problems == []
    assert {name for name, was in before.items() if fingerprints(stack)[name] != was} == {
        "stack.json"
    }


def test_two_programs_do_not_change_a_stack_at_once(stack: Path, engine: Engine) -> None:
    refused: list[StackError] = []

    def interfere(_progress: Progress) -> None:
        if not refused:
            with pytest.raises(StackError) as caught:
                engine.rerender(ACTOR, stack, inputs={}, report=ignore, cancelled=never)
            refused.append(caught.value)

    engine.rerender(BACKGROUND, stack, inputs={}, report=interfere, cancelled=never)
    assert refused[0].reason == "STACK_BUSY"


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (replace(ACTOR, layers=("fg_07",)), "no layer 'fg_07'; there are: bg, shadow_01, fg_01"),
        (replace(ACTOR, strength=0.0), "strength must be above 0"),
        (replace(ACTOR, at=4), "no state v004"),
        (replace(ACTOR, model="sora"), "The model 'sora' is not here"),
        (replace(ACTOR, masks={"fg_01": "mask"}), "files of 'mask' did not come"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(
    stack: Path, rerender: Rerender, spec: RerenderSpec, sentence: str
) -> None:
    before = fingerprints(stack)
    with pytest.raises((InvalidSpec, StackError), match=sentence):
        rerender(spec, stack)
    assert fingerprints(stack) == before


def test_a_stack_of_another_size_is_refused(stack: Path, engine: Engine, tmp_path: Path) -> None:
    small = replace(INFO, width_range=(32, 32), default_width=32)
    models = write_tiny_model(tmp_path / "models", small)
    with pytest.raises(InvalidSpec, match="cannot draw 48 x 32 pixels and 5 frames"):
        Engine(models).rerender(ACTOR, stack, inputs={}, report=ignore, cancelled=never)


def test_a_stack_that_is_not_whole_is_refused(stack: Path, rerender: Rerender) -> None:
    (stack / "bg/v001/bg_v001.1002.exr").unlink()
    with pytest.raises(StackError, match=r"bg_v001.1002.exr is missing") as caught:
        rerender(ACTOR, stack)
    assert caught.value.reason == "FILES_MISSING"


def test_a_layer_of_another_stack_brings_its_latents_when_nothing_was_changed(
    stack: Path, rerender: Rerender, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(stack, tmp_path / "other"))
    given = rerender(replace(ACTOR, seed=99), other)
    spec = RerenderSpec(
        action="replace", layers=("fg_01",), donor=DonorLayer("other", "fg_01"), seed=1
    )
    after = rerender(spec, stack, other=other)
    assert np.array_equal(frames(stack, after, "fg_01"), frames(other, given, "fg_01"))
    assert "encoded" not in after.history[-1].note
    assert after.layer("fg_01").source == "imported"
    assert after.layer("shadow_01").version == 2
