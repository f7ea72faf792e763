from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from fakes.moving_disc import disc_clip
from fakes.scripts import load_script
from layert2v_engine.decompose.arrays import encode
from layert2v_engine.vidlayer.readers import open_data_set, read_sample
from layert2v_engine.vidlayer.state import ClipState

layered_truth = load_script("layered_truth")

STORED = {"full": "full_video", "background": "background", "matte": "matte_01",
          "color": "foreground_01", "shadow": "shadow_01"}  # fmt: skip


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    out = tmp_path / "truth"
    for seed in range(2):
        clip = disc_clip(frames=3, seed=seed)
        pictures = [torch.from_numpy(encode(each)) for each in (clip.source, clip.background)]
        planes = [torch.from_numpy(each)[..., None] for each in (clip.alpha, clip.shadow)]
        layered_truth.write_clip(
            out, f"disc_{seed}", torch.cat([*pictures, *planes], -1).movedim(-1, 1), False
        )
    (out / "layout.toml").write_text(layered_truth.LAYOUT)
    return out


def build(root: Path, truth: Path, name: str, layers_of: str, reasons: list[str]) -> None:
    """Write a clip as it is while a data set is built, with the layers of ``layers_of``."""
    state = ClipState(root, f"{name}_0123abcd_000000")
    (state.folder / "layers").mkdir(parents=True)
    for layer, stored in STORED.items():
        source = truth / layer / f"{name if layer == 'full' else layers_of}.mkv"
        shutil.copy(source, state.folder / "layers" / f"{stored}.mkv")
    state.finish("clip", {"source": str(truth / "full" / f"{name}.mkv"), "reasons": []})
    state.finish("cut", {"foregrounds": 1})
    state.finish("inspect", {"scores": {"recomposition_psnr_db": 60.0}, "reasons": reasons})


def test_kept_and_rejected_clips_are_held_against_the_truth(
    truth: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "built"
    build(root, truth, "disc_0", "disc_0", [])
    build(root, truth, "disc_1", "disc_0", ["hole: 1 is above 0"])

    layered_truth.print_comparison(root, truth)

    lines = capsys.readouterr().out.splitlines()
    kept, rejected = (line.split() for line in lines[-2:])
    assert kept[:5] == ["kept", "1", "1.000", "0.000", "0.000"]
    assert rejected[:2] == ["rejected", "1"]
    assert float(rejected[6]) < 30 < float(kept[6])  # the background of another wall
    assert lines[1].endswith("; hole")


def test_true_layers_add_up_and_are_read_by_their_layout(truth: Path) -> None:
    sample = read_sample(open_data_set(truth).samples[0])

    errors = layered_truth.measure(sample, sample)

    assert len(sample.full) == 3
    assert errors["iou"] == 1
    assert errors["shadow_error"] == errors["MAD"] == 0


def test_scores_that_go_with_an_error_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    clips = [
        layered_truth.ComparedClip(
            name=f"clip {k}", group="kept", reasons=[],
            errors=dict.fromkeys(layered_truth.COLUMNS, float(k)),
            scores={"hole_share": -float(k), "softness": float(k % 2), "cuts": 0.0},
        )
        for k in range(12)
    ]  # fmt: skip
    del clips[3].errors["shadow_error"]  # it has no shadow

    layered_truth.print_correlations(clips)
    layered_truth.print_spread({"kept": clips, "no layers": []})

    shown = {
        line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line
    }
    assert shown["hole_share"] == ["-1.00"] * 4
    assert abs(float(shown["softness"][0])) < 0.2
    assert "cuts" not in shown  # the same of all
    assert shown["kept"][:3] == ["1.1", "5.5", "9.9"]
    assert "no" not in shown
