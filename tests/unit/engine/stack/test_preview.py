from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from fakes.sample_stacks import HEIGHT, WIDTH, gradient, write_stack
from layert2v.stack import Stack
from layert2v_engine.image.color import ColorConfig
from layert2v_engine.image.footage.clip import open_clip
from layert2v_engine.stack import preview


def transform(stack: Stack) -> preview.ColorTransform:
    return preview.display_transform(stack, ColorConfig.load())


def code_values(picture: torch.Tensor) -> np.ndarray:
    return (picture.movedim(0, -1) * 255).round().numpy()


@pytest.mark.parametrize("colorspace", ["lin_rec709_scene", "lin_ap1_scene", "lin_rec2020_scene"])
def test_previews_show_the_color_that_came_in(tmp_path: Path, colorspace: str) -> None:
    """Colorimetric there and back: no view transform darkens the picture."""
    result = write_stack(tmp_path, colorspace=colorspace)
    shown = preview.to_srgb_bytes(
        preview.load_frame(tmp_path, result.layer("bg"), 1001), transform(result)
    )
    assert np.abs(shown - code_values(gradient())).max() <= 1


def test_the_movie_is_tagged_and_colored_as_bt709(tmp_path: Path) -> None:
    """FFmpeg's own conversion would use the BT.601 matrix under a BT.709 tag."""
    result = write_stack(tmp_path, width=64, height=48)
    clip = open_clip(tmp_path / preview.preview_folder(1) / preview.MOVIE)
    assert (clip.info.matrix, clip.info.full_range, clip.info.assumed) == ("bt709", False, ())
    assert clip.info.frames == result.frames
    expected = preview.to_srgb_bytes(
        preview.load_frame(tmp_path, result.flat("comp"), 1001), transform(result)
    )
    factor = clip.info.height // result.height
    middle = next(iter(clip)).rgb.movedim(0, -1)[factor // 2 :: factor, factor // 2 :: factor]
    assert np.abs(middle.numpy() * 255 - expected).mean() < 3.0


def test_the_movie_carries_all_color_tags(tmp_path: Path) -> None:
    write_stack(tmp_path)
    with av.open(str(tmp_path / preview.preview_folder(1) / preview.MOVIE)) as container:
        context = container.streams.video[0].codec_context
        tags = (context.colorspace, context.color_primaries, context.color_trc)
        assert ([int(tag) for tag in tags], context.name) == ([1, 1, 1], "h264")


def test_the_same_frames_give_the_same_movie(tmp_path: Path) -> None:
    result = write_stack(tmp_path, width=112, height=80, frames=9)
    again = (preview.write_movie(tmp_path, result, transform(result)) for _ in range(4))
    assert len({movie.read_bytes() for movie in again}) == 1


@pytest.mark.parametrize("size", [(27, 19), (401, 363), (1, 1)])
def test_odd_sizes_make_a_movie(tmp_path: Path, size: tuple[int, int]) -> None:
    write_stack(tmp_path, width=size[0], height=size[1], frames=1)
    assert open_clip(tmp_path / preview.preview_folder(1) / preview.MOVIE).info.frames == 1


@pytest.mark.parametrize(("frames", "columns"), [(1, 1), (3, 3), (17, 5)])
def test_the_contact_sheet_has_a_column_for_frames_from_first_to_last(
    tmp_path: Path, frames: int, columns: int
) -> None:
    write_stack(tmp_path, frames=frames)
    style = preview.SheetStyle()
    with Image.open(tmp_path / preview.preview_folder(1) / preview.CONTACT_SHEET) as sheet:
        cells = sheet.width - 2 * style.margin - style.label_width + style.gap
        assert cells // (style.cell_width + style.gap) == columns


@pytest.mark.parametrize(("pixel_aspect", "cell_height"), [(1.0, 165), (2.0, 82)])
def test_the_contact_sheet_is_desqueezed(
    tmp_path: Path, pixel_aspect: float, cell_height: int
) -> None:
    """28 x 18 pixels twice as wide as high are shown as 56 x 18."""
    write_stack(tmp_path, frames=1, pixel_aspect=pixel_aspect)
    style, rows = preview.SheetStyle(), 5
    with Image.open(tmp_path / preview.preview_folder(1) / preview.CONTACT_SHEET) as sheet:
        whole = sheet.height - 2 * style.margin - 4 * style.line
    assert whole == rows * (max(cell_height, 4 * style.line) + style.gap) - style.gap


def test_the_contact_sheet_shows_layers_over_a_checkerboard(tmp_path: Path) -> None:
    result = write_stack(tmp_path)
    board = preview.composite_on_checker(torch.zeros(HEIGHT, WIDTH, 4))
    assert len(board[..., 0].unique()) == 2
    opaque = preview.load_frame(tmp_path, result.layer("bg"), 1001)
    assert torch.equal(preview.composite_on_checker(opaque), opaque.float())


def test_long_prompts_and_missing_refs_fit_the_sheet(tmp_path: Path) -> None:
    result = write_stack(tmp_path)
    layers = tuple(replace(layer, prompt="a very long prompt " * 40) for layer in result.layers)
    plain = replace(result, prompt="word " * 400, layers=layers, flats=result.flats[:1])
    preview.write_contact_sheet(tmp_path, plain, transform(result))
    with Image.open(tmp_path / preview.preview_folder(1) / preview.CONTACT_SHEET) as sheet:
        assert sheet.mode == "RGB"
