"""Requests to change a stack as JSON, and the keys of what comes with them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given

from fakes.rerender_examples import (
    DONOR,
    FOX,
)
from fakes.sample_documents import rerenders
from layert2v import rerender
from layert2v.errors import SpecError
from layert2v.rerender import (
    RerenderSpec,
)


@given(rerenders)
def test_json_round_trip(spec: RerenderSpec) -> None:
    text = json.dumps(rerender.rerender_to_json(spec))
    assert rerender.rerender_from_json(json.loads(text)) == spec


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": 1}, "Unknown field: extra"),
        ({"prompts": {"fg_01": 3}}, "prompts.fg_01 must be text"),
        ({"donor": {"input": "a", "layer": "bg", "with_shadow": 1}}, "must be true or false"),
        ({"plate": []}, "plate must be an object"),
    ],
)
def test_other_json_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        rerender.rerender_from_json({**rerender.rerender_to_json(FOX), **change})


def test_every_key_once() -> None:
    spec = replace(FOX, masks={"fg_01": "m", "shadow_01": "m"})
    assert spec.input_keys == ("m",)
    assert replace(DONOR, masks={"shadow_01": "m"}).input_keys == ("other", "m")
