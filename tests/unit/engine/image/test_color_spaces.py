from __future__ import annotations

from pathlib import Path

import PyOpenColorIO as ocio
import pytest

from fakes.ocio_configs import STUDIO
from layert2v_engine.errors import ColorError
from layert2v_engine.image.color import PINNED_CONFIG, UNKNOWN_ID, ColorConfig


@pytest.fixture(scope="module")
def pinned() -> ColorConfig:
    return ColorConfig.load()


@pytest.fixture
def studio(tmp_path: Path) -> ColorConfig:
    path = tmp_path / "studio.ocio"
    path.write_text(STUDIO)
    return ColorConfig.load(path)


@pytest.mark.parametrize(
    "name", ["ACEScg", "acescg", "ACES - ACEScg", "lin_ap1", "lin_ap1_scene", "scene_linear"]
)
def test_a_space_is_found_by_name_alias_interop_id_or_role(pinned: ColorConfig, name: str) -> None:
    found = pinned.find(name)
    assert (found.name, found.interop_id, found.linear) == ("ACEScg", "lin_ap1_scene", True)


@pytest.mark.parametrize(
    "name", ["sRGB - Texture", "Utility - sRGB - Texture", "srgb_tx", "srgb_rec709_scene"]
)
def test_all_names_of_srgb_texture_are_one_space(pinned: ColorConfig, name: str) -> None:
    assert pinned.find(name).interop_id == "srgb_rec709_scene"


def test_an_unknown_space_is_answered_with_near_names(pinned: ColorConfig) -> None:
    with pytest.raises(ColorError, match="Did you mean 'ACEScg'") as caught:
        pinned.find("ACESg")
    assert caught.value.reason == "COLORSPACE_UNKNOWN"


@pytest.mark.parametrize("name", ["srgb_rec709_scene", "ACEScct", "data"])
def test_layers_are_not_delivered_in_a_space_that_is_not_linear(
    pinned: ColorConfig, name: str
) -> None:
    with pytest.raises(ColorError) as caught:
        pinned.find_linear(name)
    assert caught.value.reason == "COLORSPACE_NOT_LINEAR"


def test_the_config_has_a_full_name_and_not_default(pinned: ColorConfig) -> None:
    """`ocio://default` means another config in every release of the library."""
    assert pinned.label == PINNED_CONFIG
    names = [each[0] for each in ocio.BuiltinConfigRegistry().getBuiltinConfigs()]
    assert PINNED_CONFIG in names


def test_the_environment_does_not_choose_the_config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "host.ocio"
    path.write_text(STUDIO)
    monkeypatch.setenv("OCIO", str(path))
    assert ColorConfig.load().find("ACEScg").interop_id == "lin_ap1_scene"


@pytest.mark.parametrize("source", ["/nowhere/show.ocio", "ocio://no-such-config"])
def test_a_config_that_cannot_be_read_is_a_clear_error(source: str) -> None:
    with pytest.raises(ColorError, match="cannot be read") as caught:
        ColorConfig.load(source)
    assert caught.value.reason == "CONFIG_UNREADABLE"


def test_a_file_that_is_no_config_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "broken.ocio"
    path.write_text("not a config")
    with pytest.raises(ColorError, match="cannot be read"):
        ColorConfig.load(path)


def test_an_older_builtin_config_without_ids_still_gives_ids() -> None:
    older = ColorConfig.load("ocio://cg-config-v1.0.0_aces-v1.3_ocio-v2.1")
    assert older.find("ACEScg").interop_id == "lin_ap1_scene"
    assert older.find("srgb_rec709_scene").name == "sRGB - Texture"


def test_a_standard_id_finds_the_studios_own_name(studio: ColorConfig) -> None:
    found = studio.find_linear("lin_ap1_scene")
    assert (found.name, found.interop_id) == ("Show Linear", "lin_ap1_scene")


def test_a_space_that_matches_no_standard_is_unknown_and_not_guessed(studio: ColorConfig) -> None:
    assert studio.find("Dimmed Linear").interop_id == UNKNOWN_ID


def test_the_spaces_of_a_config_can_be_listed(studio: ColorConfig) -> None:
    assert [each.name for each in studio.spaces()] == ["AP0", "Show Linear", "Dimmed Linear"]
