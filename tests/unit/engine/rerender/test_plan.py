"""What becomes of layers, and what a model is shown of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from layert2v.rerender import DonorLayer, Plate, RerenderSpec
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
from layert2v_engine.rerender.plan import Cast, Fate, arrange


def layer(name: str, prompt: str = "", **more: object) -> Layer:
    kinds = {"bg": Role.background, "fg": Role.foreground, "sh": Role.shadow}
    role = kinds[name[:2]]
    caster = name.replace("shadow", "fg") if role is Role.shadow else None
    pattern = layer_pattern(name, 1)
    files = (FileRecord(frame_path(pattern, 1), 1, "0" * 64),)
    made = Layer(name, role, 1, pattern, prompt or f"the {name}", 3, caster, files)
    return replace(made, **more)


def stack(*names: str) -> Stack:
    comp = FlattenedSequence("comp", 1, layer_pattern("comp", 1), ())
    return Stack(
        *("shot", 48, 32, 1.0, 24.0, 1, 1, "lin_rec709_scene"),
        *(tuple(layer(name) for name in names), (comp,), "", "", 3, "mini", "", "", ()),
        *((), (), (HistoryEntry("generate", "", {name: 1 for name in names}, {}),), "", ""),
    )


ONE = ("bg", "shadow_01", "fg_01")
THREE = (*ONE, "shadow_02", "fg_02", "shadow_03", "fg_03")


def fates(spec: RerenderSpec, base: Stack, donor: Stack | None = None) -> dict[str, str]:
    return {part.name: part.fate.value for part in arrange(spec, base, donor)}


def test_a_shadow_follows_its_foreground_unless_it_is_frozen() -> None:
    spec = RerenderSpec(action="regenerate", layers=("fg_01",))
    assert fates(spec, stack(*ONE)) == {"bg": "kept", "shadow_01": "drawn", "fg_01": "drawn"}
    held = replace(spec, frozen=("shadow_01",))
    assert fates(held, stack(*ONE)) == {"bg": "kept", "shadow_01": "kept", "fg_01": "drawn"}


def test_a_plate_brings_the_layer_and_its_shadow_is_drawn() -> None:
    spec = RerenderSpec(action="replace", layers=("fg_01",), plate=Plate("p", "ACEScg"))
    assert fates(spec, stack(*ONE)) == {"bg": "kept", "shadow_01": "drawn", "fg_01": "brought"}
    bg = replace(spec, layers=("bg",))
    assert fates(bg, stack(*ONE)) == {"bg": "brought", "shadow_01": "kept", "fg_01": "kept"}
    (plate,) = (part for part in arrange(bg, stack(*ONE), None) if part.name == "bg")
    assert (plate.source, plate.prompt, plate.seed) == ("plate", "", 0)


def test_a_donor_brings_its_words_and_perhaps_its_shadow() -> None:
    other = stack(*ONE)
    other = replace(other, layers=tuple(replace(each, seed=9) for each in other.layers))
    donor = DonorLayer("d", "fg_01", with_shadow=True)
    spec = RerenderSpec(action="replace", layers=("fg_01",), donor=donor)
    parts = {part.name: part for part in arrange(spec, stack("bg", "fg_01"), other)}
    assert list(parts) == ["bg", "shadow_01", "fg_01"]
    assert parts["shadow_01"].fate is parts["fg_01"].fate is Fate.brought
    assert (parts["fg_01"].prompt, parts["fg_01"].seed) == ("the fg_01", 9)
    assert parts["shadow_01"].caster == "fg_01"
    kept_place = arrange(spec, stack("bg", "shadow_01", "fg_01"), other)
    assert [part.fate for part in kept_place] == [Fate.kept, Fate.brought, Fate.brought]


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
    parts = arrange(spec, stack(*ONE), None)
    assert [part.name for part in parts] == names.split()
    assert {part.prompt for part in parts if part.name.endswith("02")} == {"a fox"}
    without = arrange(replace(spec, frozen=("shadow_02",)), stack(*ONE), None)
    assert "shadow_02" not in {part.name for part in without}


def test_removing_and_reordering_take_shadows_along() -> None:
    gone = arrange(RerenderSpec(action="remove", layers=("fg_02",)), stack(*THREE), None)
    assert [part.name for part in gone] == [*ONE, "shadow_03", "fg_03"]
    order = RerenderSpec(action="reorder", layers=("bg", "fg_03", "fg_01", "fg_02"))
    names = [part.name for part in arrange(order, stack(*THREE), None)]
    assert names == ["bg", "shadow_03", "fg_03", "shadow_01", "fg_01", "shadow_02", "fg_02"]


@pytest.mark.parametrize(
    ("drawn", "limit", "seen", "below", "above"),
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
def test_a_window_holds_what_is_drawn_and_flattens_little(
    drawn: str, limit: int, seen: str, below: str, above: str
) -> None:
    spec = RerenderSpec(action="regenerate", layers=(drawn,))
    cast = Cast.of(arrange(spec, stack(*THREE), None), limit)
    assert cast.foregrounds == tuple(seen.split())
    assert cast.below == tuple(below.split())
    assert cast.above == tuple(above.split())
    assert all(name in cast.noise for name in ("composite", "background"))


def test_streams_show_layers_and_are_drawn_or_frozen() -> None:
    spec = RerenderSpec(action="regenerate", layers=("fg_02",), frozen=("shadow_02",))
    cast = Cast.of(arrange(spec, stack(*THREE), None), 2)
    assert cast.drawn == ("composite", "foreground_02", "matte_02")
    assert cast.frozen[-1] == "shadow_02"
    assert cast.layer(Stream(role=StreamRole.matte, foreground=2)) == "fg_02"
    assert cast.layer(Stream(role=StreamRole.background)) == "bg"


@pytest.mark.parametrize(("layer", "seen"), [("fg_02", "fg_02"), ("bg", "fg_01")])
def test_where_pixels_are_brought_the_composite_alone_is_drawn(layer: str, seen: str) -> None:
    spec = RerenderSpec(action="replace", layers=(layer,), donor=DonorLayer("d", layer, True))
    held = replace(spec, donor=None, plate=Plate("p", "ACEScg"), frozen=("shadow_02",))
    for each in (spec, held):
        parts = arrange(each, stack(*THREE), stack(*THREE) if each.donor else None)
        cast = Cast.of(parts, 1)
        assert cast.drawn == ("composite",)
        assert cast.foregrounds == (seen,)


def test_a_layer_keeps_its_own_noise_in_every_window() -> None:
    spec = RerenderSpec(action="regenerate", layers=("fg_03",))
    parts = arrange(spec, stack(*THREE), None)
    assert Cast.of(parts, 1).noise[2:] == ("foreground_03", "matte_03", "shadow_03")
    assert Cast.of(parts, 3).noise[8:] == ("foreground_03", "matte_03", "shadow_03")


def test_a_foreground_without_shadow_and_a_scene_without_foreground() -> None:
    spec = RerenderSpec(action="regenerate", layers=("bg",))
    bare = Cast.of(arrange(spec, stack("bg", "fg_01"), None), 1)
    assert bare.shadows == (None,)
    assert "shadow_01" in bare.frozen
    empty = Cast.of(arrange(spec, stack("bg"), None), 1)
    assert (empty.foregrounds, empty.below, empty.above) == ((), ("bg",), ())
    assert empty.drawn == ("composite", "background")
