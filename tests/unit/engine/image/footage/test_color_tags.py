"""Color tags of files: followed through OpenColorIO, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageCms

from fakes.footage import (
    flat,
    rgba_planes,
    save_exr,
    save_oiio,
    save_png,
    save_video,
    sequence,
    srgb_to_linear,
)
from layert2v_engine.errors import ColorError, FootageError
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.footage.clip import open_clip
from layert2v_engine.image.footage.color_tags import (
    find_colorspace,
    tag_from_chromaticities,
    tag_from_numbers,
)

WORKING = "lin_rec709_scene"
D65 = (0.3127, 0.3290)
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65)
REC2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65)
P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *D65)
AP0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
# ACES2065-1 to linear Rec.709 with the Bradford adaptation, as the ACES documents print it.
AP0_TO_REC709 = np.array(
    [[2.52169, -1.13413, -0.38756], [-0.27648, 1.37272, -0.09624], [-0.01538, -0.15298, 1.16835]]
)


def to_xyz(primaries: tuple[float, ...]) -> np.ndarray:
    """Return the matrix to CIE XYZ, after SMPTE RP 177."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in np.reshape(primaries, (4, 2))]).T
    return columns[:, :3] * np.linalg.solve(columns[:, :3], columns[:, 3])


def to_rec709(primaries: tuple[float, ...], rgb: Any) -> np.ndarray:
    """Return linear light of other primaries with the same white as Rec.709."""
    return np.linalg.inv(to_xyz(REC709)) @ to_xyz(primaries) @ np.asarray(rgb, float)


