"""Plans: an action for every layer, and a layer for every stream."""

from __future__ import annotations

from dataclasses import replace

import pytest

from layert2v.rerender import DonorLayer, Plate, RerenderSpec, affected_layers
from layert2v.stack import (
    FileRecord,
    FlattenedSequence,
    HistoryEntry,
    Layer,
    Role,
    Stack,
    frame_path,
    layer_pattern,
)
from layert2v_engine.layout import Stream, StreamRole
from layert2v_engine.rerender.plan import LayerAction, LayerPlan, StreamMapping, plan_layers


def layer(name: str, prompt: str = "", **more: object) -> Layer:
    kinds = {"bg": Role.background, "fg": Role.foreground, "sh": Role.shadow}
    role = kinds[name[:2]]
    caster = name.replace("shadow", "fg") if role is Role.shadow else None
    pattern = layer_pattern(name, 1)
    files = (FileRecord(frame_path(pattern, 1), 1, "0" * 64),)
    result = Layer(name, role, 1, pattern, prompt or f"the {name}", 3, caster, files)
    return replace(result, **more)


def stack(*names: str) -> Stack:
    comp = FlattenedSequence("comp", 1, layer_pattern("comp", 1), ())
    return Stack(
        *("shot", 48, 32, 1.0, 24.0, 1, 1, "lin_rec709_scene"),
        *(tuple(layer(name) for name in names), (comp,), "", "", 3, "mini", "", "", ()),
        *((), (), (HistoryEntry("generate", "", {name: 1 for name in names}, {}),), "", ""),
    )


ONE = ("bg", "shadow_01", "fg_01")
THREE = (*ONE, "shadow_02", "fg_02", "shadow_03", "fg_03")


def plan(spec: RerenderSpec, base: Stack, donor: Stack | None = None) -> tuple[LayerPlan, ...]:
    return plan_layers(spec, base, affected_layers(spec, base), donor)


def actions(spec: RerenderSpec, base: Stack, donor: Stack | None = None) -> dict[str, str]:
    return {layer.name: layer.action.value for layer in plan(spec, base, donor)}


def test_a_shadow_depends_on_its_foreground_unless_it_is_frozen() -> None:
    spec = RerenderSpec(action="regenerate", layers=("fg_01",))
    assert actions(spec, stack(*ONE)) == {
        "bg": "keep",
        "shadow_01": "generate",
        "fg_01": "generate",
    }
    frozen = replace(spec, frozen=("shadow_01",))
    assert actions(frozen, stack(*ONE)) == {"bg": "keep", "shadow_01": "keep", "fg_01": "generate"}


def test_a_plate_replaces_the_layer_and_its_shadow_is_generated() -> None:
    spec = RerenderSpec(action="replace", layers=("fg_01",), plate=Plate("p", "ACEScg"))
    assert actions(spec, stack(*ONE)) == {"bg": "keep", "shadow_01": "generate", "fg_01": "import"}
    bg = replace(spec, layers=("bg",))
    assert actions(bg, stack(*ONE)) == {"bg": "import", "shadow_01": "keep", "fg_01": "keep"}
    (plate,) = (layer for layer in plan(bg, stack(*ONE)) if layer.name == "bg")
    assert (plate.source, plate.prompt, plate.seed) == ("plate", "", 0)


def test_a_donor_gives_its_prompt_and_perhaps_its_shadow() -> None:
    other = stack(*ONE)
    other = replace(other, layers=tuple(replace(each, seed=9) for each in other.layers))
    donor = DonorLayer("d", "fg_01", with_shadow=True)
    spec = RerenderSpec(action="replace", layers=("fg_01",), donor=donor)
    layers = {layer.name: layer for layer in plan(spec, stack("bg", "fg_01"), other)}
    assert list(layers) == ["bg", "shadow_01", "fg_01"]
    assert layers["shadow_01"].action is layers["fg_01"].action is LayerAction.import_
    assert (layers["fg_01"].prompt, layers["fg_01"].seed) == ("the fg_01", 9)
    assert layers["shadow_01"].caster == "fg_01"
    kept_place = plan(spec, stack("bg", "shadow_01", "fg_01"), other)
    assert [layer.action for layer in kept_place] == [
        LayerAction.keep,
        LayerAction.import_,
        LayerAction.import_,
    ]


