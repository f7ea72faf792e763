"""Names of color spaces: every configuration's own, and never another space."""

from __future__ import annotations

import PyOpenColorIO as ocio
import pytest

from layert2v_blender.colorspaces import (
    ColorspaceNotFound,
    Offer,
    describe_conversion,
    describe_nearest,
    find_image_colors,
    find_linear,
    find_name,
    identify_working_space,
    is_linear_name,
)

CONFIGS = (
    "cg-config-v1.0.0_aces-v1.3_ocio-v2.1",
    "cg-config-v2.1.0_aces-v1.3_ocio-v2.3",
    "studio-config-v2.1.0_aces-v1.3_ocio-v2.3",
    "studio-config-v4.0.0_aces-v2.0_ocio-v2.5",
)
SPACES = ("lin_rec709_scene", "lin_ap1_scene", "lin_ap0_scene", "lin_rec2020_scene")
LACKING = Offer(["Linear Rec.709", "ACEScg", "Raw"])


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("space", SPACES)
def test_the_found_name_means_the_space(name: str, space: str) -> None:
    """OpenColorIO's own processor between both is no change at all."""
    config = ocio.Config.CreateFromBuiltinConfig(name)
    found = find_name(space, Offer(list(config.getColorSpaceNames())))
    pinned = ocio.Config.CreateFromBuiltinConfig(CONFIGS[-1])
    processor = ocio.Config.GetProcessorFromConfigs(pinned, space, config, found)
    seen = processor.getDefaultCPUProcessor().applyRGB([0.2, 0.5, 4.0])
    assert seen == pytest.approx([0.2, 0.5, 4.0], rel=1e-4)


def test_a_space_that_is_not_offered_is_never_another() -> None:
    with pytest.raises(ColorspaceNotFound, match="Linear DCI-P3 D65, which Blender's") as caught:
        find_name("lin_p3d65_scene", LACKING)
    assert "The nearest that it offers is Linear Rec.709, in which colors" in str(caught.value)
    with pytest.raises(ColorspaceNotFound, match="unknown"):
        find_name("unknown", Offer(["Linear Rec.709"]), nearest=True)


def test_a_render_takes_the_first_linear_space_that_is_offered() -> None:
    assert find_linear(Offer(["Raw", "ACEScg"])) == ("lin_ap1_scene", "ACEScg")
    assert find_linear(Offer(["ACEScg", "Linear Rec.709 (sRGB)"]))[0] == "lin_rec709_scene"
    with pytest.raises(ColorspaceNotFound):
        find_linear(Offer(["Raw", "sRGB"]))


def test_linear_names_are_known() -> None:
    assert is_linear_name("Linear Rec.709 (sRGB)")
    assert not is_linear_name("sRGB")


def test_the_nearest_space_is_taken_where_that_is_chosen_with_its_error_in_words() -> None:
    assert find_name("lin_p3d65_scene", LACKING, nearest=True) == "Linear Rec.709"
    words = "Linear Rec.709, in which colors are off by up to 33 (CIE 1976 difference)"
    assert describe_nearest("lin_p3d65_scene", LACKING) == words
    assert find_name("lin_ap1_scene", LACKING, nearest=True) == "ACEScg"
    assert describe_nearest("lin_ap1_scene", LACKING) == ""


def test_a_working_space_of_another_name_is_known_by_its_colors() -> None:
    offer = Offer(["Studio Linear", "Linear Rec.709"], ("Studio Linear", "lin_ap1_scene"))
    assert find_name("lin_ap1_scene", offer) == "Studio Linear"
    with pytest.raises(ColorspaceNotFound):
        find_name("lin_ap0_scene", offer)


@pytest.mark.parametrize("nearest", [True, False])
def test_nodes_convert_to_a_working_space_that_is_known(nearest: bool) -> None:
    offer = Offer(["Studio Linear", "Linear Rec.709"], ("Studio Linear", "lin_ap1_scene"))
    colors = find_image_colors("lin_p3d65_scene", offer, nearest=nearest)
    assert colors.name == "Studio Linear"
    red = [row[0] for row in colors.matrix]
    assert red == pytest.approx([0.7358, 0.0471, 0.0036], abs=2e-4)
    assert "convert it to Studio Linear by a matrix" in describe_conversion(
        "lin_p3d65_scene", offer
    )
    for space in ("lin_ap1_scene", "lin_rec709_scene", "unknown"):
        assert describe_conversion(space, offer) == ""
    assert find_image_colors("lin_ap1_scene", offer) == ("Studio Linear", ())


def test_without_a_known_working_space_the_nearest_has_to_be_chosen() -> None:
    for offer in (
        LACKING,
        Offer(LACKING.names, ("Raw", "")),
        Offer(LACKING.names, ("gone", SPACES[0])),
    ):
        with pytest.raises(ColorspaceNotFound):
            find_image_colors("lin_p3d65_scene", offer)
        assert find_image_colors("lin_p3d65_scene", offer, nearest=True) == ("Linear Rec.709", ())


@pytest.mark.parametrize("space", [*SPACES, "lin_p3d65_scene", "lin_ciexyzd65_scene"])
def test_the_colors_of_a_working_space_are_those_that_ocio_computes(space: str) -> None:
    config = ocio.Config.CreateFromBuiltinConfig(CONFIGS[-1])
    convert = config.getProcessor(space, "lin_rec709_scene").getDefaultCPUProcessor()
    primaries = [convert.applyRGB([float(k == axis) for k in range(3)]) for axis in range(3)]
    assert identify_working_space(primaries) == ("" if "xyz" in space else space)
