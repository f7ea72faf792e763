"""Prompts split by a language model, which is a real HTTP server here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from layert2v_engine.errors import BadConfig
from layert2v_engine.prompting.language_model import (
    ADDRESS,
    KEY,
    MODEL,
    LanguageModel,
    PromptSplitter,
    find_language_model,
)

SENTENCE = "a red fox chases a hare through deep snow at dusk"
LAYERS = {"foregrounds": ["a hare fleeing", "a red fox chasing"], "background": "deep snow at dusk"}


class Endpoint(HTTPServer):
    """Answers every request with ``answer``, and keeps what was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.status = json.dumps(LAYERS), 200
        self.asked: list[dict[str, object]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append({"path": self.path, "key": self.headers["Authorization"], **body})
        message = {"choices": [{"message": {"content": self.server.answer}}]}
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(json.dumps(message).encode())

    def log_message(self, *_args: object) -> None:
        """Print nothing."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_layers_come_from_the_model(endpoint: Endpoint) -> None:
    model = LanguageModel(url=endpoint.url, name="some-model", key="secret")
    split, warnings = PromptSplitter(model).split(SENTENCE, 2)
    assert split == (("a hare fleeing", "a red fox chasing"), "deep snow at dusk")
    assert warnings == ()
    (asked,) = endpoint.asked
    assert (asked["path"], asked["key"]) == ("/v1/chat/completions", "Bearer secret")
    assert asked["model"] == "some-model"
    assert asked["messages"][1] == {"role": "user", "content": SENTENCE}  # type: ignore[index]
    assert "at most 2 foregrounds" in asked["messages"][0]["content"]  # type: ignore[index]


def test_more_subjects_than_layers_go_together(endpoint: Endpoint) -> None:
    split, _ = PromptSplitter(LanguageModel(url=endpoint.url)).split(SENTENCE, 1)
    assert split.subjects == ("a hare fleeing and a red fox chasing",)


def test_words_around_the_answer_do_not_matter(endpoint: Endpoint) -> None:
    endpoint.answer = f"Here you are:\n```json\n{json.dumps(LAYERS)}\n```"
    split, warnings = PromptSplitter(LanguageModel(url=endpoint.url)).split(SENTENCE, 2)
    assert split.background == "deep snow at dusk"
    assert warnings == ()


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        ("I cannot do that.", 200, "not the JSON"),
        (json.dumps({"foregrounds": [], "background": "snow"}), 200, "no subject"),
        (json.dumps({"foregrounds": [1], "background": "snow"}), 200, "not the JSON"),
        (json.dumps(LAYERS), 503, "status 503"),
    ],
)
def test_what_is_no_answer_is_split_by_grammar_with_a_warning(
    endpoint: Endpoint, answer: str, status: int, said: str
) -> None:
    endpoint.answer, endpoint.status = answer, status
    sentence = "a red fox running through deep snow"
    split, (warning,) = PromptSplitter(LanguageModel(url=endpoint.url)).split(sentence, 2)
    assert split == PromptSplitter().split(sentence, 2)[0]
    assert said in warning
    assert warning.endswith("grammar did.")


def test_nobody_is_asked_unless_an_address_is_given() -> None:
    assert find_language_model({}) is None
    found = find_language_model({ADDRESS: "http://localhost:8000/v1/", MODEL: "m", KEY: "k"})
    assert found == LanguageModel(url="http://localhost:8000/v1", name="m", key="k")
    with pytest.raises(BadConfig, match="no address"):
        find_language_model({ADDRESS: "localhost:8000"})
