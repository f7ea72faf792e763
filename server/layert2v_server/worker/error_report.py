"""What the log learns of an error that nobody expected: everything but the words of the request."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from typing import Any

MIN_LENGTH = 3  # of words that are taken out: shorter ones are in every text
INSTEAD = "[words of the request]"


def describe_error(error: BaseException, spec: Mapping[str, Any]) -> str:
    """Return the traceback of an error, without the prompts of ``spec`` that a library quotes."""
    text = "".join(traceback.format_exception(error)).rstrip()
    for words in sorted(set(_words(spec, is_prompt=False)), key=len, reverse=True):
        if len(words) >= MIN_LENGTH:
            for form in (words, repr(words)[1:-1], ascii(words)[1:-1]):
                text = text.replace(form, INSTEAD)
    return text


def _words(value: Any, *, is_prompt: bool) -> Iterator[str]:
    """Yield all texts that are below a field whose name says that it holds a prompt or words."""
    if isinstance(value, str) and is_prompt:
        yield value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _words(each, is_prompt=is_prompt or "prompt" in name or "words" in name)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _words(each, is_prompt=is_prompt)
