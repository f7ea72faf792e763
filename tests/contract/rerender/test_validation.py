"""Rules of requests to change a stack: what is refused, with which words, and the defaults."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fakes.rerender_examples import (
    DONOR,
    FOX,
    MINI,
    NEW,
    PLATE,
    STACK,
    violations,
    with_owl,
)
from layert2v import rerender
from layert2v.limits import MAX_SEED
from layert2v.rerender import (
    DonorLayer,
    Plate,
    RerenderSpec,
    affected_layers,
    validate_donor,
)
from layert2v.spec import ModelInfo


def resolve(spec: RerenderSpec, model: ModelInfo | None, seed: int) -> RerenderSpec:
    affected = affected_layers(spec, STACK)
    return rerender.resolve_rerender(spec, STACK, affected, model, seed)


def test_a_model_that_generates_ref_says_which_numbers_it_takes() -> None:
    wrong = replace(PLATE, steps=101)
    assert [found.field for found in violations(wrong, STACK, MINI)] == ["steps"]
    assert violations(wrong, STACK, None) == []


def test_a_new_order_needs_no_model() -> None:
    upside_down = RerenderSpec("reorder", ("bg", "fg_02", "fg_01"))
    assert violations(upside_down, with_owl(), None) == []


WRONG: list[tuple[RerenderSpec, str, str]] = [
    (RerenderSpec("paint", ("bg",)), "action", "one of: regenerate"),
    (RerenderSpec("regenerate", ()), "layers", "at least one"),
    (RerenderSpec("regenerate", ("bg", "bg")), "layers", "each layer once"),
    (RerenderSpec("regenerate", ("fg_02",)), "layers", "no layer 'fg_02'; there are: bg, shadow_"),
    (replace(FOX, frozen=("fg_07",)), "frozen", "no layer 'fg_07'"),
    (replace(FOX, frozen=("fg_01",)), "frozen", "frozen and changed"),
    (replace(FOX, above="bg"), "above", "Only a new layer"),
    (replace(FOX, prompts={"bg": "snow"}), "prompts[bg]", "generated layers are: fg_01, shadow_01"),
    (replace(PLATE, layers=("ref",)), "layers", "no layer 'ref'"),
    (RerenderSpec("regenerate", ("ref",), prompts={"ref": "x"}), "prompts[ref]", "are: none"),
    (replace(FOX, prompts={"fg_01": " "}), "prompts[fg_01]", "say something"),
    (replace(FOX, prompts={"fg_01": "x" * 2001}), "prompts[fg_01]", "at most 2000"),
    (replace(FOX, masks={"bg": "m"}), "masks[bg]", "takes no mask"),
    (replace(FOX, masks={"fg_01": "../x"}), "inputs", "lower-case letters"),
    (replace(FOX, at=2), "at", "no state v002; the newest is v001"),
    (replace(FOX, at=-1), "at", "no state"),
    (replace(FOX, seed=MAX_SEED + 1), "seed", "between 0"),
    (replace(FOX, strength=0.0), "strength", "above 0"),
    (replace(FOX, strength=float("nan")), "strength", "above 0"),
    (replace(FOX, steps=101), "steps", "between 1 and 100"),
    (replace(FOX, guidance=21.0), "guidance", "between 0 and 20"),
    (replace(FOX, guidance=float("nan")), "guidance", "finite"),
    (replace(FOX, plate=PLATE.plate), "plate", "regenerate takes no pictures"),
    (RerenderSpec("replace", ("bg",)), "plate", "either a plate or"),
    (replace(PLATE, donor=DONOR.donor), "plate", "either a plate or"),
    (replace(NEW, plate=PLATE.plate, donor=DONOR.donor), "plate", "not both"),
    (replace(PLATE, layers=("shadow_01",)), "layers", "Exactly one background or foreground"),
    (replace(PLATE, layers=("bg", "fg_01")), "layers", "Exactly one"),
    (replace(PLATE, plate=Plate("mine", "ACEScg", alpha="none")), "plate.alpha", "premultiplied"),
    (replace(PLATE, plate=Plate("mine", "ACEScg", fit="crop")), "plate.fit", "exact, fit"),
    (replace(PLATE, plate=Plate("mine", "")), "plate.colorspace", "which color space"),
    (replace(PLATE, strength=0.5), "strength", "generated again"),
    (replace(NEW, layers=("owl",)), "layers", "must be called fg_02"),
    (replace(NEW, prompts={}), "prompts[fg_02]", "Write a prompt"),
    (replace(NEW, above="shadow_01"), "above", "choose from: bg, fg_01"),
    (replace(NEW, masks={"fg_02": "m"}), "masks[fg_02]", "takes no mask"),
    (RerenderSpec("remove", ("bg",)), "layers", "cannot be removed"),
    (RerenderSpec("reorder", ("fg_01",)), "layers", "from bottom to top: bg, fg_01"),
    (RerenderSpec("reorder", ("fg_01", "bg")), "layers", "stays at the bottom"),
    (RerenderSpec("reorder", ("bg", "fg_01")), "layers", "in this order already"),
]


@pytest.mark.parametrize(("spec", "field", "words"), WRONG)
def test_one_wrong_field_one_sentence(spec: RerenderSpec, field: str, words: str) -> None:
    (found,) = violations(spec, STACK, MINI)
    assert found.field == field
    assert words in found.message


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (None, "'mini' is not here"),
        (
            replace(MINI, abilities=("video_to_layers",)),
            "cannot generate layers; name a model that can",
        ),
        (replace(MINI, width_range=(128, 256)), "cannot generate 96 x 64 pixels and 2 frames"),
        (replace(MINI, size_step=64), "which the stack has; name a model that can, such as"),
        (replace(MINI, frames_step=4), "cannot generate 96 x 64 pixels and 2 frames"),
    ],
)
def test_a_model_that_cannot(model: ModelInfo | None, words: str) -> None:
    (found,) = violations(FOX, STACK, model)
    assert (found.field, words in found.message) == ("model", True)
    assert violations(PLATE, STACK, model) == []


def test_a_model_with_fewer_foregrounds_changes_one_after_another() -> None:
    small, stack = replace(MINI, max_foregrounds=1), with_owl()
    for layers in (("fg_01",), ("fg_02",), ("shadow_02",), ("bg",), ("bg", "fg_01")):
        assert violations(RerenderSpec("regenerate", layers), stack, small) == []
    for layers in (("fg_01", "fg_02"), ("bg", "fg_02"), ("fg_01", "shadow_02")):
        (found,) = violations(RerenderSpec("regenerate", layers), stack, small)
        assert "one after another" in found.message


@pytest.mark.parametrize(
    ("donor", "field", "words"),
    [
        (
            DonorLayer("other", "fg_09"),
            "donor.layer",
            "has no layer 'fg_09'; it has: bg, shadow_01",
        ),
        (DonorLayer("other", "bg"), "donor.layer", "must be a foreground, but bg is a background"),
        (DonorLayer("other", "fg_01", with_shadow=True), "donor.with_shadow", "has no shadow"),
    ],
)
def test_a_donor_that_cannot_give(donor: DonorLayer, field: str, words: str) -> None:
    bare = replace(STACK, layers=(STACK.layers[0], STACK.layers[2]))
    other = bare if donor.with_shadow else STACK
    (found,) = validate_donor(replace(DONOR, donor=donor), STACK, other)
    assert (found.field, words in found.message) == (field, True)
    assert validate_donor(DONOR, STACK, STACK) == validate_donor(FOX, STACK, STACK) == []


def test_resolve_fills_every_default_and_keeps_what_was_given() -> None:
    full = resolve(replace(FOX, guidance=0.0), MINI, seed=11)
    assert (full.at, full.model, full.seed, full.steps, full.guidance) == (1, "mini", 11, 30, 0.0)
    assert resolve(replace(full, seed=0), MINI, seed=11).seed == 0
    plate = resolve(PLATE, None, seed=11)
    assert (plate.steps, plate.seed) == (0, None)  # nothing is generated
    assert resolve(PLATE, MINI, seed=11).seed == 11  # ref is
