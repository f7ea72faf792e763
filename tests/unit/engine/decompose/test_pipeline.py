from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fakes.moving_disc import FRAMES, DiscClip, disc_clip, write_clip
from layert2v.decompose import Box, DecomposeSpec, SubjectSpec, decompose_from_json
from layert2v.stack import Stack, frame_path
from layert2v_engine.decompose.measures import mismatch
from layert2v_engine.decompose.plate import temporal
from layert2v_engine.engine import Engine, Progress
from layert2v_engine.errors import Cancelled, FootageError
from layert2v_engine.image import exr
from layert2v_engine.stack.inspect import inspect

MATTE = DecomposeSpec(subjects=(SubjectSpec(matte="roto"),))


@pytest.fixture(scope="module")
def clip() -> DiscClip:
    return disc_clip()


@pytest.fixture(scope="module")
def shot(clip: DiscClip, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("shot")
    mattes = write_clip(root / "roto", clip.alpha, name="roto")
    return {"footage": write_clip(root / "footage", clip.source), "roto": mattes}


@pytest.fixture(scope="module")
def result(shot: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Stack]:
    folder = tmp_path_factory.mktemp("stack") / "out"
    return folder, decompose(MATTE, folder, shot)


def test_a_stack_like_any_other(result: tuple[Path, Stack]) -> None:
    folder, stack = result

    assert [layer.name for layer in stack.layers] == ["bg", "shadow_01", "fg_01"]
    assert (stack.start_frame, stack.frames) == (1001, FRAMES)
    assert stack.history[0].action == "decompose"
    assert {each.name for each in stack.networks} >= {"u2netp", "splitter"}
    assert inspect(folder, stack).problems == []
    assert not (folder / ".decompose").exists()


def test_the_history_has_the_request_and_how_well_it_went(result: tuple[Path, Stack]) -> None:
    entry = result[1].history[0]

    assert decompose_from_json(dict(entry.spec)) == MATTE
    measures = entry.measures["fg_01"]
    assert measures["plate_psnr_db"] > 40
    assert measures["largest_mismatch_half_ulps"] <= 2.01
    assert "shot.1001.exr does not say how fast it runs" in entry.note


def test_the_comp_is_the_footage_on_every_frame(result: tuple[Path, Stack]) -> None:
    for index in range(FRAMES):
        comp, ref = (read(result, name, index)[..., :3] for name in ("comp", "ref"))
        assert mismatch(ref, comp) <= 3.01  # with the rounding of the comp itself


def test_footage_outside_of_the_subject_is_kept_to_the_bit(
    result: tuple[Path, Stack], clip: DiscClip
) -> None:
    for index in range(FRAMES):
        background = read(result, "bg", index)[..., :3]
        is_far = (clip.alpha[index] == 0) & (clip.shadow[index] == 0)
        is_far &= (read(result, "shadow_01", index) == 0).all(-1)
        source = clip.source[index].astype(np.float16).astype(np.float32)
        assert is_far.mean() > 0.8
        assert (background[is_far] == source[is_far]).all()


def test_what_the_subject_hid_is_seen(result: tuple[Path, Stack], clip: DiscClip) -> None:
    for index in range(FRAMES):
        is_hidden = clip.alpha[index] == 1
        background = read(result, "bg", index)[..., :3]
        error = np.square(background - clip.background[index])[is_hidden].mean()
        assert -10 * np.log10(error) > 32


def test_what_is_seen_much_later_is_no_invention(clip: DiscClip, tmp_path: Path) -> None:
    """A subject that waits for longer than a window before it leaves."""
    waits = 60
    order = [0] * waits + list(range(FRAMES))
    inputs = {
        "footage": write_clip(tmp_path / "footage", clip.source[order]),
        "roto": write_clip(tmp_path / "roto", clip.alpha[order], name="roto"),
    }
    stack = decompose(MATTE, tmp_path / "out", inputs)
    is_hidden = clip.alpha[0] == 1
    for index in (0, waits - 10):
        background = read((tmp_path / "out", stack), "bg", index)[..., :3]
        error = np.square(background - clip.background[0])[is_hidden].mean()
        assert -10 * np.log10(error) > 32


def test_what_a_camera_that_moves_shows_beside_a_window_is_no_invention(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporal, "WINDOW", 12)
    clip = disc_clip(pan=0.15, frames=28, waits=18)
    inputs = {
        "footage": write_clip(tmp_path / "footage", clip.source),
        "roto": write_clip(tmp_path / "roto", clip.alpha, name="roto"),
    }
    stack = decompose(MATTE, tmp_path / "out", inputs)
    assert stack.history[0].measures["fg_01"]["invented_share"] < 0.005
    for index in (0, 8, 16):
        is_hidden = clip.alpha[index] == 1
        background = read((tmp_path / "out", stack), "bg", index)[..., :3]
        error = np.square(background - clip.background[index])[is_hidden].mean()
        assert -10 * np.log10(error) > 32


@pytest.mark.parametrize("matte", ["one_pixel", "smoke"])
def test_a_matte_that_covers_little_is_taken(matte: str, clip: DiscClip, tmp_path: Path) -> None:
    alpha = clip.alpha * 0.4
    if matte == "one_pixel":
        alpha = np.zeros_like(clip.alpha)
        alpha[:, 30, 40] = 1
    inputs = {
        "footage": write_clip(tmp_path / "footage", clip.source),
        "roto": write_clip(tmp_path / "roto", alpha, name="roto"),
    }
    stack = decompose(MATTE, tmp_path / "out", inputs)
    delivered = read((tmp_path / "out", stack), "fg_01", 0)[..., 3]
    assert (delivered[alpha[0] == alpha.max()] > 0.35).all()
    assert (delivered[alpha[0] == 0] == 0).mean() > 0.9


@pytest.mark.parametrize("boxes", [(), (Box(1003, 22, 18, 24, 24),)])
def test_a_first_matte_is_seen_while_frames_are_read(
    boxes: tuple[Box, ...], shot: dict[str, Path], tmp_path: Path
) -> None:
    seen: list[Progress] = []

    with pytest.raises(Cancelled):
        Engine().decompose(
            DecomposeSpec((SubjectSpec(boxes=boxes),)),
            tmp_path / "out",
            inputs=shot,
            report=seen.append,
            cancelled=lambda: bool(seen) and seen[-1].preview is not None,
        )

    assert seen[-1].stage == "read"
    assert not (tmp_path / "out").exists()


def test_a_cancelled_request_leaves_nothing(shot: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        decompose(MATTE, tmp_path / "out", shot, cancelled=True)

    assert not (tmp_path / "out").exists()


def test_a_matte_of_another_size_is_refused(
    shot: dict[str, Path], clip: DiscClip, tmp_path: Path
) -> None:
    small = write_clip(tmp_path / "roto", clip.alpha[:, ::2, ::2])

    with pytest.raises(FootageError, match="matte is 48 x 32 pixels, but the footage is 96 x 64"):
        decompose(MATTE, tmp_path / "out", {**shot, "roto": small})


def test_a_cut_is_refused(shot: dict[str, Path], clip: DiscClip, tmp_path: Path) -> None:
    other = disc_clip(seed=2).source[:, ::-1, ::-1, ::-1] * 0.4
    cut = write_clip(tmp_path / "cut", np.concatenate([clip.source, other]))

    with pytest.raises(FootageError, match="cut between frames 1007 and 1008"):
        decompose(DecomposeSpec(), tmp_path / "out", {"footage": cut})


def test_a_still_is_refused(clip: DiscClip, tmp_path: Path) -> None:
    still = write_clip(tmp_path / "still", clip.source[:1])

    with pytest.raises(FootageError, match="one frame"):
        decompose(DecomposeSpec(), tmp_path / "out", {"footage": still})


def test_frames_that_are_not_there_are_refused(shot: dict[str, Path], tmp_path: Path) -> None:
    spec = DecomposeSpec(first=1005, last=1020)

    with pytest.raises(FootageError, match="1005-1020 are not all in the footage, 1001-1007"):
        decompose(spec, tmp_path / "out", shot)


def test_a_subject_that_fills_the_frame_is_refused(
    shot: dict[str, Path], clip: DiscClip, tmp_path: Path
) -> None:
    full = write_clip(tmp_path / "roto", np.ones_like(clip.alpha))

    with pytest.raises(FootageError, match="fills the frame"):
        decompose(MATTE, tmp_path / "out", {**shot, "roto": full})


def decompose(
    spec: DecomposeSpec, folder: Path, inputs: dict[str, Path], cancelled: bool = False
) -> Stack:
    return Engine().decompose(
        spec, folder, inputs=inputs, report=lambda _: None, cancelled=lambda: cancelled
    )


def read(result: tuple[Path, Stack], name: str, index: int) -> np.ndarray:
    folder, stack = result
    flats = {flat.name: flat for flat in stack.flats}
    sequence = flats[name] if name in flats else stack.layer(name)
    pixels: torch.Tensor = exr.read(folder / frame_path(sequence.pattern, 1001 + index))
    return pixels.float().numpy()
