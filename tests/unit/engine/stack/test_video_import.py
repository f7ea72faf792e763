from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fakes.footage import (
    flat,
    save_exr,
    save_png,
    save_video,
    sequence,
    soft_disc,
    srgb_to_linear,
)
from fakes.ocio_configs import OLD
from fakes.sample_stacks import (
    disc,
    gradient,
    grey_frame,
    read_exr,
    read_rgba,
    rgb_frame,
    write_video,
)
from layert2v.stack import Stack
from layert2v.stack import read as read_stack
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.stack.inspect import inspect
from layert2v_engine.stack.video_import import (
    ForegroundSources,
    ImportOptions,
    ImportSources,
    import_videos,
)

# Real layered clips, kept outside the repository.
SAMPLES = (
    "0hy8oo_w57g_0042",
    "0oqdrvk5gte_0007",
    "jijkse5opwi_1770",
    "k1fxu2q3zj0_0019",
    "nzx3eq9asse_0138",
)
H, W, FRAMES = 48, 64, 3
OPTIONS = ImportOptions(name="clip")


def linear(code: torch.Tensor) -> torch.Tensor:
    power = ((code + 0.055) / 1.055).clamp_min(0).pow(2.4)
    return torch.where(code <= 0.04045, code / 12.92, power)


def matte(index: int) -> torch.Tensor:
    return disc(H, W).roll(2 * index, 1)


def color(index: int) -> torch.Tensor:
    return (1 - gradient(H, W)).roll(2 * index, 2)


def plate(index: int) -> torch.Tensor:
    return gradient(H, W, shift=0.1 * index)


def lossless(path: Path, pictures: Iterator[torch.Tensor], fps: int = 24) -> Path:
    frames = [rgb_frame(picture) for picture in pictures]
    return write_video(path, frames, codec="libx264rgb", options={"qp": "0"}, fps=fps)


@pytest.fixture
def sources(tmp_path: Path) -> ImportSources:
    """Clips whose layers are known: a foreground on black, its matte, a shadow, the comp."""
    numbers = range(FRAMES)
    return ImportSources(
        full=lossless(tmp_path / "full.mp4", (plate(k) for k in numbers)),
        background=lossless(tmp_path / "bg.mp4", (plate(k) for k in numbers)),
        foregrounds=(
            ForegroundSources(
                color=lossless(tmp_path / "fg.mp4", (color(k) * matte(k) for k in numbers)),
                matte=lossless(tmp_path / "m.mp4", (matte(k).expand(3, -1, -1) for k in numbers)),
            ),
        ),
    )


def pixels(folder: Path, name: str, index: int) -> torch.Tensor:
    path = folder / name / "v001" / f"{name}_v001.{1001 + index}.exr"
    return torch.from_numpy(read_rgba(path)).float()


def import_stack(sources: ImportSources, folder: Path, **options: object) -> Stack:
    return import_videos(sources, folder, replace(OPTIONS, **options))


def test_known_layers_come_back(sources: ImportSources, tmp_path: Path) -> None:
    result = import_stack(sources, tmp_path / "out")
    for index in range(FRAMES):
        alpha = matte(index)
        expected = torch.cat((linear(color(index)) * alpha, alpha[None])).movedim(0, -1)
        difference = (pixels(tmp_path / "out", "fg_01", index) - expected).abs()
        assert float(difference.mean()) < 0.002
        assert float(difference[..., 3].max()) < 0.004
        behind = pixels(tmp_path / "out", "bg", index)[..., :3].movedim(-1, 0)
        torch.testing.assert_close(behind, linear(plate(index)), atol=0.005, rtol=0)
    assert result.warnings == ()


def test_the_stack_says_that_it_was_imported(sources: ImportSources, tmp_path: Path) -> None:
    result = import_stack(sources, tmp_path / "out")
    assert (result.fps, result.frames, result.width, result.height) == (24.0, FRAMES, W, H)
    assert {layer.source for layer in result.layers} == {"imported"}
    assert result.history[0].action == "import"
    assert result.history[0].spec["background"] == "bg.mp4"
    assert [flat.name for flat in result.flats] == ["comp", "ref"]
    assert inspect(tmp_path / "out", result).problems == []


