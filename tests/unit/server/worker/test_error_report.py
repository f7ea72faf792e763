"""The log gets the whole error, and not the words of the request that a library quotes."""

from __future__ import annotations

import pytest

from layert2v_server.worker.error_report import describe_error

SPEC = {
    "prompt": "a fox at dawn",
    "prompts": {"fg_01": "it's \u00e9lan"},
    "subjects": [{"words": 'the "dog"', "matte": "roto"}],
    "negative_prompt": "",
    "background_prompt": "of",
    "colorspace": "ACEScg",
}


@pytest.mark.parametrize("form", [str, repr, ascii])
def test_words_of_the_request_are_taken_out(form: object) -> None:
    words = [SPEC["prompt"], SPEC["prompts"]["fg_01"], SPEC["subjects"][0]["words"]]  # type: ignore[index]
    error = RuntimeError("no tokens for " + " and ".join(form(each) for each in words))  # type: ignore[operator]
    error.__cause__ = KeyError(SPEC["prompt"])
    text = describe_error(error, SPEC)
    assert text.count("[words of the request]") == 4
    assert all(word not in text for word in ("fox", "lan", "dog"))


def test_the_rest_stays() -> None:
    text = describe_error(ValueError("the size of ACEScg and roto"), SPEC)
    assert text == "ValueError: the size of ACEScg and roto"
