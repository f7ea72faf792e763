"""Footage of a decomposition is read like that of an import, with the same notes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from fakes.footage import flat, save_exr, save_png, save_video, sequence, srgb_to_linear
from fakes.sample_stacks import flat_frame, write_video
from layert2v.decompose import DecomposeSpec, Footage
from layert2v_engine.decompose.footage import FootageRange, open_footage
from layert2v_engine.errors import FootageError
from layert2v_engine.image.color import ColorConfig

SIZE = {"height": 40, "width": 48}


def open_range(path: Path, spec: DecomposeSpec | None = None) -> FootageRange:
    return open_footage(spec or DecomposeSpec(), path, ColorConfig.load())


def planes(value: float, **others: float) -> dict[str, np.ndarray]:
    return {c: np.full((40, 48), others.get(c, value)) for c in "RGBA"[: 3 + ("A" in others)]}


def test_notes_of_the_file_and_of_single_frames_are_in_the_notes(tmp_path: Path) -> None:
    def save(path: Path) -> None:
        bad = planes(0.5)
        bad["R"][3, 4] = np.nan if "0002" in path.name else 70000.0
        save_exr(bad, np.float32)(path)

    footage = open_range(sequence(tmp_path / "s", save, name="f.{:04d}.exr"))
    frames = list(footage.pictures())
    assert np.isfinite(np.stack(frames).astype(np.float32)).all()
    said = " ".join(footage.notes)
    for words in ("does not say its color space", "repaired", "clamped", "how fast it runs"):
        assert words in said


def test_what_no_tag_says_of_a_movie_is_in_the_notes(tmp_path: Path) -> None:
    save_video(tmp_path / "a.mp4", [flat(90, **SIZE)] * 3)
    assert "Colors taken as bt601 matrix" in " ".join(open_range(tmp_path / "a.mp4").notes)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (Footage(matrix="bt709"), (1.0, 0.0, 0.0)),
        # Y + 1.402 Cr, Y - 0.344 Cb - 0.714 Cr, Y + 1.772 Cb of codes 63, -26, 112.
        (Footage(matrix="bt601", color_range="full"), (220 / 255, 0.0, 16.9 / 255)),
    ],
)
def test_matrix_and_range_go_before_what_a_movie_says(
    tmp_path: Path, asked: Footage, expected: tuple[float, ...]
) -> None:
    """Codes of BT.709's red in limited range, in a file that says BT.601."""
    frames = [flat_frame((63, 102, 240), "yuv444p", (48, 40))] * 3
    path = write_video(tmp_path / "a.mkv", frames, codec="ffv1", colorspace=6, color_range=1)
    footage = open_range(path, DecomposeSpec(footage=asked))
    seen = next(footage.pictures())[5, 6].astype(np.float32)
    np.testing.assert_allclose(seen, srgb_to_linear(expected), atol=0.01)


def test_fields_are_made_whole_where_that_is_asked_for(tmp_path: Path) -> None:
    save_video(tmp_path / "a.mp4", [flat(90, **SIZE)] * 4)
    footage = open_range(tmp_path / "a.mp4", DecomposeSpec(footage=Footage(deinterlace=True)))
    assert len(list(footage.pictures())) == 4
    assert "bwdif" in " ".join(footage.notes)


@pytest.mark.parametrize(
    ("alpha", "expected"), [("auto", 0.5), ("straight", 0.5), ("premultiplied", 1.0)]
)
def test_alpha_is_read_as_the_file_or_the_request_says(
    tmp_path: Path, alpha: str, expected: float
) -> None:
    """PNG is straight: half covered over black is half of its light."""
    picture = np.dstack([flat(180, **SIZE), np.full((40, 48), 128, np.uint8)])
    folder = sequence(tmp_path / "s", save_png(picture))
    footage = open_range(folder, DecomposeSpec(footage=Footage(alpha=alpha)))
    value = float(next(footage.pictures()).mean(dtype=np.float64))
    light = {
        1.0: srgb_to_linear(180 / 255 / (128 / 255)) * 128 / 255,
        0.5: srgb_to_linear(180 / 255) * 128 / 255,
    }[expected]
    assert value == pytest.approx(float(light), rel=2e-3)
    assert "transparent is shown over black" in " ".join(footage.notes)


def test_timecode_begins_with_the_range(tmp_path: Path) -> None:
    def save(path: Path) -> None:
        code = OpenEXR.TimeCode(1, 0, 0, int(path.name[2:6]) - 1, *[0] * 14)
        save_exr(planes(0.5), timeCode=code)(path)

    folder = sequence(tmp_path / "s", save, 6, "f.{:04d}.exr")
    spec = DecomposeSpec(first=3, last=5, footage=Footage(fps=24))
    assert open_range(folder, spec).timecode == "01:00:00:02"


def test_frames_that_are_numbered_below_zero_are_refused_or_numbered_anew(tmp_path: Path) -> None:
    for number in (-1, 0, 1):
        save_png(flat(90, **SIZE))(tmp_path / f"f.{number}.png")
    with pytest.raises(FootageError, match="numbered from -1"):
        open_range(tmp_path)
    spec = DecomposeSpec(footage=Footage(start_frame=1001))
    assert open_range(tmp_path, spec).range.first == 1001