def test_shadows_and_several_foregrounds_stack_from_back_to_front(
    sources: ImportSources, tmp_path: Path
) -> None:
    opacity = (0.5 * matte(k) for k in range(FRAMES))
    shadow = lossless(tmp_path / "s.mp4", (value.expand(3, -1, -1) for value in opacity))
    one = replace(sources.foregrounds[0], shadow=shadow)
    result = import_stack(
        replace(sources, foregrounds=(one, sources.foregrounds[0])), tmp_path / "out"
    )
    assert [layer.name for layer in result.layers] == ["bg", "shadow_01", "fg_01", "fg_02"]
    assert result.layer("shadow_01").caster == "fg_01"
    deepest = float(pixels(tmp_path / "out", "shadow_01", 0)[..., 3].max())
    assert deepest == pytest.approx(1 - 0.5**2.2, abs=0.01)


def test_a_foreground_with_alpha_needs_no_matte(sources: ImportSources, tmp_path: Path) -> None:
    (tmp_path / "png").mkdir()
    for index in range(FRAMES):
        straight = torch.cat((color(index), matte(index)[None])).movedim(0, -1)
        codes = (straight * 255).round().to(torch.uint8).contiguous().numpy()
        Image.fromarray(codes).save(tmp_path / "png" / f"fg.{index:04d}.png")
    alone = replace(sources, foregrounds=(ForegroundSources(color=tmp_path / "png"),))
    import_stack(alone, tmp_path / "out")
    expected = torch.cat((linear(color(0)) * matte(0), matte(0)[None])).movedim(0, -1)
    torch.testing.assert_close(pixels(tmp_path / "out", "fg_01", 0), expected, atol=0.006, rtol=0)


def test_a_foreground_without_alpha_and_matte_is_refused(
    sources: ImportSources, tmp_path: Path
) -> None:
    bare = replace(sources, foregrounds=(replace(sources.foregrounds[0], matte=None),))
    with pytest.raises(FootageError, match="needs a matte"):
        import_stack(bare, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("pictures", "fps", "reason", "sentence"),
    [
        (torch.zeros(FRAMES, 3, 40, 64), 24, "SIZES_DIFFER", "64 x 40 pixels, but the full video"),
        (torch.zeros(2, 3, H, W), 24, "LENGTHS_DIFFER", "has 2 frames, but the full video has 3"),
        (torch.zeros(FRAMES, 3, H, W), 25, "FPS_DIFFER", "25 fps, but the full video at 24"),
    ],
)
def test_clips_that_do_not_fit_are_named(
    sources: ImportSources,
    tmp_path: Path,
    pictures: torch.Tensor,
    fps: int,
    reason: str,
    sentence: str,
) -> None:
    other = lossless(tmp_path / "other.mp4", iter(pictures), fps)
    with pytest.raises(FootageError, match=sentence) as caught:
        import_stack(replace(sources, background=other), tmp_path / "out")
    assert caught.value.reason == reason
    assert not (tmp_path / "out").exists()


def test_image_sequences_need_a_rate(sources: ImportSources, tmp_path: Path) -> None:
    (tmp_path / "png").mkdir()
    for index in range(FRAMES):
        picture = Image.fromarray(np.full((H, W, 3), 40 * index, np.uint8))
        picture.save(tmp_path / "png" / f"{index:04d}.png")
    fg = ForegroundSources(color=tmp_path / "png", matte=tmp_path / "png")
    only = ImportSources(background=tmp_path / "png", foregrounds=(fg,))
    with pytest.raises(FootageError, match="how fast"):
        import_stack(only, tmp_path / "out")
    assert import_stack(only, tmp_path / "out", fps=12.5).fps == 12.5


def test_what_no_tag_says_is_a_warning(sources: ImportSources, tmp_path: Path) -> None:
    frames = [rgb_frame(plate(k)).reformat(format="yuv420p", threads=1) for k in range(FRAMES)]
    bare = write_video(tmp_path / "bare.mp4", frames, codec="libx264")
    result = import_stack(replace(sources, background=bare), tmp_path / "out")
    assert result.warnings == (
        "Colors taken as bt601 matrix and limited range, which no tag says: bare.mp4.",
    )


