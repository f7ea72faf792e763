"""Plates, layers of other stacks and masks: against OCIO and OIIO themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
import PyOpenColorIO as ocio
import pytest
import torch

from fakes.sample_stacks import write_stack
from layert2v.stack import Role, StackFormat, read
from layert2v_engine.errors import ColorError, FootageError
from layert2v_engine.image import exr
from layert2v_engine.image.color import PINNED_CONFIG
from layert2v_engine.stack.pixel_sources import (
    DonorSource,
    Fit,
    MaskSource,
    PlateSource,
    blend_masked,
)

FORMAT = StackFormat(
    name="shot",
    width=12,
    height=8,
    pixel_aspect=1.0,
    fps=24.0,
    start_frame=1001,
    frames=3,
    colorspace="lin_rec709_scene",
)
LARGE = replace(FORMAT, width=24, height=16)


def picture(seed: int = 0, height: int = 8, width: int = 12, channels: int = 4) -> np.ndarray:
    values = np.random.default_rng(seed).random((height, width, channels))
    return values.astype(np.float32)


def save(path: Path, pixels: np.ndarray, kind: str = "half", **attributes: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], kind)
    for name, value in attributes.items():
        spec.attribute(name.replace("__", ":"), value)
    out = oiio.ImageOutput.create(str(path))
    assert out.open(str(path), spec), out.geterror()
    assert out.write_image(np.ascontiguousarray(pixels)), out.geterror()
    out.close()
    return path


def convert(rgb: np.ndarray, source: str, target: str = "lin_rec709_scene") -> np.ndarray:
    """Return colors that OCIO's own processor converted."""
    config = ocio.Config.CreateFromBuiltinConfig(PINNED_CONFIG)
    cpu = config.getProcessor(source, target).getDefaultCPUProcessor()
    out = np.ascontiguousarray(rgb, np.float32).copy()
    cpu.applyRGB(out)
    return out


def plate(folder: Path, role: Role = Role.foreground, **options: Any) -> PlateSource:
    return PlateSource(folder, FORMAT, role, **{"colorspace": "lin_rec709_scene"} | options)


def test_half_pixels_in_the_space_of_the_stack_are_delivered_to_the_bit(tmp_path: Path) -> None:
    pixels = (picture() * 4 - 1).astype(np.float16)
    pixels[..., 3] = picture(1)[..., 3]
    pixels[0, 0] = (0.5, 0.2, 0.1, 0.0)  # light without coverage
    save(tmp_path / "p" / "a.exr", pixels)
    assert np.array_equal(plate(tmp_path / "p").frame(2).numpy(), pixels)


@pytest.mark.parametrize("space", ["ACEScg", "ACEScct", "srgb_rec709_scene"])
@pytest.mark.parametrize("alpha", ["premultiplied", "straight", "opaque"])
def test_a_plate_goes_through_ocio(tmp_path: Path, space: str, alpha: str) -> None:
    pixels = picture()
    pixels[..., 3] = pixels[..., 3] * 0.9 + 0.1
    if alpha == "premultiplied":
        pixels[..., :3] *= pixels[..., 3:]
    save(tmp_path / "p" / "a.exr", pixels, "float")
    result = plate(tmp_path / "p", colorspace=space, alpha=alpha).frame(0).float().numpy()
    coverage = pixels[..., 3:] if alpha != "opaque" else np.ones_like(pixels[..., 3:])
    straight = pixels[..., :3] / (coverage if alpha == "premultiplied" else 1.0)
    expected = convert(straight, space) * coverage
    np.testing.assert_allclose(result[..., :3], expected, rtol=2e-3, atol=2e-4)
    np.testing.assert_allclose(result[..., 3:], coverage, rtol=1e-3)


def test_png_keeps_its_straight_color(tmp_path: Path) -> None:
    """OIIO would multiply it with alpha on reading."""
    pixels = np.full((8, 12, 4), 255, np.uint8)
    pixels[..., 3] = 128
    save(tmp_path / "p" / "a.png", pixels, "uint8", oiio__UnassociatedAlpha=1)
    result = plate(tmp_path / "p", colorspace="srgb_rec709_scene", alpha="straight").frame(0)
    assert result[0, 0].tolist() == pytest.approx([128 / 255] * 4, abs=1e-3)


