"""The artist's own pictures beside footage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes.footage import flat, save_exr, save_png, save_video, sequence, srgb_to_linear
from layert2v.decompose import SubjectSpec
from layert2v.rerender import Plate
from layert2v_engine.decompose.arrays import Size
from layert2v_engine.decompose.footage import FrameRange
from layert2v_engine.decompose.inputs import MatteInput, PlateInput, read_hints
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorConfig

FULL = Size(48, 40)
RANGE = FrameRange(first=1, frames=3, start=0, size=FULL, full=FULL)
SPACE = "lin_rec709_scene"


def plate(path: Path, **how: str) -> PlateInput:
    return PlateInput(Plate("plate", **how), path, RANGE, SPACE, ColorConfig.load())


def test_a_plate_is_read_as_it_says_with_notes(tmp_path: Path) -> None:
    full = np.full((40, 48), 12.0)
    full[2, 2] = np.inf
    save_exr({c: full for c in "RGB"}, np.float32)(tmp_path / "p.exr")
    own = plate(tmp_path / "p.exr")
    (index, pixels), *_ = own.pictures()
    assert (index, float(pixels.min()), float(pixels.max())) == (0, 12.0, 12.0)
    assert "repaired" in " ".join(own.notes)


def test_a_plate_of_another_shape_covers_the_frame(tmp_path: Path) -> None:
    """Twice as wide: its middle is shown and not the whole of it, squeezed."""
    wide = np.concatenate([flat(0, 40, 24), flat(200, 40, 48), flat(0, 40, 24)], 1)
    save_png(wide)(tmp_path / "p.png")
    with pytest.raises(FootageError, match="96 x 40 pixels, but the footage is 48 x 40"):
        plate(tmp_path / "p.png")
    own = plate(tmp_path / "p.png", fit="fit")
    pixels = dict(own.pictures())[0].astype(np.float32)
    np.testing.assert_allclose(pixels[:, 4:-4], srgb_to_linear(200 / 255), rtol=2e-3)


def test_a_plate_of_straight_alpha_is_over_black(tmp_path: Path) -> None:
    picture = np.dstack([flat(180, 40, 48), np.full((40, 48), 128, np.uint8)])
    save_png(picture)(tmp_path / "p.png")
    pixels = dict(plate(tmp_path / "p.png").pictures())[0].astype(np.float32)
    np.testing.assert_allclose(pixels, srgb_to_linear(180 / 255) * 128 / 255, rtol=2e-3)


@pytest.mark.parametrize("kind", ["alpha", "gray", "video"])
def test_a_matte_is_found_where_it_is_held(tmp_path: Path, kind: str) -> None:
    level = np.zeros((40, 48), np.uint8)
    level[10:30, 10:30] = 255
    gray = np.repeat(level[..., None], 3, 2)
    white = np.dstack([flat(255, 40, 48), level])
    if kind == "video":
        path = save_video(tmp_path / "m.mp4", [gray] * 3)
    else:
        path = sequence(tmp_path / "m", save_png(white if kind == "alpha" else gray))
    matte = MatteInput(path, RANGE, "matte")
    planes = dict(matte.planes())
    assert matte.is_complete
    assert float(planes[1][20, 20]) == 1.0
    assert float(planes[1][2, 2]) == 0.0
    words = {"alpha": "its matte is taken from alpha", "gray": "", "video": "limited range"}[kind]
    assert words in " ".join(matte.notes)


@pytest.mark.parametrize(("first", "count"), [(1, 3), (2, 2), (3, 1)])
def test_a_matte_has_the_frames_of_its_numbers_and_ends(
    tmp_path: Path, first: int, count: int
) -> None:
    for number in range(first, first + count):
        level = np.full((40, 48), 80 * number, np.uint8)
        save_png(np.repeat(level[..., None], 3, 2))(tmp_path / f"roto.{number:04d}.png")
    matte = MatteInput(tmp_path, RANGE, "matte")
    assert matte.is_complete == (count == 3)
    found = dict(matte.planes())
    assert sorted(found) == list(range(first - 1, first - 1 + count))
    for index, plane in found.items():
        np.testing.assert_allclose(plane, 80 * (index + 1) / 255, atol=0.01)


def test_a_matte_of_key_frames_alone_has_their_numbers(tmp_path: Path) -> None:
    for number in (1, 3, 17):
        save_png(flat(80 * min(number, 3), 40, 48))(tmp_path / f"roto.{number:04d}.png")
    matte = MatteInput(tmp_path, RANGE, "matte")
    assert not matte.is_complete
    assert {k: round(float(plane.max()) * 3) for k, plane in matte.planes()} == {0: 1, 2: 3}


def test_a_scribble_of_other_frames_is_refused(tmp_path: Path) -> None:
    save_png(flat(255, 40, 48))(tmp_path / "scribble.0007.png")
    subject = SubjectSpec(scribble="scribble")
    with pytest.raises(FootageError, match=r"No frame of the scribble .* of the footage, 1-3\."):
        read_hints(subject, {"scribble": tmp_path}, RANGE, FULL)
