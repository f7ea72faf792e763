"""A client of any OpenAI-compatible vision endpoint: pictures and a question in, JSON out.

Knows the protocol (``POST URL/chat/completions``), not what is asked. Answers are kept on disk by
the content of the question, so nothing is paid for twice.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from layert2v_engine.errors import EngineError
from layert2v_engine.image.atomic import atomic_write

_JPEG_QUALITY = 90
_RETRIED = (408, 409, 429, 500, 502, 503, 504, 529)
_TEMPERATURE = 0.7  # of all but the first vote and try, which are asked at 0
_VOTES = 1000  # fewer than this; seeds of further tries lie beyond


class VisionError(EngineError):
    """A vision endpoint that gave no usable answer."""

    reason = "VISION_UNUSABLE"


class VisionRefused(VisionError):
    """The model declined to answer, or gave no usable answer about these pictures alone."""

    reason = "VISION_REFUSED"


class VisionBudget(VisionError):
    """The most requests that may be made have been made."""

    reason = "VISION_BUDGET"


@dataclass(frozen=True, kw_only=True, slots=True)
class VisionConfig:
    """An endpoint; ``url`` ends before ``/chat/completions``. The key is in ``key_variable``.

    ``max_requests`` is the cost cap of one run; answers from the cache do not count.
    """

    url: str
    model: str = "default"
    key_variable: str = "OPENAI_API_KEY"
    timeout_s: float = 120.0
    tries: int = 4
    max_requests: int = 10_000


@dataclass(slots=True)
class VisionClient:
    """Asks questions; ``cache`` is a folder of answers."""

    config: VisionConfig
    cache: Path
    sleep: Callable[[float], None] = time.sleep
    requests: int = field(default=0, init=False)

    def ask(
        self,
        question: str,
        pictures: Sequence[NDArray[np.uint8]],
        check: Callable[[dict[str, Any]], str],
        *,
        vote: int = 0,
    ) -> dict[str, Any]:
        """Return the JSON object that the model answers with.

        check: says what is wrong with an object, "" if nothing. vote: another one is another
        sample. Raises ``VisionRefused``, ``VisionBudget``, or ``VisionError`` where the endpoint
        cannot be asked, or has never given a right answer.
        """
        body = self._body(question, pictures, vote)
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        path = self.cache / f"{key}.json"
        if path.exists():
            return dict(json.loads(path.read_text(encoding="utf-8")))
        problem, is_answered = "", False
        for attempt in range(self.config.tries):
            text, problem, wait_s = self._request(body)
            is_answered = not problem
            if is_answered:
                answer, problem = _parse(text)
                problem = problem or check(answer)
                if not problem:
                    with atomic_write(path) as temporary:
                        temporary.write_text(json.dumps(answer), encoding="utf-8")
                    return answer
                # The same question would be answered by the same words.
                body |= {"temperature": _TEMPERATURE, "seed": vote + _VOTES * (attempt + 1)}
            if attempt + 1 < self.config.tries:
                self.sleep(wait_s if wait_s is not None else 0.5 * 2**attempt)
        raise self._unusable(problem, is_answered=is_answered)

    def _unusable(self, problem: str, *, is_answered: bool) -> VisionError:
        """Return a refusal where the model has answered rightly about other pictures."""
        message = (
            f"{self.config.url} gave no usable answer in {self.config.tries} tries: {problem}."
        )
        if is_answered and any(self.cache.glob("*.json")):
            return VisionRefused(message, "Judge it by eye.")
        return VisionError(message, "Look at the endpoint's log, or choose another model.")

    def _body(
        self, question: str, pictures: Sequence[NDArray[np.uint8]], vote: int
    ) -> dict[str, Any]:
        parts: list[dict[str, Any]] = [{"type": "text", "text": question}]
        for picture in pictures:
            url = f"data:image/jpeg;base64,{_jpeg(picture)}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
        return {
            "model": self.config.model,
            "messages": [{"role": "user", "content": parts}],
            "response_format": {"type": "json_object"},
            "temperature": 0.0 if vote == 0 else _TEMPERATURE,
            "seed": vote,
        }

    def _request(self, body: dict[str, Any]) -> tuple[str, str, float | None]:
        """Return the text of an answer, else a problem and how long the server wants to wait."""
        if self.requests >= self.config.max_requests:
            raise VisionBudget(
                f"{self.requests} requests were made, which is the most that was allowed.",
                "Allow more with --max-requests; finished clips are kept.",
            )
        self.requests += 1
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self.config.key_variable):
            headers["Authorization"] = f"Bearer {key}"
        url = f"{self.config.url.rstrip('/')}/chat/completions"
        if not url.startswith(("http://", "https://")):
            raise VisionError(f"{url} is no http address.", "Give one like http://host:8000/v1.")
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=self.config.timeout_s) as reply:  # noqa: S310
                message = json.load(reply)["choices"][0]["message"]
        except urllib.error.HTTPError as error:
            if error.code not in _RETRIED:
                raise VisionError(
                    f"{url} answered {error.code} {error.reason}.", "Check address, key and model."
                ) from error
            return "", f"status {error.code}", _seconds(error.headers.get("Retry-After"))
        except (OSError, ValueError, LookupError, TypeError) as error:
            return "", f"{type(error).__name__}: {error}", None
        if message.get("refusal"):
            raise VisionRefused(f"The model declined: {message['refusal']}", "Judge it by eye.")
        return str(message.get("content") or ""), "", None


def _parse(text: str) -> tuple[dict[str, Any], str]:
    """Return the object in an answer, which some models put between fences, and what is wrong."""
    start, end = text.find("{"), text.rfind("}")
    try:
        value = json.loads(text[start : end + 1])
    except ValueError as error:
        return {}, f"no JSON object: {error}"
    return (value, "") if isinstance(value, dict) else ({}, "no JSON object")


def _seconds(text: str | None) -> float | None:
    try:
        return min(60.0, max(0.0, float(text))) if text else None
    except ValueError:
        return None


def _jpeg(picture: NDArray[np.uint8]) -> str:
    bgr = np.ascontiguousarray(picture[..., ::-1])
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return base64.b64encode(data.tobytes()).decode()