def test_a_background_plate_is_opaque(tmp_path: Path) -> None:
    save(tmp_path / "p" / "a.exr", picture())
    result = plate(tmp_path / "p", Role.background).frame(0)
    assert (result[..., 3] == 1).all()


def test_one_picture_is_held_and_more_than_needed_are_cut(tmp_path: Path) -> None:
    save(tmp_path / "one" / "a.exr", picture())
    assert plate(tmp_path / "one").note.endswith("its one frame held")
    for number in range(5):
        save(tmp_path / "five" / f"a{number}.exr", picture(number))
    five = plate(tmp_path / "five")
    assert five.note.endswith("cut from 5 to 3 frames")
    assert torch.equal(five.frame(2)[..., 0], torch.from_numpy(picture(2))[..., 0].half())


@pytest.mark.parametrize(
    ("names", "shape", "sentence"),
    [
        ((), (8, 12, 4), "plate has no frames"),
        (("a", "b"), (8, 12, 4), "no sequence: a.exr and b.exr"),
        (("a1", "a3"), (8, 12, 4), "A frame is missing between a1.exr and a3.exr"),
        (("a1", "a2"), (8, 12, 4), "has 2 frames, but the stack has 3"),
        (("a",), (9, 12, 4), "12 x 9 pixels, but the stack is 12 x 8"),
        (("a",), (8, 12, 2), "not R, G, B"),
    ],
)
def test_a_plate_that_does_not_fit_is_reported(
    tmp_path: Path, names: tuple[str, ...], shape: tuple[int, int, int], sentence: str
) -> None:
    for name in names:
        save(tmp_path / "p" / f"{name}.exr", picture(0, *shape))
    with pytest.raises(FootageError, match=sentence):
        plate(tmp_path / "p").frame(0)


def test_an_unknown_space_and_a_broken_file_are_reported(tmp_path: Path) -> None:
    save(tmp_path / "p" / "a.exr", picture())
    with pytest.raises(ColorError, match="ACEScgg is not in"):
        plate(tmp_path / "p", colorspace="ACEScgg")
    (tmp_path / "p" / "a.exr").write_bytes(b"not a picture")
    with pytest.raises(FootageError, match="cannot be used as a picture"):
        plate(tmp_path / "p")


@pytest.mark.parametrize(
    ("role", "size", "scaled"),
    [
        (Role.background, (24, 8, 1.0), (24, 8)),
        (Role.foreground, (24, 8, 1.0), (12, 4)),
        (Role.foreground, (6, 8, 2.0), (12, 8)),
        (Role.background, (120, 81, 1.0), (12, 8)),
    ],
)
def test_a_fit_keeps_shapes(
    role: Role, size: tuple[int, int, float], scaled: tuple[int, int]
) -> None:
    source = replace(FORMAT, width=size[0], height=size[1], pixel_aspect=size[2])
    fit = Fit.compute(source, (12, 8), 1.0, role)
    assert fit.scaled == scaled
    result = fit.apply(torch.ones(size[1], size[0], 4))
    assert result.shape == (8, 12, 4)
    covered = result[..., 3] == 1
    assert covered.all() if role is Role.background else covered.sum() == scaled[0] * scaled[1]


def test_the_filter_is_the_one_that_is_stated() -> None:
    pixels = torch.from_numpy(picture(3, 16, 24))
    fit = Fit.compute(LARGE, (12, 8), 1.0, Role.foreground)
    assert fit.note == "scaled from 24 x 16 to 12 x 8 with lanczos3 and centred"
    source = oiio.ImageBuf(pixels.numpy())
    region = oiio.ROI(0, 12, 0, 8, 0, 1, 0, 4)
    expected = oiio.ImageBufAlgo.resize(source, filtername="lanczos3", roi=region).get_pixels()
    assert np.array_equal(fit.apply(pixels).numpy(), expected)  # nothing overshoots here