def test_levels_can_be_switched_off(sources: ImportSources, tmp_path: Path) -> None:
    grey = [grey_frame(0.02 + 0.94 * matte(k)) for k in range(FRAMES)]
    path = write_video(tmp_path / "g.mp4", grey, codec="libx264rgb", options={"qp": "0"})
    lifted = replace(sources, foregrounds=(replace(sources.foregrounds[0], matte=path),))
    import_stack(lifted, tmp_path / "a")
    import_stack(lifted, tmp_path / "b", levels=False)
    assert float(pixels(tmp_path / "a", "fg_01", 0)[0, 0, 3]) == 0.0
    assert float(pixels(tmp_path / "b", "fg_01", 0)[0, 0, 3]) == pytest.approx(0.02, abs=0.003)


@pytest.mark.parametrize("edges", ["auto", "straight"])
def test_a_straight_foreground_is_known_by_its_color_outside(
    sources: ImportSources, tmp_path: Path, edges: str
) -> None:
    flat = lossless(tmp_path / "flat.mp4", iter(torch.full((FRAMES, 3, H, W), 0.5)))
    straight = replace(sources, foregrounds=(replace(sources.foregrounds[0], color=flat),))
    import_stack(straight, tmp_path / "out", edges=edges)
    result = pixels(tmp_path / "out", "fg_01", 0)
    seen = result[result[..., 3] > 0.05]
    expected = linear(torch.tensor(128 / 255)).expand(len(seen))
    torch.testing.assert_close(seen[:, 0] / seen[:, 3], expected, atol=2e-3, rtol=0)


def test_color_spaces_can_be_chosen(sources: ImportSources, tmp_path: Path) -> None:
    result = import_stack(
        sources, tmp_path / "out", colorspace="ACEScg", source_colorspace="g24_rec709_display"
    )
    assert result.colorspace == "lin_ap1_scene"