@pytest.mark.parametrize(
    ("above", "names"),
    [
        ("", "bg shadow_01 fg_01 shadow_02 fg_02"),
        ("fg_01", "bg shadow_01 fg_01 shadow_02 fg_02"),
        ("bg", "bg shadow_02 fg_02 shadow_01 fg_01"),
    ],
)
def test_a_new_foreground_lies_with_its_shadow_where_it_was_put(above: str, names: str) -> None:
    spec = RerenderSpec(action="add", layers=("fg_02",), prompts={"fg_02": "a fox"}, above=above)
    layers = plan(spec, stack(*ONE))
    assert [layer.name for layer in layers] == names.split()
    assert {layer.prompt for layer in layers if layer.name.endswith("02")} == {"a fox"}
    without = plan(replace(spec, frozen=("shadow_02",)), stack(*ONE))
    assert "shadow_02" not in {layer.name for layer in without}


def test_removing_and_reordering_take_shadows_along() -> None:
    gone = plan(RerenderSpec(action="remove", layers=("fg_02",)), stack(*THREE))
    assert [layer.name for layer in gone] == [*ONE, "shadow_03", "fg_03"]
    order = RerenderSpec(action="reorder", layers=("bg", "fg_03", "fg_01", "fg_02"))
    names = [layer.name for layer in plan(order, stack(*THREE), None)]
    assert names == ["bg", "shadow_03", "fg_03", "shadow_01", "fg_01", "shadow_02", "fg_02"]


@pytest.mark.parametrize(
    ("generated", "limit", "seen", "below", "above"),
    [
        ("fg_02", 3, "fg_01 fg_02 fg_03", "bg", ""),
        ("fg_02", 1, "fg_02", "bg shadow_01 fg_01", "shadow_03 fg_03"),
        ("fg_02", 2, "fg_01 fg_02", "bg", "shadow_03 fg_03"),
        ("fg_03", 2, "fg_02 fg_03", "bg shadow_01 fg_01", ""),
        ("fg_01", 1, "fg_01", "bg", "shadow_02 fg_02 shadow_03 fg_03"),
        ("bg", 2, "fg_01 fg_02", "bg", "shadow_03 fg_03"),
        ("shadow_03", 1, "fg_03", "bg shadow_01 fg_01 shadow_02 fg_02", ""),
    ],
)
def test_a_mapping_holds_what_is_generated_and_flattens_little(
    generated: str, limit: int, seen: str, below: str, above: str
) -> None:
    spec = RerenderSpec(action="regenerate", layers=(generated,))
    mapping = StreamMapping.for_model(plan(spec, stack(*THREE)), limit)
    assert mapping.foregrounds == tuple(seen.split())
    assert mapping.below == tuple(below.split())
    assert mapping.above == tuple(above.split())
    assert all(name in mapping.noise_names for name in ("composite", "background"))


def test_streams_show_layers_and_are_active_or_frozen() -> None:
    spec = RerenderSpec(action="regenerate", layers=("fg_02",), frozen=("shadow_02",))
    mapping = StreamMapping.for_model(plan(spec, stack(*THREE)), 2)
    assert mapping.active == ("composite", "foreground_02", "matte_02")
    assert mapping.frozen[-1] == "shadow_02"
    assert mapping.layer_of(Stream(role=StreamRole.matte, foreground=2)) == "fg_02"
    assert mapping.layer_of(Stream(role=StreamRole.background)) == "bg"


@pytest.mark.parametrize(("layer", "seen"), [("fg_02", "fg_02"), ("bg", "fg_01")])
def test_where_pixels_are_imported_the_composite_alone_is_active(layer: str, seen: str) -> None:
    spec = RerenderSpec(action="replace", layers=(layer,), donor=DonorLayer("d", layer, True))
    frozen = replace(spec, donor=None, plate=Plate("p", "ACEScg"), frozen=("shadow_02",))
    for each in (spec, frozen):
        layers = plan(each, stack(*THREE), stack(*THREE) if each.donor else None)
        mapping = StreamMapping.for_model(layers, 1)
        assert mapping.active == ("composite",)
        assert mapping.foregrounds == (seen,)


def test_a_layer_keeps_its_own_noise_in_every_mapping() -> None:
    spec = RerenderSpec(action="regenerate", layers=("fg_03",))
    layers = plan(spec, stack(*THREE))
    assert StreamMapping.for_model(layers, 1).noise_names[2:] == (
        "foreground_03",
        "matte_03",
        "shadow_03",
    )
    assert StreamMapping.for_model(layers, 3).noise_names[8:] == (
        "foreground_03",
        "matte_03",
        "shadow_03",
    )


def test_a_foreground_without_shadow_and_a_stack_without_foreground() -> None:
    spec = RerenderSpec(action="regenerate", layers=("bg",))
    bare = StreamMapping.for_model(plan(spec, stack("bg", "fg_01")), 1)
    assert bare.shadows == (None,)
    assert "shadow_01" in bare.frozen
    empty = StreamMapping.for_model(plan(spec, stack("bg")), 1)
    assert (empty.foregrounds, empty.below, empty.above) == ((), ("bg",), ())
    assert empty.active == ("composite", "background")
