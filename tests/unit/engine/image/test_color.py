"""Color spaces by name, and transforms against OCIO's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PyOpenColorIO as ocio
import pytest
import torch

from fakes.ocio_configs import STUDIO
from fakes.sample_stacks import gradient
from layert2v_engine.errors import ColorError
from layert2v_engine.image.color import PINNED_CONFIG, UNKNOWN_ID, ColorConfig

COMPILED = [
    ("srgb_rec709_scene", "lin_ap1_scene"),
    ("srgb_rec709_scene", "lin_rec709_scene"),
    ("srgb_rec709_scene", "lin_ap0_scene"),
    ("srgb_rec709_scene", "lin_rec2020_scene"),
    ("srgb_rec709_display", "lin_ap1_scene"),
    ("g24_rec709_display", "lin_ap1_scene"),
    ("g22_rec709_scene", "lin_ap1_scene"),
    ("lin_ap1_scene", "srgb_rec709_scene"),
    ("lin_ap1_scene", "lin_ap1_scene"),
]
THROUGH_OCIO = [
    ("ocio:arrilogc4_awg4_scene", "lin_ap1_scene"),
    ("srgb_rec709_scene", "ACEScct"),
    ("pq_rec2020_display", "lin_ap1_scene"),
]


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
    """``ocio://default`` means another config in every release of the library."""
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


def wide_values() -> torch.Tensor:
    """Return colors below black, ordinary ones and some far above white."""
    values = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    values[:, :8] = values[:, :8] * 0.05
    values[:, 8:12] -= 0.5
    values[:, 12:16] *= 16
    return values


@pytest.mark.parametrize(("source", "target"), COMPILED)
def test_compiled_color_is_ocios_own_within_a_half_ulp(
    pinned: ColorConfig, source: str, target: str
) -> None:
    convert = pinned.transform(source, target)
    assert convert.compiled
    result, expected = convert(wide_values()).half(), convert.apply_on_cpu(wide_values()).half()
    steps = result.view(torch.int16).int() - expected.view(torch.int16).int()
    near_zero = (result - expected).abs() < 1e-5
    assert bool(((steps.abs() <= 1) | near_zero).all())


@pytest.mark.parametrize(("source", "target"), THROUGH_OCIO)
def test_what_is_no_curve_and_matrix_falls_back_to_ocio(
    pinned: ColorConfig, source: str, target: str
) -> None:
    convert = pinned.transform(source, target)
    assert not convert.compiled
    assert torch.equal(convert(gradient()), convert.apply_on_cpu(gradient()))


def test_any_leading_dimensions_and_views_with_gaps_are_taken(pinned: ColorConfig) -> None:
    video = torch.rand(2, 5, 16, 24, 3).permute(0, 1, 4, 2, 3)[..., 1:-1]
    for target in ("lin_ap1_scene", "ACEScct"):
        convert = pinned.transform("srgb_rec709_scene", target)
        result = convert(video)
        assert result.shape == video.shape
        torch.testing.assert_close(result[1, 2], convert(video[1, 2].contiguous()))


def test_the_input_is_not_changed(pinned: ColorConfig) -> None:
    picture = gradient()
    pinned.transform("srgb_rec709_scene", "lin_ap1_scene").apply_on_cpu(picture)
    assert torch.equal(picture, gradient())


def test_white_stays_one_and_is_not_blown_up_through_a_view(pinned: ColorConfig) -> None:
    """Inverting the ACES view would make white 128 and soft edges explode."""
    white = torch.ones(3, 1, 1)
    for target in ("lin_rec709_scene", "lin_ap1_scene"):
        result = pinned.transform("srgb_rec709_scene", target)(white)
        torch.testing.assert_close(result, white, atol=2e-6, rtol=0)


def test_texture_and_display_srgb_are_the_same_numbers(pinned: ColorConfig) -> None:
    texture = pinned.transform("srgb_rec709_scene", "lin_ap1_scene")(gradient())
    display = pinned.transform("srgb_rec709_display", "lin_ap1_scene")(gradient())
    torch.testing.assert_close(texture, display, atol=1e-6, rtol=0)


def test_the_matrix_is_the_published_one(pinned: ColorConfig) -> None:
    result = pinned.transform("lin_rec709_scene", "lin_ap1_scene")(torch.eye(3)[:, :, None])[..., 0]
    expected = torch.tensor(
        [
            [0.6130974, 0.3395231, 0.0473795],
            [0.0701937, 0.9163539, 0.0134524],
            [0.0206156, 0.1095698, 0.8698146],
        ]
    )
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=0)


def test_the_curve_is_close_to_the_rounded_standard(pinned: ColorConfig) -> None:
    """OCIO joins toe and power at 0.0393 and not at 0.04045: at most 2.5e-4 apart."""
    code = np.linspace(0.0, 1.0, 4096)
    iec = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    picture = torch.tensor(code, dtype=torch.float32).expand(3, 1, -1)
    result = pinned.transform("srgb_rec709_scene", "lin_rec709_scene")(picture)[0, 0].numpy()
    assert np.all(np.abs(result - iec) <= 2.6e-4 * np.maximum(iec, 1e-4) + 1e-7)


def test_half_precision_input_is_widened_before_the_curve(pinned: ColorConfig) -> None:
    convert = pinned.transform("srgb_rec709_scene", "lin_ap1_scene")
    coarse = gradient().half()
    assert convert(coarse).dtype == torch.float32
    assert torch.equal(convert(coarse), convert(coarse.float()))


def test_a_host_config_without_srgb_is_joined_through_the_interchange_role(
    tmp_path: Path, pinned: ColorConfig
) -> None:
    path = tmp_path / "studio.ocio"
    path.write_text(STUDIO)
    studio = ColorConfig.load(path)
    result = studio.transform("srgb_rec709_scene", "Show Linear")(gradient())
    expected = pinned.transform("srgb_rec709_scene", "lin_ap1_scene")(gradient())
    torch.testing.assert_close(result, expected, atol=1e-6, rtol=0)


@pytest.fixture
def coarse_matmul() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("coarse_matmul")
def test_color_keeps_its_precision_where_the_model_gave_it_up(pinned: ColorConfig) -> None:
    convert = pinned.transform("srgb_rec709_scene", "lin_ap1_scene")
    torch.testing.assert_close(
        convert(gradient()), convert.apply_on_cpu(gradient()), atol=1e-6, rtol=0
    )


@pytest.mark.gpu
def test_color_on_cuda_is_color_on_the_cpu(pinned: ColorConfig) -> None:
    for source, target in COMPILED:
        convert = pinned.transform(source, target)
        result = convert(wide_values().cuda())
        assert result.is_cuda
        torch.testing.assert_close(result.cpu(), convert(wide_values()), atol=2e-6, rtol=8e-6)


def test_an_unknown_source_is_a_clear_error(pinned: ColorConfig) -> None:
    with pytest.raises(ColorError, match="not in studio-config"):
        pinned.transform("no such space", "lin_ap1_scene")