def test_a_scaled_edge_does_not_ring() -> None:
    pixels = torch.zeros(16, 24, 4)
    pixels[:, 12:] = 1
    result = Fit.compute(LARGE, (12, 8), 1.0, Role.foreground).apply(pixels)
    assert (result.min(), result.max()) == (0, 1)


def test_a_scaled_layer_shines_only_where_it_covers() -> None:
    pixels = torch.from_numpy(picture(4, 16, 24))
    pixels[:, :12, 3] /= 1000
    pixels[:, 12:] = 0
    fit = Fit.compute(LARGE, (12, 8), 1.0, Role.foreground)
    result = fit.apply(pixels)
    assert (result[..., :3].half()[result[..., 3].half() == 0] == 0).all()
    pixels[3, 20] = torch.tensor([5.0, 5.0, 5.0, 0.0])  # a spark has no coverage
    result = fit.apply(pixels)
    assert result[..., 0][result[..., 3] == 0].max() > 0.5


def test_a_layer_of_the_same_format_is_taken_to_the_bit(tmp_path: Path) -> None:
    other = write_stack(tmp_path / "other", frames=3)
    source = DonorSource(tmp_path / "other", other, other.layer("fg_01"), other)
    stored = exr.read(tmp_path / "other" / other.layer("fg_01").files[1].path)
    assert source.unchanged
    assert torch.equal(source.frame(1), stored)


def test_a_layer_of_another_size_and_space_is_fitted(tmp_path: Path) -> None:
    other = write_stack(tmp_path / "other", frames=4, colorspace="lin_ap1_scene")
    other = read(tmp_path / "other")
    source = DonorSource(tmp_path / "other", other, other.layer("bg"), FORMAT)
    assert not source.unchanged
    assert source.note == (
        "bg of small, from lin_ap1_scene to lin_rec709_scene, scaled from 28 x 18 to 12 x 8 with "
        "lanczos3 and centred, cut from 4 to 3 frames"
    )
    stored = exr.read(tmp_path / "other" / other.layer("bg").files[0].path).float().numpy()
    expected = convert(stored[..., :3], "ACEScg").mean((0, 1))
    np.testing.assert_allclose(source.frame(0)[..., :3].mean((0, 1)), expected, rtol=0.05)


def test_white_keeps_the_old_pixels_to_the_bit_and_black_the_new(tmp_path: Path) -> None:
    mask = np.zeros((8, 12, 3), np.uint8)
    mask[:, :4] = 255
    save(tmp_path / "m" / "a.png", mask, "uint8")
    source = MaskSource(tmp_path / "m", FORMAT, "bg")
    old, new = (torch.from_numpy(picture(seed)).half() for seed in (0, 1))
    blended = blend_masked(old, new, source.soft_mask(1))
    assert torch.equal(blended[:, :4], old[:, :4])
    assert torch.equal(blended[:, 8:], new[:, 8:])
    share = ((blended - new).float() / (old - new).float())[:, 4:8].median(0).values.mean(-1)
    assert share.tolist() == sorted(
        share.tolist(), reverse=True
    )  # a soft way from one to the other


def test_a_mask_of_another_size_is_reported(tmp_path: Path) -> None:
    save(tmp_path / "m" / "a.png", np.zeros((8, 13, 1), np.uint8), "uint8")
    with pytest.raises(FootageError, match="mask of bg is 13 x 8 pixels"):
        MaskSource(tmp_path / "m", FORMAT, "bg")


def auto_plate(folder: Path, role: Role = Role.foreground, **options: Any) -> PlateSource:
    """Return a plate that is read as its files say."""
    return PlateSource(folder, FORMAT, role, **options)


