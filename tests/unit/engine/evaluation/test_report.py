"""The measures: each must tell a good clip from a spoiled one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from layert2v_engine.errors import EngineError
from layert2v_engine.evaluation.benchmark import carried_size, largest_request
from layert2v_engine.evaluation.samples import draw_wishes, read_wishes, selection_of
from layert2v_engine.evaluation.summary import TABLE, table
from layert2v_engine.image.srgb import decode_srgb, encode_srgb
from layert2v_engine.metrics import layers as measures
from layert2v_engine.metrics.diversity import nearest, spread
from layert2v_engine.metrics.flow import warped_error
from layert2v_engine.model.checkpoint import read_index
from layert2v_engine.pipeline import find_model
from layert2v_engine.stream_codec import ForegroundFrames, LayerFrames
from layert2v_engine.world.text.vocabulary import SUBJECTS, V0, V1, is_held_out

HEIGHT, WIDTH, FRAMES = 48, 64, 3


def disc(row: int = 24, column: int = 32, radius: int = 10) -> Tensor:  # [1, 1, T, H, W]
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    plane = np.clip(radius + 0.5 - np.hypot(y - row, x - column), 0, 1).astype(np.float32)
    return torch.from_numpy(plane).expand(1, 1, FRAMES, -1, -1).clone()


def clip(shadow: Tensor | None = None) -> LayerFrames:
    """A grey disc over a white ground, and the shadow below it that the full video shows."""
    alpha, cast = disc(), disc(34, 36, 8) * 0.6
    ground = torch.full((1, 3, FRAMES, HEIGHT, WIDTH), 0.9)
    colour = torch.full_like(ground, 0.4)
    linear = decode_srgb(ground) * (1 - cast)
    full = encode_srgb(decode_srgb(colour) * alpha + linear * (1 - alpha))
    actor = ForegroundFrames(color=colour, alpha=alpha, shadow=cast if shadow is None else shadow)
    return LayerFrames(composite=full, background=ground, foregrounds=(actor,))


def textured(shift: int) -> Tensor:  # [3, T, H, W], moved by `shift` pixels a frame
    rng = np.random.default_rng(0)
    rough = torch.from_numpy(rng.random((1, 3, 12, 32)).astype(np.float32))
    wide = torch.nn.functional.interpolate(rough, (HEIGHT, 2 * WIDTH), mode="bicubic")[0]
    wide = wide.clamp(0, 1)
    return torch.stack([wide[:, :, k * shift : k * shift + WIDTH] for k in range(FRAMES)], 1)


def test_layers_that_add_up_recompose_the_full_video() -> None:
    whole = clip()
    assert measures.psnr(measures.recompose(whole), whole.composite[0]) > 60
    assert measures.psnr(measures.recompose(clip(disc() * 0)), whole.composite[0]) < 30


def test_a_shadow_that_lies_elsewhere_does_not_correlate() -> None:
    good, bad = clip(), clip(disc(10, 10, 8) * 0.6)
    assert measures.shadow_correlation(good, good.foregrounds[0]) > 0.95
    assert measures.shadow_correlation(bad, bad.foregrounds[0]) < 0.2


def test_a_shadow_left_behind_is_out_of_reach() -> None:
    body = clip().foregrounds[0]
    small = replace(body, alpha=disc(radius=4))
    assert measures.shadow_reach(replace(small, shadow=disc(30, 34, 4))) == pytest.approx(1)
    assert measures.shadow_reach(replace(small, shadow=disc(30, 5, 4))) < 0.1


def test_holes_and_islands_of_a_matte_are_seen() -> None:
    whole = measures.matte_figures(disc())
    assert whole["one_body_share"] == 1
    assert whole["no_hole_share"] == 1
    holed, split = disc(), torch.maximum(disc(column=16), disc(column=48))
    holed[..., 21:27, 29:35] = 0
    assert measures.matte_figures(holed)["no_hole_share"] == 0
    assert measures.matte_figures(split)["one_body_share"] == 0


def test_motion_alone_is_no_error_but_flicker_is() -> None:
    moving = textured(2)
    flicker = moving + 0.2 * torch.tensor([0.0, 1.0, 0.0])[None, :, None, None]
    assert warped_error(moving, moving) < 0.01
    assert warped_error(flicker, moving) > 0.1


def test_a_copy_is_found_among_trained_clips() -> None:
    own, other = textured(1), textured(3)
    assert float(nearest([own], [other, own])) < 1e-3
    assert spread([own, own]) < 1e-3 < spread([own, other])


def test_prompts_of_a_file_are_understood_by_name_and_synonym(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("# mine\n\na red fox in the woods at midnight\na robot on a sunny day\n")
    fox, robot = read_wishes(path)
    assert SUBJECTS[fox.subjects[0]].name == "fox"
    assert fox.place == 1
    assert fox.time == 2
    assert robot.subjects == (-1,)
    assert robot.time == 0


def test_a_file_without_prompts_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text("# nothing\n")
    with pytest.raises(EngineError, match="no prompt in"):
        read_wishes(path)
    with pytest.raises(EngineError, match="cannot be read"):
        read_wishes(tmp_path / "missing.txt")


def test_wishes_take_every_subject_and_keep_held_out_scenes_apart() -> None:
    wishes = draw_wishes(V0, 16, 0, held_out=False)
    assert {wish.subjects[0] for wish in wishes} == set(V0.subject_indices)
    assert not any(is_held_out(w.subjects[0], w.place, w.time) for w in wishes)
    rare = draw_wishes(V0, 8, 0, held_out=True)
    assert all(is_held_out(w.subjects[0], w.place, w.time) for w in rare)
    pairs = draw_wishes(V1, 6, 0, held_out=False, foregrounds=2)
    assert all(len(w.subjects) == 2 and " and " in w.prompt for w in pairs)


def test_the_shipped_model_says_what_can_be_measured() -> None:
    folder = find_model("mini")
    info = read_index(folder).info
    assert set(selection_of(info).subjects) == set(info.vocabulary["subject"])
    request = largest_request(info, "a fox")
    assert request.width <= info.width_range[1]
    assert request.frames <= info.frames_range[1]
    size = carried_size(folder)
    assert size["size_mb"] < 60
    assert size["largest_file_mb"] < 15


def test_the_table_says_which_bars_are_met() -> None:
    groups = {"seen": {"recomposition_psnr_db": 31.0, "subject": 0.5}}
    lines = table(groups).splitlines()
    assert lines[2] == "| recomposition, PSNR | 31 dB | at least 30 dB | yes |"
    assert lines[3] == "| subject | 50.0 % | 80 % | **no** |"
    assert len(lines) == 4 < len(TABLE)


@pytest.mark.parametrize(("frames", "met"), [(17, "yes"), (9, "asked for less")])
def test_a_smaller_request_meets_no_bar_of_time(frames: int, met: str) -> None:
    cost = {"width": 256.0, "height": 256.0, "frames": float(frames), "warm_s": 3.0}
    assert table({"cost": cost}).splitlines()[2].endswith(f"| {met} |")
