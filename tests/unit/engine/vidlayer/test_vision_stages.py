"""The stages that ask a model, which is behind real HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fakes.disc_sample import good_sample
from fakes.vision_endpoint import Endpoint
from layert2v_engine.vidlayer.annotate import AnnotateStage, notes_of
from layert2v_engine.vidlayer.clips import FOOTAGE
from layert2v_engine.vidlayer.inspect import CRITERIA, InspectStage
from layert2v_engine.vidlayer.movies import write_lossless
from layert2v_engine.vidlayer.readers.own import LAYERS
from layert2v_engine.vidlayer.state import QUARANTINE, ClipState
from layert2v_engine.vidlayer.thresholds import Thresholds
from layert2v_engine.vidlayer.vision import VisionBudget, VisionClient, VisionConfig, VisionError

NOTES = {
    "subject": "the disc",
    "full_caption": "a disc crosses a wall",
    "foreground_caption": "a red disc",
    "background_caption": "a wall",
    "integral_belongings": [],
    "affected_objects": [],
}


@pytest.fixture
def clip(tmp_path: Path) -> ClipState:
    """Return a clip that was cut well."""
    state = ClipState(tmp_path, "disc")
    sample = good_sample()
    (layer,) = sample.foregrounds
    assert layer.shadow is not None
    videos = {
        f"{LAYERS}/full_video.mkv": sample.full, f"{LAYERS}/background.mkv": sample.background,
        f"{LAYERS}/foreground_01.mkv": layer.color, f"{LAYERS}/matte_01.mkv": layer.matte,
        f"{LAYERS}/shadow_01.mkv": layer.shadow, FOOTAGE: sample.full,
    }  # fmt: skip
    for name, video in videos.items():
        pixels = (video * 255).round().to(torch.uint8).movedim(1, -1).numpy()
        write_lossless(state.folder / name, pixels[..., 0] if video.shape[1] == 1 else pixels, 24)
    state.finish("clip", {"reasons": []})
    state.finish("cut", {"foregrounds": 1, "measures": {}})
    return state


def client_of(endpoint: Endpoint, state: ClipState, **settings: Any) -> VisionClient:
    config = VisionConfig(url=endpoint.url, model="judge", **{"tries": 1, **settings})
    return VisionClient(config, state.folder / ".answers", sleep=lambda _: None)


def inspect(endpoint: Endpoint, state: ClipState, **settings: Any) -> dict[str, Any]:
    """Return what is known after a clip with captions by a model was inspected."""
    state.finish("annotate", NOTES | {"captions_by": "model"})
    client = client_of(endpoint, state, **settings)
    InspectStage(state.folder.parents[1], Thresholds.load(), client)({"clip": [state.clip]})
    return state.read("inspect")


def vote(**against: str) -> tuple[int, str]:
    answer = {each: {"yes": each not in against, "why": against.get(each, "")} for each in CRITERIA}
    return 200, json.dumps(answer)


def test_a_model_says_subject_and_captions(endpoint: Endpoint, clip: ClipState) -> None:
    endpoint.script = [(200, json.dumps(NOTES))]

    AnnotateStage(clip.folder.parents[1], client_of(endpoint, clip))({"clip": [clip.clip]})

    assert notes_of(clip) == NOTES | {"captions_by": "model", "model": "judge"}


def test_a_clip_that_a_model_refuses_gets_its_captions_by_template(
    endpoint: Endpoint, clip: ClipState
) -> None:
    endpoint.script = [(200, {"refusal": "I cannot help with that.", "content": None})]

    AnnotateStage(clip.folder.parents[1], client_of(endpoint, clip))({"clip": [clip.clip]})

    assert clip.read("annotate")["captions_by"] == "template"
    assert "cannot help" in clip.read("annotate")["refused"]


def test_most_votes_reject_a_clip_with_their_reason(endpoint: Endpoint, clip: ClipState) -> None:
    smear = {"background_real": "a smear at the left"}
    endpoint.script = [vote(), vote(**smear, subject_gone="a ghost"), vote(**smear)]

    found = inspect(endpoint, clip)

    assert found["reasons"] == [
        "background_real: 2 of 3 votes against it, such as a smear at the left"
    ]
    assert found["votes_against"]["subject_gone"] == 1
    assert clip.is_out
    question = endpoint.bodies[0]["messages"][0]["content"][0]["text"]
    assert 'does the sentence "a red disc" fit' in question
    clip.forget("inspect")
    assert inspect(endpoint, clip) == found
    assert len(endpoint.bodies) == 3  # the second time nothing was asked


def test_what_the_numbers_reject_is_not_asked_about(endpoint: Endpoint, clip: ClipState) -> None:
    background = clip.folder / LAYERS / "background.mkv"
    background.write_bytes((clip.folder / LAYERS / "full_video.mkv").read_bytes())

    found = inspect(endpoint, clip)

    assert "subject_left_behind" in [each.partition(":")[0] for each in found["reasons"]]
    assert endpoint.bodies == []


def test_a_refused_judgement_leaves_a_clip_to_the_numbers(
    endpoint: Endpoint, clip: ClipState
) -> None:
    endpoint.script = [vote(), (200, "I see a disc.")]

    found = inspect(endpoint, clip)

    assert (found["judge"], found["reasons"]) == ("refused", [])
    assert "no usable answer in 1 tries" in found["judge_message"]


@pytest.mark.parametrize(
    ("script", "settings", "error"),
    [
        ([vote()], {"max_requests": 1}, VisionBudget),
        ([(503, "")], {}, VisionError),
        ([(200, "I see a disc.")], {}, VisionError),  # and it has never answered otherwise
    ],
)
def test_what_is_no_clips_fault_ends_the_build(
    endpoint: Endpoint,
    clip: ClipState,
    script: list[tuple[int, Any]],
    settings: dict[str, int],
    error: type[VisionError],
) -> None:
    endpoint.script = script

    with pytest.raises(error):
        inspect(endpoint, clip, **settings)

    assert not clip.is_done("inspect")
    assert not clip.is_done(QUARANTINE)
