"""How color and alpha are related: what files say, what proves itself, where mattes are held."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fakes.footage import flat, save_exr, save_oiio, save_png, save_video, sequence, soft_disc
from layert2v_engine.image.footage.alpha import (
    choose_alpha,
    find_matte,
    is_proven_straight,
    read_matte,
    to_linear_rgba,
)
from layert2v_engine.image.footage.clip import open_clip
from layert2v_engine.image.footage.info import FootageInfo, ImageFrame

SILENT = FootageInfo(width=2, height=1, frames=1, sample_format="x", has_alpha=True)


def half_alpha() -> np.ndarray:
    return np.dstack([flat(150), np.full(flat(0).shape[:2], 100, np.uint8)])


@pytest.mark.parametrize(
    ("suffix", "attributes", "kind"),
    [
        (".png", {}, "straight"),
        (".tif", {"oiio__UnassociatedAlpha": 1}, "straight"),
        (".tif", {}, "premultiplied"),
        (".exr", {}, "premultiplied"),
    ],
)
def test_formats_and_files_say_how_their_alpha_is_meant(
    tmp_path: Path, suffix: str, attributes: dict[str, int], kind: str
) -> None:
    save_oiio(tmp_path / f"a{suffix}", half_alpha() / 255, "half", **attributes)
    info = open_clip(tmp_path / f"a{suffix}").info
    assert (info.has_alpha, info.alpha) == (True, kind)


def test_a_tiff_of_photoshop_is_straight_to_the_code(tmp_path: Path) -> None:
    """Pillow writes unassociated alpha, as Photoshop does; no value is multiplied on reading."""
    save_png(half_alpha())(tmp_path / "a.tif")
    clip = open_clip(tmp_path / "a.tif")
    frame = next(iter(clip))
    assert clip.info.alpha == "straight"
    assert (frame.rgb * 255).round().unique().tolist() == [150]


def frame(rgb: list[float], alpha: list[float]) -> ImageFrame:
    return ImageFrame(torch.tensor([[rgb]] * 3), torch.tensor([alpha]))


def test_video_alpha_is_straight_where_a_color_exceeds_it() -> None:
    straight = frame([0.5, 0.5, 0.5, 0.0], [1.0, 0.5, 0.1, 0.0])
    premultiplied = frame([0.5, 0.25, 0.05, 0.0], [1.0, 0.5, 0.1, 0.0])
    assert is_proven_straight([straight])
    assert not is_proven_straight([premultiplied])
    kind, notes = choose_alpha(SILENT, "a.mov", "auto", [straight])
    assert (kind, len(notes)) == ("straight", 1)
    assert choose_alpha(SILENT, "a.mov", "auto", [premultiplied])[0] == "premultiplied"
    assert "a.mov does not say" in choose_alpha(SILENT, "a.mov", "auto", [premultiplied])[1][0]


def test_what_is_asked_for_goes_before_what_the_file_says(tmp_path: Path) -> None:
    save_png(half_alpha())(tmp_path / "a.png")
    info = open_clip(tmp_path / "a.png").info
    kind, notes = choose_alpha(info, "a.png", "premultiplied")
    assert kind == "premultiplied"
    assert "a.png holds straight alpha; it is read as premultiplied" in notes[0]
    assert choose_alpha(info, "a.png", "straight") == ("straight", ())


def test_light_without_coverage_stays() -> None:
    pixels = to_linear_rgba(frame([0.4, 12.0], [0.0, 1.0]), lambda rgb: rgb, "premultiplied", True)
    assert pixels[0, 0].tolist() == pytest.approx([0.4, 0.4, 0.4, 0.0])
    assert pixels[0, 1].tolist() == [12.0, 12.0, 12.0, 1.0]


@pytest.mark.parametrize(
    ("rgb", "alpha", "place", "word"),
    [
        ([1.0, 1.0], [0.0, 1.0], "alpha", "taken from alpha"),
        ([0.0, 0.0], [0.0, 0.5], "alpha", "taken from alpha"),
        ([0.0, 1.0], [0.0, 1.0], "gray", "taken from gray"),
        ([0.0, 1.0], [1.0, 1.0], "gray", ""),
        ([1.0, 1.0], [1.0, 1.0], "gray", "white all over"),
    ],
)
def test_a_matte_is_in_alpha_where_its_color_is_constant(
    rgb: list[float], alpha: list[float], place: str, word: str
) -> None:
    found, notes = find_matte([frame(rgb, alpha)], "m")
    assert found == place
    assert word in " ".join(notes)
    expected = alpha if place == "alpha" else rgb
    assert read_matte(frame(rgb, alpha), found)[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "suffix", "options", "lossless"),
    [
        ("libvpx-vp9", "yuva420p", "webm", {"lossless": "1"}, False),
        ("libvpx", "yuva420p", "webm", {"auto-alt-ref": "0", "qmax": "10", "b": "4000000"}, False),
        ("prores_ks", "yuva444p10le", "mov", {"profile": "4444"}, True),
        ("qtrle", "argb", "mov", {}, True),
        ("png", "rgba", "mov", {}, True),
        ("ffv1", "yuva444p", "mkv", {}, True),
    ],
)
def test_alpha_of_every_codec_comes_through(
    tmp_path: Path,
    codec: str,
    pixel_format: str,
    suffix: str,
    options: dict[str, str],
    lossless: bool,
) -> None:
    """FFmpeg's own VP8 and VP9 decoders drop it without a word."""
    alpha = np.round(soft_disc() * 255).astype(np.uint8)
    frames = [np.dstack([flat(150), alpha])] * 3
    path = save_video(
        tmp_path / f"a.{suffix}", frames, codec, pixel_format, frame_format="rgba", options=options
    )
    clip = open_clip(path)
    pictures = list(clip)
    assert (len(pictures), clip.info.frames, clip.info.has_alpha) == (3, 3, True)
    assert clip.info.is_alpha_lossless == lossless
    assert pictures[2].alpha is not None
    tolerance = 0.08 if codec == "libvpx" else 0.005
    assert np.abs(pictures[2].alpha.numpy() - alpha / 255).max() < tolerance


