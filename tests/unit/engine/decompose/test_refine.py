from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes.footage import save_video
from fakes.moving_disc import FRAMES, DiscClip, disc_clip, write_clip
from layert2v.decompose import DecomposeSpec, Point, RefineSpec, SubjectSpec
from layert2v.stack import Stack, frame_path
from layert2v.stack import read as read_stack
from layert2v_engine.decompose.arrays import erode
from layert2v_engine.decompose.measures import mismatch
from layert2v_engine.engine import Engine
from layert2v_engine.errors import FootageError, InvalidSpec
from layert2v_engine.image import exr

REFINE = RefineSpec(layer="fg_01", matte="roto")
BAR = (slice(None), slice(4, 24), slice(70, 86))  # where the second subject stands


@pytest.fixture(scope="module")
def clip() -> DiscClip:
    return disc_clip()


@pytest.fixture(scope="module")
def original(clip: DiscClip, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a stack of two subjects: the disc, and behind it a bar on the wall."""
    root = tmp_path_factory.mktemp("original")
    bar = np.zeros_like(clip.alpha)
    bar[BAR] = 1
    source = np.where(bar[..., None] > clip.alpha[..., None], np.float32(2.5), clip.source)
    inputs = {
        "footage": write_clip(root / "footage", source),
        "near": write_clip(root / "near", clip.alpha),
        "far": write_clip(root / "far", bar),
    }
    subjects = (SubjectSpec(matte="near"), SubjectSpec(matte="far"))
    Engine().decompose(
        DecomposeSpec(subjects=subjects),
        root / "stack",
        inputs=inputs,
        report=lambda _: None,
        cancelled=lambda: False,
    )
    return root / "stack"


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "stack"))


def test_subjects_are_peeled_the_nearest_on_top(original: Path) -> None:
    stack = read_stack(original)

    names = [layer.name for layer in stack.layers]
    assert names == ["bg", "shadow_01", "fg_01", "shadow_02", "fg_02"]
    assert read(original, stack, "fg_01", 0)[BAR[1:]][..., 3].min() == 1  # the bar
    _check_comp(original, stack)


@pytest.mark.parametrize("layer", ["fg_01", "fg_02"])
def test_one_layer_changes_and_the_others_stay(layer: str, folder: Path, clip: DiscClip) -> None:
    before = read_stack(folder)
    matte = np.zeros_like(clip.alpha)
    matte[:, 20:40, 10:86] = 1

    stack = refine(folder, RefineSpec(layer=layer, matte="roto"), matte)

    versions = stack.history[-1].versions
    shadow = layer.replace("fg", "shadow")
    assert set(versions) == {"bg", layer, shadow, "comp"}
    assert stack.history[-1].action == "refine"
    others = [each for each in before.layers if each.name not in versions]
    assert all(stack.layer(each.name) == each for each in others)
    _check_comp(folder, stack)


def test_one_picture_is_held(folder: Path, clip: DiscClip) -> None:
    stack = refine(folder, REFINE, clip.alpha[:1])

    assert stack.state == 2
    _check_comp(folder, stack)


def test_a_movie_of_mattes_is_read_as_the_request_says(folder: Path, clip: DiscClip) -> None:
    gray = (clip.alpha * 255).astype(np.uint8)
    movie = save_video(folder.parent / "roto.mp4", [np.dstack([one] * 3) for one in gray])
    spec = replace(REFINE, matrix="bt709", color_range="full", deinterlace=True)
    said = run(folder, spec, movie).history[-1]
    assert "roto.mp4 is deinterlaced" in said.note or "bwdif" in said.note
    assert (said.spec["matrix"], said.spec["deinterlace"]) == ("bt709", True)


def test_a_matte_of_some_frames_is_refused(folder: Path, clip: DiscClip) -> None:
    with pytest.raises(FootageError, match="does not have all of the 7 frames"):
        refine(folder, REFINE, clip.alpha[:3])

    assert read_stack(folder).state == 1
    assert not (folder / ".decompose").exists()


@pytest.mark.parametrize("pan", [0.0, 2.0])
def test_points_correct_a_layers_own_matte_on_all_frames(pan: float, tmp_path: Path) -> None:
    """A bar that stands on the wall is taken with the disc, left out, and taken again."""
    clip = disc_clip(pan=pan)
    bar = np.zeros_like(clip.alpha)
    for frame, plane in enumerate(bar):
        left = 78 - round(pan * frame)
        plane[4:16, left : left + 14] = 1
    source = np.where(bar[..., None] > clip.alpha[..., None], np.float32(2.5), clip.source)
    both = np.maximum(clip.alpha, bar)
    pictures = {"footage": source, "both": both}
    inputs = {key: write_clip(tmp_path / key, each) for key, each in pictures.items()}
    folder = tmp_path / "stack"
    engine = Engine()
    quiet = {"report": lambda _: None, "cancelled": lambda: False}
    spec = DecomposeSpec(subjects=(SubjectSpec(matte="both"),))
    engine.decompose(spec, folder, inputs=inputs, **quiet)
    place = (1004.0, 85.0 - 3 * pan, 10.0)

    def correct(is_subject: bool) -> np.ndarray:
        point = Point(1004, place[1], place[2], is_subject)
        stack = engine.refine(RefineSpec("fg_01", points=(point,)), folder, inputs={}, **quiet)
        _check_comp(folder, stack)
        return np.stack([read(folder, stack, "fg_01", k)[..., 3] for k in range(FRAMES)])

    without = correct(is_subject=False)
    again = correct(is_subject=True)

    inside, disc = bar > 0, clip.alpha > 0
    assert without[inside & ~disc].mean() < 0.02
    core = np.stack([erode(plane > 0, 1) for plane in bar])
    assert again[core].mean() > 0.96
    assert again[inside].mean() > 0.8  # a rim of one pixel is a third of it, and soft
    for alpha in (without, again):
        error = np.abs(alpha - clip.alpha)
        assert error[:4][disc[:4]].max() < 0.002  # far from the bar: as the artist drew it
        assert error[disc].mean() < 0.01
        assert alpha[(both == 0)].mean() < 0.01
    assert read_stack(folder).history[-1].spec["points"][0]["is_subject"]


def test_points_that_say_nothing_new_are_refused(folder: Path) -> None:
    point = Point(1001, 90.0, 60.0, is_subject=False)
    with pytest.raises(FootageError, match="right already at every point"):
        Engine().refine(
            RefineSpec("fg_02", points=(point,)),
            folder,
            inputs={},
            report=lambda _: None,
            cancelled=lambda: False,
        )
    assert read_stack(folder).state == 1
    assert not (folder / ".decompose").exists()


def test_an_unknown_layer_is_refused(folder: Path, clip: DiscClip) -> None:
    with pytest.raises(InvalidSpec, match="no foreground 'fg_07'"):
        refine(folder, RefineSpec(layer="fg_07", matte="roto"), clip.alpha)


def refine(folder: Path, spec: RefineSpec, matte: np.ndarray) -> Stack:
    return run(folder, spec, write_clip(folder.parent / "roto", matte))


def run(folder: Path, spec: RefineSpec, matte: Path) -> Stack:
    return Engine().refine(
        spec, folder, inputs={"roto": matte}, report=lambda _: None, cancelled=lambda: False
    )


def read(folder: Path, stack: Stack, name: str, index: int) -> np.ndarray:
    flats = {flat.name: flat for flat in stack.flats}
    sequence = flats[name] if name in flats else stack.layer(name)
    return exr.read(folder / frame_path(sequence.pattern, 1001 + index)).float().numpy()


def _check_comp(folder: Path, stack: Stack) -> None:
    for index in range(FRAMES):
        comp, ref = (read(folder, stack, name, index)[..., :3] for name in ("comp", "ref"))
        assert mismatch(ref, comp) <= 5.01  # of two subjects, and of the comp itself
