"""A sentence split into layers by a language model behind an OpenAI-compatible endpoint.

Nothing is sent anywhere unless an address is given. What cannot be had from there is split by
grammar, with a warning. Knows text and one HTTP request.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from layert2v_engine.errors import BadConfig
from layert2v_engine.prompting.free_text import SplitSentence, split_sentence

ADDRESS, MODEL, KEY = (f"LAYERT2V_LANGUAGE_MODEL{end}" for end in ("", "_NAME", "_KEY"))
TIMEOUT_S = 30.0
_MAX_ANSWER_BYTES = 1 << 20
_INSTRUCTION = (
    "You split the description of one video shot into layers for compositing. Answer with JSON "
    'alone: {"foregrounds": [...], "background": "..."}. Each foreground is a short phrase about '
    "one subject that moves by itself, with its looks and its action, and without where it is; "
    "order them from the farthest to the nearest. The background is a phrase about place, time, "
    "weather and light without any of the subjects. Use the words of the description. Give at most "
    "{limit} foregrounds; describe further subjects together with the last."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LanguageModel:
    """Where to ask: ``url`` up to ``/v1``, the model's name there, and a key, if it takes one."""

    url: str
    name: str = "default"
    key: str = ""

    def __post_init__(self) -> None:
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).netloc:
            raise BadConfig(
                f"{ADDRESS} is {self.url!r}, which is no address.",
                "Write for example http://localhost:8000/v1.",
            )


def find_language_model(environment: Mapping[str, str] = os.environ) -> LanguageModel | None:
    """Return the language model that the environment names, None without one.

    Raises BadConfig for what is no address.
    """
    url = environment.get(ADDRESS, "").strip().rstrip("/")
    if not url:
        return None
    return LanguageModel(
        url=url, name=environment.get(MODEL, "default"), key=environment.get(KEY, "")
    )


class PromptSplitter:
    """Splits sentences, by a language model if there is one, else by grammar."""

    def __init__(self, model: LanguageModel | None = None) -> None:
        self._model = model

    def split(self, sentence: str, limit: int) -> tuple[SplitSentence, tuple[str, ...]]:
        """Return the parts of a sentence, up to ``limit`` subjects, and warnings."""
        if self._model is None:
            return split_sentence(sentence, limit), ()
        try:
            return _read_answer(_ask(self._model, sentence, limit), limit), ()
        except (OSError, ValueError) as error:
            warning = f"The language model did not split the prompt ({error}); grammar did."
            return split_sentence(sentence, limit), (warning,)


def _ask(model: LanguageModel, sentence: str, limit: int) -> str:
    """Return the answer's text. Raises OSError and ValueError."""
    system = _INSTRUCTION.replace("{limit}", str(limit))
    body = {
        "model": model.name,
        "messages": [
            {"role": "system", "content": system},
            {"role": "user", "content": sentence},
        ],
        "temperature": 0,
        "response_format": {"type": "json_object"},
    }
    headers = {"Content-Type": "application/json"}
    if model.key:
        headers["Authorization"] = f"Bearer {model.key}"
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked
        f"{model.url}/chat/completions", json.dumps(body).encode(), headers
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            answer: Any = json.loads(response.read(_MAX_ANSWER_BYTES))
    except urllib.error.HTTPError as error:
        with error:
            raise OSError(f"status {error.code}") from error
    try:
        text = answer["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError("its answer has no message") from error
    return str(text)


def _read_answer(text: str, limit: int) -> SplitSentence:
    """Return the layers in an answer. Raises ValueError for what is none."""
    start, end = text.find("{"), text.rfind("}")  # some wrap it in words or in a code block
    try:
        found = json.loads(text[start : end + 1])
        subjects = [each.strip() for each in found["foregrounds"]]
        background = found["background"].strip()
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError("its answer is not the JSON that was asked for") from error
    subjects = [each for each in subjects if each]
    if not subjects or not background:
        raise ValueError("its answer names no subject or no background")
    last = " and ".join(subjects[limit - 1 :])
    return SplitSentence((*subjects[: limit - 1], last), background)