def test_a_frame_saved_without_alpha_is_opaque_and_named(tmp_path: Path) -> None:
    """Optimizers drop the alpha of opaque frames, also of the first."""

    def save(path: Path) -> None:
        is_first = path.name.endswith("1.png")
        save_png(flat(90) if is_first else half_alpha())(path)

    clip = open_clip(sequence(tmp_path / "s", save))
    first, second, _ = clip
    assert first.alpha is not None
    assert second.alpha is not None
    assert (first.alpha == 1).all()
    assert float(second.alpha[0, 0]) == pytest.approx(100 / 255)
    assert "f.0001.png" in " ".join(clip.notes)


def gray_with_alpha() -> np.ndarray:
    return np.stack([np.full((24, 32), 150, np.uint8), np.full((24, 32), 100, np.uint8)], -1)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr"])
def test_gray_images_with_alpha(tmp_path: Path, suffix: str) -> None:
    """PNG and Pillow's TIFF store gray straight, EXR premultiplied."""
    path = tmp_path / f"a{suffix}"
    if suffix == ".exr":
        gray, alpha = np.full((24, 32), 150 / 255), np.full((24, 32), 100 / 255)
        save_exr({"Y": gray, "A": alpha}, np.float32)(path)
    else:
        Image.fromarray(gray_with_alpha(), "LA").save(path)
    clip = open_clip(path)
    pixels = next(iter(clip))
    assert clip.info.alpha == ("premultiplied" if suffix == ".exr" else "straight")
    assert pixels.alpha is not None
    for plane in pixels.rgb:
        assert (plane * 255).round().unique().tolist() == [150]
    assert (pixels.alpha * 255).round().unique().tolist() == [100]


@pytest.mark.parametrize(
    ("codec", "layout", "suffix"),
    [("png", "ya8", ".mov"), ("png", "ya16be", ".mov"), ("png", "gray16be", ".mov")],
)
def test_gray_video_with_and_without_alpha_in_either_order_of_bytes(
    tmp_path: Path, codec: str, layout: str, suffix: str
) -> None:
    ramp = np.tile(np.linspace(0, 255, 32).astype(np.uint8), (24, 1))
    path = save_video(
        tmp_path / f"a{suffix}", [np.repeat(ramp[..., None], 3, 2)] * 2, codec, layout
    )
    clip = open_clip(path)
    pixels = next(iter(clip))
    assert clip.info.full_range
    assert (pixels.alpha is not None) == layout.startswith("ya")
    np.testing.assert_allclose(pixels.rgb[1].numpy() * 255, ramp, atol=1.1)
    if pixels.alpha is not None:
        assert pixels.alpha.unique().tolist() == [1.0]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".exr"])
def test_one_frame_that_lacks_alpha_is_opaque(tmp_path: Path, suffix: str) -> None:
    for number in (1, 2, 3):
        pixels = half_alpha() if number != 1 else flat(150)
        save_oiio(tmp_path / f"f.{number:04d}{suffix}", pixels / 255, "half")
    clip = open_clip(tmp_path)
    alphas = [each.alpha for each in clip]
    assert [float(each.mean()) for each in alphas if each is not None] == pytest.approx(
        [1.0, 100 / 255, 100 / 255], abs=3e-3
    )
    assert any("without alpha" in note and f"f.0001{suffix}" in note for note in clip.notes)
