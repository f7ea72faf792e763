"""Names of color spaces in Nuke and in stacks."""

from __future__ import annotations

import pytest

from fakes.fake_nuke.app import OCIO_SPACES
from layert2v_nuke.graph import colorspaces
from layert2v_nuke.graph.colorspaces import choose_colorspace


@pytest.mark.parametrize(
    ("management", "config", "working", "space"),
    [
        ("Nuke", "nuke-default", "linear", "lin_rec709_scene"),
        ("OCIO", "aces_1.2", "scene_linear", "lin_ap1_scene"),
        ("OCIO", "fn-nuke_cg-config-v1.0.0_aces-v1.3_ocio-v2.1", "scene_linear", "lin_ap1_scene"),
        ("OCIO", "nuke-default", "scene_linear", "lin_rec709_scene"),
        ("OCIO", "custom", "ACES - ACEScg", "lin_ap1_scene"),
        ("OCIO", "custom", "scene_linear", ""),
    ],
)
def test_the_working_space_of_a_project(
    management: str, config: str, working: str, space: str
) -> None:
    assert colorspaces.working_space(management, config, working) == space


@pytest.mark.parametrize(
    ("space", "offered", "name"),
    [
        ("lin_rec709_scene", ("linear", "sRGB"), "linear"),
        ("lin_rec709_scene", OCIO_SPACES, "Utility - Linear - sRGB"),
        ("lin_ap1_scene", OCIO_SPACES, "ACES - ACEScg"),
        ("lin_ap1_scene", ("ACEScg\tcolor space/ACES/ACEScg", "lin_ap1_scene"), "lin_ap1_scene"),
        ("lin_ap1_scene", ("linear", "sRGB"), ""),
    ],
)
def test_a_read_s_color_space(space: str, offered: tuple[str, ...], name: str) -> None:
    chosen = choose_colorspace(space, offered)
    assert chosen.name == name
    assert bool(chosen.note) == (name == "")


def test_a_space_that_is_not_offered_is_raw_and_the_nearest_is_named_with_its_error() -> None:
    offered = ("linear", "ACEScg", "sRGB")
    chosen = choose_colorspace("lin_p3d65_scene", offered)
    assert chosen.name == ""
    assert chosen.note.startswith("raw: Linear P3-D65 is not offered by this project; nearest: ")
    assert chosen.note.endswith("linear, off by up to 33 (CIE 1976)")


def test_the_nearest_space_is_taken_where_that_is_chosen_with_its_error_in_words() -> None:
    chosen = choose_colorspace("lin_p3d65_scene", ("linear", "ACEScg", "sRGB"), nearest=True)
    assert chosen.name == "linear"
    assert chosen.note == (
        "Linear P3-D65 is not offered by this project; taken as linear, off by up to 33 (CIE 1976)"
    )
    assert choose_colorspace("lin_ap1_scene", ("ACEScg",), nearest=True).note == ""
    assert choose_colorspace("unknown", ("linear",), nearest=True).name == ""


def test_the_role_of_the_working_space_names_it() -> None:
    offered = ("scene_linear\tRoles/scene_linear (Studio Linear)", "Studio Linear")
    assert (
        choose_colorspace("lin_ap1_scene", offered, working="lin_ap1_scene").name == "scene_linear"
    )
    assert choose_colorspace("lin_ap1_scene", offered, working="lin_rec709_scene").name == ""


@pytest.mark.parametrize("nearest", [True, False])
def test_what_is_not_offered_is_converted_to_a_working_space_that_is_known(nearest: bool) -> None:
    offered = ("linear", "sRGB")
    chosen = choose_colorspace(
        "lin_p3d65_scene", offered, working="lin_rec709_scene", nearest=nearest
    )
    assert chosen.name == ""
    assert chosen.note == (
        "Linear P3-D65 is not offered by this project; converted to Linear Rec.709 (sRGB) by a "
        "matrix"
    )
    assert chosen.matrix[0] == pytest.approx((1.2249, -0.2249, 0.0), abs=1e-4)
    for unknown in ("unknown", "my_camera"):
        assert choose_colorspace(unknown, offered, working="lin_rec709_scene").matrix == ()


def test_raw_pixels_of_the_working_space_need_no_matrix() -> None:
    chosen = choose_colorspace("lin_ap1_scene", ("mine",), working="lin_ap1_scene")
    assert (chosen.name, chosen.matrix) == ("", ())
    assert chosen.note == "raw: ACEScg is the working space of this project"
