from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.vision_endpoint import Endpoint
from layert2v_engine.vidlayer.annotate import QUESTION, find_problem
from layert2v_engine.vidlayer.vision import (
    VisionBudget,
    VisionClient,
    VisionConfig,
    VisionError,
    VisionRefused,
)

PICTURE = np.full((32, 48, 3), 90, np.uint8)
ANSWER = {
    "subject": "the dog",
    "full_caption": "a dog runs on a lawn",
    "foreground_caption": "a dog runs",
    "background_caption": "a lawn",
    "integral_belongings": ["a collar"],
    "affected_objects": [{"name": "shadow", "kind": "visual_artifact", "cells": [[1, 2]]}],
}


def client_of(endpoint: Endpoint, cache: Path, **settings: Any) -> tuple[VisionClient, list[float]]:
    waits: list[float] = []
    config = VisionConfig(url=endpoint.url, **{"timeout_s": 30.0, **settings})
    return VisionClient(config, cache, sleep=waits.append), waits


def test_an_answer_is_asked_for_once(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = [(200, f"```json\n{json.dumps(ANSWER)}\n```")]
    client, _ = client_of(endpoint, tmp_path)

    answers = [client.ask(QUESTION, [PICTURE], find_problem) for _ in range(2)]

    assert answers == [ANSWER, ANSWER]
    text, image = endpoint.bodies[0]["messages"][0]["content"]
    assert text["text"] == QUESTION
    assert image["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert len(endpoint.bodies) == 1


def test_every_vote_is_a_question_of_its_own(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = [(200, json.dumps(ANSWER))] * 2
    client, _ = client_of(endpoint, tmp_path)

    for vote in range(2):
        client.ask(QUESTION, [PICTURE], find_problem, vote=vote)

    assert [body["seed"] for body in endpoint.bodies] == [0, 1]


def test_limits_time_outs_and_wrong_answers_are_tried_again(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    wrong = {**ANSWER, "affected_objects": [{"kind": "magic"}]}
    endpoint.script = [
        (429, ""),
        (0, 6.0),
        (200, "I see a dog."),
        (200, json.dumps(wrong)),
        (200, json.dumps(ANSWER)),
    ]
    client, waits = client_of(endpoint, tmp_path, tries=5, timeout_s=2.0)

    assert client.ask(QUESTION, [PICTURE], find_problem) == ANSWER
    assert waits == [7.0, 1.0, 2.0, 4.0]
    asked = [(body["seed"], body["temperature"]) for body in endpoint.bodies]
    assert asked == [(0, 0.0), (0, 0.0), (0, 0.0), (3000, 0.7), (4000, 0.7)]
    assert client.ask(QUESTION, [PICTURE], find_problem) == ANSWER  # kept as that of the question


def test_no_right_answer_says_what_was_wrong(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = [(200, '{"subject": ""}')] * 2
    client, _ = client_of(endpoint, tmp_path, tries=2)

    with pytest.raises(VisionError, match="in 2 tries: subject is missing"):
        client.ask(QUESTION, [PICTURE], find_problem)


def test_one_clip_without_a_right_answer_is_a_refusal(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = [(200, json.dumps(ANSWER)), (200, "nonsense"), (200, "{}")]
    client, _ = client_of(endpoint, tmp_path, tries=2)
    client.ask(QUESTION, [PICTURE], find_problem)

    with pytest.raises(VisionRefused, match="in 2 tries: subject is missing"):
        client.ask(QUESTION, [PICTURE // 2], find_problem)


def test_a_refusal_is_not_tried_again(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = [(200, {"refusal": "I cannot help with that.", "content": None})]
    client, _ = client_of(endpoint, tmp_path)

    with pytest.raises(VisionRefused, match="cannot help"):
        client.ask(QUESTION, [PICTURE], find_problem)


def test_no_more_requests_than_allowed(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = [(200, "nonsense")] * 2
    client, _ = client_of(endpoint, tmp_path, max_requests=1)

    with pytest.raises(VisionBudget, match="1 requests were made"):
        client.ask(QUESTION, [PICTURE], find_problem)
    assert len(endpoint.bodies) == 1


def test_a_wrong_key_is_said_at_once(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = [(401, "")]
    client, waits = client_of(endpoint, tmp_path)

    with pytest.raises(VisionError, match="401"):
        client.ask(QUESTION, [PICTURE], find_problem)
    assert waits == []
