from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes.moving_disc import disc_clip
from layert2v.decompose import SubjectSpec
from layert2v_engine.engine import Engine
from layert2v_engine.evaluation.decompose import run
from layert2v_engine.evaluation.decompose.cases import FIRST_FRAME, Case
from layert2v_engine.evaluation.decompose.measures import Delivered, mean_iou, measure


def disc_case() -> tuple[Case, Delivered]:
    """Return the disc and its true layers, as a decomposition would deliver them."""
    clip = disc_clip()
    source, plate = (torch.from_numpy(x).movedim(-1, 1) for x in (clip.source, clip.background))
    alpha, shadow = torch.from_numpy(clip.alpha), torch.from_numpy(clip.shadow)
    below = plate * (1 - shadow[:, None])
    color = source - below * (1 - alpha[:, None])
    untouched = (alpha == 0) & (shadow == 0)
    background = torch.where(untouched[:, None], source, plate)
    delivered = Delivered(
        source=source,
        background=background,
        shadow=torch.cat([torch.zeros_like(plate), shadow[:, None]], 1),
        foreground=torch.cat([color, alpha[:, None]], 1),
    )
    return Case(
        name="disc", group="disc", footage=Path(), alpha=alpha, shadow=shadow, plate=plate
    ), delivered


def test_true_layers_have_no_error() -> None:
    case, layers = disc_case()
    metrics = measure(case, layers)
    assert metrics["iou"] == 1
    assert metrics["alpha_MAD"] == metrics["shadow_error"] == 0
    assert metrics["mismatch_half_ulps"] < 1
    assert metrics["equal_outside_effects"] == metrics["equal_where_untouched"] == 1
    assert metrics["plate_db_seen"] > 90
    assert metrics["flicker_alpha"] == pytest.approx(1, abs=0.05)


def test_each_fault_is_seen_by_its_own_measure() -> None:
    case, layers = disc_case()
    no_shadow = Delivered(
        source=layers.source,
        background=layers.background * 0.9,
        shadow=torch.zeros_like(layers.shadow),
        foreground=layers.foreground.roll(20, -1),
    )
    metrics = measure(case, no_shadow)
    assert metrics["shadow_error"] == pytest.approx(1)
    assert metrics["iou"] < 0.3
    assert metrics["mismatch_half_ulps"] > 100
    assert metrics["equal_outside_effects"] < 0.01
    assert metrics["plate_db_seen"] < 40


def test_a_box_is_measured_by_what_it_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing given finds no shadow; a box finds all, so that there is nothing to click."""
    case, layers = disc_case()
    lost = replace(layers, shadow=torch.zeros_like(layers.shadow))

    def decompose(
        engine: Engine, case: Case, folder: Path, subject: SubjectSpec | None = None
    ) -> tuple[Delivered, float]:
        return lost if subject is None else layers, 0.1

    monkeypatch.setattr(run, "decompose_case", decompose)
    metrics, pictures = run._measure_case(Engine(), case, tmp_path)

    assert metrics["shadow_error"] == pytest.approx(1)
    assert metrics["boxed_shadow_error"] == 0
    assert metrics["boxed_plate_db_seen"] > 90
    assert metrics["boxed_iou"] == metrics["clicked_iou"] == 1
    assert pictures is not None


def test_a_box_lies_around_the_subject() -> None:
    case, _ = disc_case()
    (box,) = case.boxed_subject().boxes
    assert (box.width, box.height) == (19, 19)  # of 21 pixels, all but the faintest


def test_clicks_are_made_where_a_matte_errs_most() -> None:
    case, _ = disc_case()
    assert case.next_click(case.alpha) is None

    lacks, too_much = case.alpha.clone(), case.alpha.clone()
    lacks[3] = 0
    lacks[4, :10] = 0
    too_much[2, 50:80, 10:20] = 1
    missing, extra = case.next_click(lacks), case.next_click(too_much)

    assert missing is not None
    assert (missing.frame, missing.is_subject) == (FIRST_FRAME + 3, True)
    assert case.alpha[3, int(missing.y), int(missing.x)] == 1
    assert extra is not None
    assert (extra.frame, extra.is_subject) == (FIRST_FRAME + 2, False)
    assert 10 < extra.x < 20
    assert 50 < extra.y < 80


def test_frames_without_a_subject_agree() -> None:
    empty = torch.zeros(2, 4, 4)
    assert mean_iou(empty, empty) == 1
    assert mean_iou(torch.ones(2, 4, 4), empty) == 0
