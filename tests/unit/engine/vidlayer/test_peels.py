"""Two discs before a wall, cut by their true mattes: what is left after each peel is inspected."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fakes.moving_disc import HEIGHT, WIDTH, disc_clip, write_clip
from layert2v.decompose import DecomposeSpec, SubjectSpec
from layert2v.stack import Stack
from layert2v_engine.decompose.arrays import encode
from layert2v_engine.engine import Engine
from layert2v_engine.metrics.layers import psnr
from layert2v_engine.vidlayer.annotate import find_problem, question_of
from layert2v_engine.vidlayer.build import build
from layert2v_engine.vidlayer.clip_stage import PerClipStage
from layert2v_engine.vidlayer.clips import ClipFormat
from layert2v_engine.vidlayer.cut import CutStage, subjects_of
from layert2v_engine.vidlayer.movies import read_bytes, write_lossless
from layert2v_engine.vidlayer.peels import peels
from layert2v_engine.vidlayer.plan import BuildPlan
from layert2v_engine.vidlayer.readers import open_data_set, read_sample
from layert2v_engine.vidlayer.readers.authors import AuthorsFolder
from layert2v_engine.vidlayer.readers.own import OVER
from layert2v_engine.vidlayer.report import write_report
from layert2v_engine.vidlayer.sources import find_sources
from layert2v_engine.vidlayer.state import ClipState, clip_states
from layert2v_engine.vidlayer.thresholds import Thresholds
from layert2v_engine.vidlayer.vision import VisionClient

FRAMES = 3
LENIENT = "[clip.motion_score_global_mean]\nmax = 1.0\n[inspect.invented_share]\nmax = 1.0\n"
Picture = NDArray[np.float32]


@dataclass(frozen=True)
class TwoDiscs:
    """Footage of two discs, what is left without the near one, and the folders of their mattes."""

    footage: Path
    left: Picture
    mattes: tuple[Path, Path]


class MatteEngine(Engine):
    """Takes subjects as an artist has outlined them, whatever they are called."""

    def __init__(self, mattes: tuple[Path, ...]) -> None:
        super().__init__()
        self.mattes = mattes

    def decompose(self, spec: DecomposeSpec, *args: Any, **options: Any) -> Stack:
        """Decompose with the mattes of the first subjects."""
        names = [f"matte_{k}" for k in range(len(spec.subjects))]
        outlined = replace(spec, subjects=tuple(SubjectSpec(matte=each) for each in names))
        options["inputs"] |= dict(zip(names, self.mattes, strict=False))
        return super().decompose(outlined, *args, **options)


@dataclass(frozen=True, kw_only=True)
class MattePlan(BuildPlan):
    """Every stage as it is, but for where the mattes come from."""

    mattes: tuple[Path, ...]

    def make_stage(self, name: str, client: VisionClient | None = None) -> PerClipStage:
        stage = super().make_stage(name, client)
        if isinstance(stage, CutStage):
            stage._engine = MatteEngine(self.mattes)
        return stage


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> TwoDiscs:
    folder = tmp_path_factory.mktemp("discs")
    near = disc_clip(frames=FRAMES)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    far = np.stack([
        np.clip(7.5 - np.hypot(columns - 76 + 24 * t, rows - 14), 0, 1) for t in range(FRAMES)
    ]).astype(np.float32)  # fmt: skip
    blue = np.stack([0.1 + 0.004 * rows, 0.2 + 0 * rows, 0.7 + 0.002 * columns], -1)
    left = near.background * (1 - far[..., None]) + blue * far[..., None]
    shown = left * (1 - near.shadow[..., None])
    color = np.stack([0.8 + 0 * rows, 0.1 + 0.005 * rows, 0.1 + 0.002 * columns], -1)
    source = shown + (color - shown) * near.alpha[..., None]
    pictures = (encode(source).clip(0, 1) * 255).round().astype(np.uint8)
    write_lossless(folder / "footage" / "discs.mkv", pictures, 24)
    (folder / "limits.toml").write_text(LENIENT)
    mattes = tuple(
        write_clip(folder / name, alpha, first=0)
        for name, alpha in (("near", near.alpha), ("far", far))
    )
    return TwoDiscs(folder / "footage", encode(left).clip(0, 1), (mattes[0], mattes[1]))


def make_plan(discs: TwoDiscs, root: Path, *mattes: Path) -> MattePlan:
    return MattePlan(
        root=root,
        thresholds=Thresholds.load(discs.footage.parent / "limits.toml"),
        clip_format=ClipFormat(frames=FRAMES),
        subjects=2,
        mattes=mattes,
    )


def build_set(plan: MattePlan, discs: TwoDiscs) -> ClipState:
    build(plan, find_sources([discs.footage], allow_unlicensed=True), lambda _: None)
    (state,) = [each for each in clip_states(plan.root) if each.is_done("cut")]
    return state


@pytest.fixture(scope="module")
def built(discs: TwoDiscs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("peels") / "set"
    build_set(make_plan(discs, root, *discs.mattes), discs)
    return root


def test_each_peel_has_the_background_that_is_left(discs: TwoDiscs, built: Path) -> None:
    (files,) = open_data_set(built).samples
    sample = read_sample(files)

    far, near = peels(sample)

    left = torch.from_numpy(discs.left).movedim(-1, 1)
    assert near.full.equal(sample.full)
    assert near.background.equal(far.full)
    assert far.background.equal(sample.background)
    assert psnr(far.full, left) > 25
    assert psnr(sample.background, left) < psnr(far.full, left) - 5


def test_every_peel_is_measured(built: Path) -> None:
    (state,) = [each for each in clip_states(built) if each.is_done("cut")]
    inspection = state.read("inspect")

    assert inspection["reasons"] == []
    assert len(inspection["peels"]) == 2
    assert {frozenset(each) for each in inspection["peels"]} == {
        frozenset(inspection["scores"]) - {"invented_share", "light_share"}
    }


def test_the_authors_background_is_what_is_below_the_topmost(built: Path) -> None:
    (own,) = open_data_set(built).samples
    (theirs,) = AuthorsFolder(built / "clips").samples
    sample = read_sample(own)

    background = read_sample(theirs).background

    assert own.foregrounds[0].over is not None
    assert psnr(background, peels(sample)[0].full) > psnr(background, sample.background) + 5
    assert theirs.background_caption == f"{own.foregrounds[0].caption}, {own.background_caption}"
    assert "background_over_01" in write_report(built).read_text()


def test_a_subject_left_in_one_peel_rejects_the_clip(
    discs: TwoDiscs, built: Path, tmp_path: Path
) -> None:
    shutil.copytree(built, tmp_path / "set")
    (state,) = [each for each in clip_states(tmp_path / "set") if each.is_done("cut")]
    layers = state.folder / "layers"
    left = layers / OVER.format(1)
    left.unlink()  # a hard link of what was kept
    write_lossless(left, read_bytes(layers / "full_video.mkv"), 24)
    state.forget("inspect")

    make_plan(discs, tmp_path / "set").make_stage("inspect")({"clip": [state.clip]})

    reasons = state.read("inspect")["reasons"]
    assert any(
        each.startswith("subject_left_behind") and each.endswith("(foreground 2)")
        for each in reasons
    )


def test_one_subject_less_is_cut_where_two_are_the_same(discs: TwoDiscs, tmp_path: Path) -> None:
    near, _ = discs.mattes

    state = build_set(make_plan(discs, tmp_path / "set", near, near), discs)

    assert state.read("cut")["foregrounds"] == 1
    assert "peels" not in state.read("inspect")


def test_a_model_is_asked_for_further_subjects() -> None:
    answer: dict[str, Any] = {
        "subject": "the dog", "full_caption": "a dog and a cat", "foreground_caption": "a dog runs",
        "background_caption": "a lawn", "integral_belongings": [], "affected_objects": [],
        "further_subjects": [{"subject": "the cat", "foreground_caption": "a cat sits"}],
    }  # fmt: skip

    assert '"further_subjects": a list of 0 to 2' in question_of(3)
    assert "further_subjects" not in question_of(1)
    assert find_problem(answer) == ""
    assert subjects_of(answer, 2) == (SubjectSpec(words="the dog"), SubjectSpec(words="the cat"))
    assert subjects_of(answer, 1) == (SubjectSpec(words="the dog"),)


@pytest.mark.parametrize(
    ("further", "problem"),
    [("a cat", "further_subjects is not a list"), ([{"subject": "the cat"}], "foreground_caption")],
)
def test_a_wrong_list_of_subjects_is_said(further: object, problem: str) -> None:
    answer = {
        "subject": "a", "full_caption": "a", "foreground_caption": "a", "background_caption": "a",
        "integral_belongings": [], "affected_objects": [], "further_subjects": further,
    }  # fmt: skip

    assert problem in find_problem(answer)