def read_linear(path: Path, asked: str = "auto") -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the first pixel of a clip in linear Rec.709, and the notes."""
    config = ColorConfig.load()
    clip = open_clip(path)
    space, notes = find_colorspace(clip.info, path, asked, config, WORKING)
    rgb = next(iter(clip)).rgb[:, :1, :1]
    return config.transform(space, WORKING)(rgb)[:, 0, 0].numpy(), notes


@pytest.mark.parametrize(
    ("numbers", "primaries", "gamma", "label"),
    [
        ((9, 14), REC2020, 0, "BT.2020"),
        ((12, 13), P3, 0, "Display P3"),
        ((12, 1), P3, 0, "Display P3"),
        ((1, 8), REC709, 1.0, "linear Rec.709"),
        ((9, 8), REC2020, 1.0, "linear BT.2020"),
        ((1, 4), REC709, 2.2, "Rec.709 with gamma 2.2"),
        ((6, 6), (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *D65), 0, "BT.601 (525 lines)"),
    ],
)
def test_primaries_and_transfer_of_video_are_followed(
    tmp_path: Path, numbers: tuple[int, int], primaries: tuple[float, ...], gamma: float, label: str
) -> None:
    tags = {"color_primaries": numbers[0], "color_trc": numbers[1], "colorspace": 1}
    codes = (200, 60, 40)
    path = save_video(tmp_path / "a.mkv", [flat(codes)], "ffv1", "bgr0", tags=tags)
    seen, notes = read_linear(path)
    values = np.array(codes) / 255
    light = srgb_to_linear(values) if gamma == 0 else values**gamma
    np.testing.assert_allclose(seen, to_rec709(primaries, light), atol=2e-4)
    assert notes == (f"a.mkv is converted from {label}, as it says itself.",)


@pytest.mark.parametrize("numbers", [(0, 0), (2, 2), (1, 1), (1, 13), (2, 6), (1, 0)])
def test_untagged_and_rec709_video_is_srgb_and_needs_no_note(
    tmp_path: Path, numbers: tuple[int, int]
) -> None:
    tags = {"color_primaries": numbers[0] or 2, "color_trc": numbers[1] or 2}
    path = save_video(tmp_path / "a.mkv", [flat(128)], "ffv1", "bgr0", tags=tags)
    seen, notes = read_linear(path)
    np.testing.assert_allclose(seen, srgb_to_linear(128 / 255), atol=1e-4)
    assert notes == ()


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG"), (17, "transfer 17")])
def test_hdr_and_unknown_transfers_are_refused_by_name_and_can_be_asked_for(
    tmp_path: Path, transfer: int, name: str
) -> None:
    tags = {"color_trc": transfer, "color_primaries": 9}
    path = save_video(tmp_path / "a.mkv", [flat(128)], "ffv1", "bgr0", tags=tags)
    with pytest.raises(FootageError, match=rf"a\.mkv .*{name}"):
        open_clip(path)
    assert open_clip(path, colorspace="pq_rec2020_display").info.frames == 1


def test_a_pq_clip_that_is_asked_for_is_absolute_light(tmp_path: Path) -> None:
    """SMPTE ST 2084: code 0.5081 is 100 cd/m2, which OpenColorIO counts as 1."""
    path = save_video(tmp_path / "a.mkv", [flat(130)], "ffv1", "bgr0", tags={"color_trc": 16})
    config = ColorConfig.load()
    clip = open_clip(path, colorspace="pq_rec2020_display")
    space, _ = find_colorspace(clip.info, path, "pq_rec2020_display", config, WORKING)
    seen = config.transform(space, WORKING)(next(iter(clip)).rgb[:, :1, :1])
    code = (130 / 255) ** (1 / 78.84375)
    light = (max(code - 0.8359375, 0) / (18.8515625 - 18.6875 * code)) ** (1 / 0.1593017578125)
    assert seen.flatten().tolist() == pytest.approx([100 * light] * 3, rel=1e-3)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({"colorInteropID": "lin_ap0_scene"}, AP0_TO_REC709 @ (0.5, 0.2, 0.1)),
        ({"colorInteropID": "lin_ap0_scene", "chromaticities": AP0}, None),
        ({"chromaticities": AP0}, AP0_TO_REC709 @ (0.5, 0.2, 0.1)),
        ({"chromaticities": REC2020}, to_rec709(REC2020, (0.5, 0.2, 0.1))),
        ({"chromaticities": (0.7, 0.3, 0.2, 0.7, 0.14, 0.05, *D65)}, None),
        ({"colorInteropID": "unknown"}, np.array((0.5, 0.2, 0.1))),
        ({}, np.array((0.5, 0.2, 0.1))),
    ],
)
def test_exr_is_read_in_the_space_that_it_states(
    tmp_path: Path, header: dict[str, Any], expected: np.ndarray | None
) -> None:
    save_exr(rgba_planes((0.5, 0.2, 0.1)), np.float32, **header)(tmp_path / "a.exr")
    seen, notes = read_linear(tmp_path / "a.exr")
    if expected is None:
        primaries = header["chromaticities"]
        is_ap0 = primaries == AP0
        expected = (
            AP0_TO_REC709 @ (0.5, 0.2, 0.1) if is_ap0 else to_rec709(primaries, (0.5, 0.2, 0.1))
        )
    np.testing.assert_allclose(seen, expected, atol=5e-4)
    is_stated = set(header.values()) - {"unknown"}
    assert ("as it says itself" if is_stated else "does not say") in notes[0]


def test_the_id_goes_before_chromaticities_that_disagree(tmp_path: Path) -> None:
    save_exr(rgba_planes((0.5, 0.2, 0.1)), colorInteropID="lin_ap0_scene", chromaticities=REC709)(
        tmp_path / "a.exr"
    )
    info = open_clip(tmp_path / "a.exr").info
    assert info.color is not None
    assert info.color.name == "lin_ap0_scene"
    assert "the first counts" in info.notes[0]


def test_bright_and_negative_values_survive(tmp_path: Path) -> None:
    save_exr(rgba_planes((12.0, -0.25, 60000.0)), colorInteropID=WORKING)(tmp_path / "a.exr")
    seen, notes = read_linear(tmp_path / "a.exr")
    assert seen.tolist() == [12.0, -0.25, 60000.0]
    assert notes == ()


@pytest.mark.parametrize("where", ["file", "folder", "pattern"])
def test_file_folder_and_pattern_follow_one_rule(tmp_path: Path, where: str) -> None:
    save = save_exr(rgba_planes((0.18, 2.5, 0.05)), np.float32)
    folder = sequence(tmp_path / "s", save, name="p.{:04d}.exr")
    path = {"file": folder / "p.0001.exr", "folder": folder, "pattern": folder / "p.####.exr"}
    seen, _ = read_linear(path[where])
    np.testing.assert_allclose(seen, (0.18, 2.5, 0.05), rtol=1e-6)


def test_a_space_that_no_config_knows_is_refused_and_can_be_named(tmp_path: Path) -> None:
    save_exr(rgba_planes((0.5, 0.2, 0.1)), colorInteropID="studio:secret")(tmp_path / "a.exr")
    with pytest.raises(FootageError, match="studio:secret, which is not known") as caught:
        read_linear(tmp_path / "a.exr")
    assert "Name the color space" in caught.value.hint
    _, notes = read_linear(tmp_path / "a.exr", "ACEScg")
    assert "it is read as ACEScg, as was asked for" in notes[0]
    with pytest.raises(ColorError, match="ACEScgg is not in"):
        read_linear(tmp_path / "a.exr", "ACEScgg")


def test_an_icc_profile_of_display_p3_is_followed(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    as_p3 = profile.replace(
        "sRGB built-in".encode("utf-16-be"), "Display P3   ".encode("utf-16-be")
    )
    save_png(flat((200, 60, 40)), icc_profile=as_p3)(tmp_path / "a.png")
    save_png(flat((200, 60, 40)), icc_profile=profile)(tmp_path / "b.png")
    light = srgb_to_linear(np.array((200, 60, 40)) / 255)
    seen, notes = read_linear(tmp_path / "a.png")
    np.testing.assert_allclose(seen, to_rec709(P3, light), atol=2e-4)
    assert len(notes) == 1
    np.testing.assert_allclose(read_linear(tmp_path / "b.png")[0], light, atol=2e-4)


def test_logarithmic_dpx_is_refused_and_plain_dpx_is_srgb(tmp_path: Path) -> None:
    pixels = flat(128) / 255
    save_oiio(tmp_path / "log.dpx", pixels, "uint16", dpx__Transfer="Logarithmic")
    save_oiio(tmp_path / "a.dpx", pixels, "uint16")
    with pytest.raises(FootageError, match="is logarithmic DPX"):
        open_clip(tmp_path / "log.dpx")
    seen, _ = read_linear(tmp_path / "a.dpx")
    np.testing.assert_allclose(seen, srgb_to_linear(128 / 255), atol=1e-4)


def test_frames_of_several_spaces_are_refused(tmp_path: Path) -> None:
    for number, name in enumerate(("lin_ap0_scene", "lin_ap1_scene")):
        save_exr(rgba_planes((0.5, 0.2, 0.1)), colorInteropID=name)(tmp_path / f"a.{number}.exr")
    with pytest.raises(FootageError, match=r"a\.1\.exr says lin_ap1_scene .* says lin_ap0_scene"):
        open_clip(tmp_path)


def test_broken_chromaticities_count_as_none(tmp_path: Path) -> None:
    for number, values in enumerate(((0.0,) * 8, (0.3, 0.3) * 4, (float("nan"),) * 8)):
        path = tmp_path / f"{'abc'[number]}.exr"
        save_exr(rgba_planes((0.5, 0.2, 0.1)), chromaticities=values)(path)
        assert open_clip(path).info.color is None


def test_numbers_and_chromaticities_meet_in_the_same_names() -> None:
    linear = tag_from_numbers(9, 8)
    assert linear is not None
    assert tag_from_chromaticities(REC2020).name == linear.name == "lin_rec2020_scene"


@pytest.mark.parametrize(
    ("description", "expected"),
    [("sRGB", None), ("Adobe RGB (1998)", "g22_adobergb_scene"), ("ProPhoto RGB", None)],
)
def test_icc_profiles_of_other_spaces(
    tmp_path: Path, description: str, expected: str | None
) -> None:
    """Of one that is not followed there is a note: its colors are taken as sRGB."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    name = "sRGB built-in"
    padded = description[: len(name)].ljust(len(name)).encode("utf-16-be")
    save_png(flat(90), icc_profile=profile.replace(name.encode("utf-16-be"), padded))(
        tmp_path / "a.tif"
    )
    clip = open_clip(tmp_path / "a.tif")
    name, notes = find_colorspace(clip.info, clip.path, "auto", ColorConfig.load(), WORKING)
    assert name == (expected or "srgb_rec709_scene")
    said = " ".join((*clip.notes, *notes))
    assert ("ICC profile ProPhoto" in said) == (description == "ProPhoto RGB")