def test_progress_counts_frames(sources: ImportSources, tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    import_videos(
        sources, tmp_path / "out", OPTIONS, progress=lambda done, total: steps.append((done, total))
    )
    assert steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_becomes_a_right_stack(shared_dir: Path, tmp_path: Path, name: str) -> None:
    clips = shared_dir / "samples" / name
    if not clips.is_dir():
        pytest.skip(f"the sample clip {clips} is absent")
    foreground = ForegroundSources(color=clips / "foreground.mp4", matte=clips / "mask.mp4")
    sources = ImportSources(
        full=clips / "full_video.mp4",
        background=clips / "background.mp4",
        foregrounds=(foreground,),
    )
    result = import_videos(sources, tmp_path / name, ImportOptions(name=name))
    assert (result.width, result.height, result.frames, result.fps) == (336, 192, 9, 8.0)
    report = inspect(tmp_path / name, read_stack(tmp_path / name))
    assert (report.problems, report.exact_comp_frames) == ([], 9)
    alpha = next(each.alpha for each in report.sequences if each.name == "fg_01")
    assert (alpha.low, alpha.high) == (0.0, 1.0)


def test_no_sample_is_forgotten(shared_dir: Path) -> None:
    folder = shared_dir / "samples"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(SAMPLES)


def test_straight_png_with_black_outside_is_not_divided(
    sources: ImportSources, tmp_path: Path
) -> None:
    """PNG is straight by its standard, whatever lies where it is transparent."""
    alpha = np.round(soft_disc(8, H, W) * 255) / 255
    rgb = np.where(alpha[..., None] > 0, np.array((150, 100, 60)), 0)
    rgba = np.dstack((rgb, alpha * 255)).round().astype(np.uint8)
    folder = sequence(tmp_path / "png", save_png(rgba))
    result = import_stack(with_color(sources, folder), tmp_path / "out")
    expected = srgb_to_linear(np.array((150, 100, 60)) / 255) * alpha[..., None]
    seen = pixels(tmp_path / "out", "fg_01", 0).numpy()
    assert np.abs(seen[..., :3] - expected).max() < 1e-3
    assert np.abs(seen[..., 3] - alpha).max() < 1e-3
    assert result.warnings == ()


def with_color(sources: ImportSources, color: Path, matte: Path | None = None) -> ImportSources:
    """Return the sources with another foreground, which has alpha of its own."""
    return replace(sources, foregrounds=(ForegroundSources(color=color, matte=matte),))


def test_no_levels_on_lossless_alpha(sources: ImportSources, tmp_path: Path) -> None:
    """A haze of 3 % and a glass of 97 % are meant; no codec made them."""
    alpha = np.full((H, W), 8, np.uint8)
    alpha[10:30, 10:40], alpha[30:40, 10:40] = 128, 247
    folder = sequence(tmp_path / "png", save_png(np.dstack((flat(180, H, W), alpha))))
    import_stack(with_color(sources, folder), tmp_path / "a")
    assert np.abs(pixels(tmp_path / "a", "fg_01", 0)[..., 3].numpy() - alpha / 255).max() < 1e-3
    mattes = sequence(tmp_path / "m", save_png(np.repeat(alpha[..., None], 3, -1)))
    import_stack(with_color(sources, folder, mattes), tmp_path / "b", edges="straight")
    assert np.abs(pixels(tmp_path / "b", "fg_01", 0)[..., 3].numpy() - alpha / 255).max() < 1e-3


def test_a_matte_held_in_alpha(sources: ImportSources, tmp_path: Path) -> None:
    alpha = np.round(soft_disc(8, H, W) * 255).astype(np.uint8)
    mattes = sequence(tmp_path / "m", save_png(np.dstack((flat(255, H, W), alpha))))
    color = sequence(tmp_path / "c", save_png(flat(200, H, W)))
    result = import_stack(with_color(sources, color, mattes), tmp_path / "out", edges="straight")
    seen = pixels(tmp_path / "out", "fg_01", 0)[..., 3].numpy()
    assert np.abs(seen - alpha / 255).max() < 1e-3
    assert result.warnings == ("m is of one color; its matte is taken from alpha.",)
    assert result.history[0].note == result.warnings[0]


@pytest.mark.parametrize("held", [False, True])
def test_linear_exr_comes_through_with_values_past_one(
    sources: ImportSources, tmp_path: Path, held: bool
) -> None:
    values = (12.0, 0.18, 0.5)
    save = save_exr({c: np.full((H, W), v) for c, v in zip("RGB", values, strict=True)})
    folder = sequence(tmp_path / "exr", save, 1 if held else FRAMES, "p.{:04d}.exr")
    result = import_stack(replace(sources, full=None, background=folder), tmp_path / "out")
    seen = pixels(tmp_path / "out", "bg", FRAMES - 1)[5, 5].tolist()
    assert seen == pytest.approx([*values, 1.0], abs=2e-4)
    assert "exr does not say its color space" in result.warnings[0]


def test_clips_of_several_color_spaces_meet_in_the_stack(
    sources: ImportSources, tmp_path: Path
) -> None:
    """A BT.2020 background under an sRGB foreground; red of BT.2020 lies outside Rec.709."""
    tags = {"color_primaries": 9, "color_trc": 14}
    frames = [flat((255, 0, 0), H, W)] * FRAMES
    path = save_video(tmp_path / "wide.mkv", frames, "ffv1", "bgr0", tags=tags)
    result = import_stack(
        replace(sources, full=None, background=path), tmp_path / "out", colorspace="Linear Rec.2020"
    )
    assert pixels(tmp_path / "out", "bg", 0)[5, 5].tolist() == pytest.approx([1, 0, 0, 1], abs=1e-3)
    assert result.warnings == ("wide.mkv is converted from BT.2020, as it says itself.",)
    header, _ = read_exr(tmp_path / "out/bg/v001/bg_v001.1001.exr")
    assert header["layert2v/input_transform"].startswith("srgb_rec2020_scene to Linear Rec.2020")


def test_timecode_of_the_source_is_carried_on_or_there_is_none(
    sources: ImportSources, tmp_path: Path
) -> None:
    path = save_video(
        tmp_path / "tc.mov",
        [flat(90, H, W)] * FRAMES,
        "prores_ks",
        "yuv422p10le",
        metadata={"timecode": "01:02:03:23"},
    )
    import_stack(replace(sources, full=None, background=path), tmp_path / "a")
    import_stack(sources, tmp_path / "b")
    codes = []
    for name in ("bg", "fg_01", "comp"):
        header, _ = read_exr(tmp_path / f"a/{name}/v001/{name}_v001.1002.exr")
        code = header["timeCode"]
        codes.append((code.hours, code.minutes, code.seconds, code.frame))
    assert codes == [(1, 2, 4, 0)] * 3
    assert "timeCode" not in read_exr(tmp_path / "b/bg/v001/bg_v001.1001.exr")[0]


def test_pixels_of_two_shapes_are_refused_and_one_shape_is_kept(
    sources: ImportSources, tmp_path: Path
) -> None:
    def write_squeezed(name: str, aspect: Fraction) -> Path:
        frames = [rgb_frame(plate(k)) for k in range(FRAMES)]
        options = {"qp": "0"}
        return write_video(
            tmp_path / name, frames, codec="libx264rgb", options=options, sample_aspect_ratio=aspect
        )

    wide = replace(sources, full=None, background=write_squeezed("wide.mp4", Fraction(2)))
    assert import_stack(wide, tmp_path / "a").pixel_aspect == pytest.approx(2.0)
    mixed = replace(wide, full=write_squeezed("less.mp4", Fraction(4, 3)))
    with pytest.raises(FootageError, match=r"pixels of shape 2, but the full video 1\.33"):
        import_stack(mixed, tmp_path / "b")


def test_a_frame_of_another_size_is_named_before_anything_is_written(
    sources: ImportSources, tmp_path: Path
) -> None:
    def save(path: Path) -> None:
        save_png(flat(60, H, W + 2 * path.name.endswith("3.png")))(path)

    folder = sequence(tmp_path / "s", save)
    with pytest.raises(FootageError, match=r"f\.0003\.png has another size"):
        import_stack(replace(sources, full=None, background=folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fps", [float("nan"), float("inf"), -24.0, 0.0, 1e9])
def test_impossible_rates_are_refused_at_once(
    sources: ImportSources, tmp_path: Path, fps: float
) -> None:
    with pytest.raises(FootageError, match="no rate for a stack"):
        import_stack(sources, tmp_path / "out", fps=fps)
    assert not (tmp_path / "out").exists()


def test_spaces_of_an_old_config_need_no_roles(sources: ImportSources, tmp_path: Path) -> None:
    """OCIO 1 knew no interchange roles; its own two spaces are enough."""
    (tmp_path / "v1.ocio").write_text(OLD)
    config = ColorConfig.load(tmp_path / "v1.ocio")
    folder = sequence(tmp_path / "png", save_png(flat(128, H, W)))
    options = replace(OPTIONS, colorspace="my lin 709", source_colorspace="my srgb")
    import_videos(
        replace(sources, full=None, background=folder), tmp_path / "out", options, config=config
    )
    seen = float(pixels(tmp_path / "out", "bg", 0)[5, 5, 0])
    assert seen == pytest.approx((128 / 255) ** 2.2, abs=1e-3)


def test_what_a_layer_cannot_hold_is_clamped_with_a_note(
    sources: ImportSources, tmp_path: Path
) -> None:
    planes = {each: np.full((H, W), 0.5) for each in "RGBA"}
    planes["A"][2, 3], planes["A"][2, 4], planes["R"][2, 5] = -0.25, 1.5, 1e6
    color = sequence(tmp_path / "fg", save_exr(planes, np.float32), FRAMES, "fg.{:04d}.exr")
    foregrounds = (ForegroundSources(color=color),)
    options = ImportOptions(name="limits", fps=24)
    stack = import_videos(replace(sources, foregrounds=foregrounds), tmp_path / "stack", options)
    layer = next(each for each in stack.layers if each.name == "fg_01")
    pixels = read_rgba(tmp_path / "stack" / layer.files[0].path)
    assert pixels[2, 3:5, 3].tolist() == [0.0, 1.0]
    assert float(pixels[2, 5, 0]) == 65504
    notes = " ".join(stack.warnings)
    for kind in ("Alpha below 0", "Alpha above 1", "Values above 65504"):
        assert f"{kind}" in notes, notes
    assert f"fg.0001.exr and {FRAMES - 1} more" in notes