@pytest.mark.parametrize(
    ("name", "kind", "attributes", "words"),
    [
        ("a.exr", "float", {}, "a.exr does not say its color space; it is taken"),
        ("a.exr", "float", {"colorInteropID": "lin_ap1_scene"}, "plate in ACEScg, premultiplied"),
        ("a.png", "uint16", {}, "plate in sRGB Encoded Rec.709 (sRGB), straight alpha"),
        ("a.tif", "uint16", {"oiio__UnassociatedAlpha": 1}, "straight alpha"),
        ("a.tif", "uint16", {}, "premultiplied alpha"),
    ],
)
def test_a_plate_is_read_as_its_files_say(
    tmp_path: Path, name: str, kind: str, attributes: dict[str, Any], words: str
) -> None:
    save(tmp_path / "p" / name, picture(), kind, **attributes)
    assert words in auto_plate(tmp_path / "p").note


def test_a_straight_png_plate_is_right_to_half_a_code(tmp_path: Path) -> None:
    pixels = np.full((8, 12, 4), 150 / 255, np.float32)
    pixels[..., 3] = np.linspace(0, 1, 12)
    save(tmp_path / "p" / "a.png", pixels, "uint16", oiio__UnassociatedAlpha=1)
    expected = ((150 / 255 + 0.055) / 1.055) ** 2.4 * pixels[..., 3]
    result = auto_plate(tmp_path / "p").frame(0).float().numpy()
    np.testing.assert_allclose(result[..., 0], expected, atol=2e-3)


def test_a_nan_does_not_blacken_a_fitted_plate(tmp_path: Path) -> None:
    large = np.full((16, 24, 4), 0.5, np.float32)
    large[5, 5, :3] = np.nan
    save(tmp_path / "p" / "a.exr", large, "float")
    source = auto_plate(tmp_path / "p", Role.background, fit=True)
    result = source.frame(0)
    assert torch.equal(result[..., :3], torch.full((8, 12, 3), 0.5).half())
    assert "(NaN, infinite) are repaired from beside them: a.exr." in source.note


def test_bright_values_survive_a_fit_and_too_bright_ones_are_clamped_with_a_note(
    tmp_path: Path,
) -> None:
    large = np.full((16, 24, 4), 12.0, np.float32)
    large[..., 3] = 1.0
    save(tmp_path / "p" / "a.exr", large, "float")
    source = auto_plate(tmp_path / "p", fit=True)
    assert source.frame(0)[..., 0].unique().tolist() == [12.0]
    assert "clamped" not in source.note
    large[0, 0, 0] = 1e6
    save(tmp_path / "q" / "a.exr", large, "float")
    source = auto_plate(tmp_path / "q", fit=True)
    assert float(source.frame(0).max()) == 65504.0
    assert "Values above 65504, the largest half, are clamped: a.exr." in source.note


def test_a_plate_with_handles_gives_the_frames_of_the_stack_by_number(tmp_path: Path) -> None:
    for number in range(997, 1010):
        save(tmp_path / "p" / f"p.{number}.exr", np.full((8, 12, 4), number / 1024, np.float32))
    source = auto_plate(tmp_path / "p")
    assert "frames 1001 to 1003 of 997 to 1009" in source.note
    assert [float(source.frame(index)[0, 0, 0]) * 1024 for index in range(3)] == [1001, 1002, 1003]


def test_pixels_of_another_shape_are_refused_or_fitted(tmp_path: Path) -> None:
    save(tmp_path / "p" / "a.exr", picture(), PixelAspectRatio=2.0)
    with pytest.raises(FootageError, match="pixels of shape 2, but the stack 1"):
        auto_plate(tmp_path / "p")
    assert "scaled from 12 x 8 to 12 x 4" in auto_plate(tmp_path / "p", fit=True).note


def test_a_mask_held_in_alpha(tmp_path: Path) -> None:
    mask = np.ones((8, 12, 4), np.float32)
    mask[:, 6:, 3] = 0.0
    save(tmp_path / "m" / "a.png", mask, "uint8")
    planes = MaskSource(tmp_path / "m", FORMAT, "bg").planes
    assert (planes[:, :, :6] == 1).all()
    assert (planes[:, :, 6:] == 0).all()
