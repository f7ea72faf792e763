"""The log: JSON lines, ids of requests, and what is no id."""

from __future__ import annotations

import json
import logging

import pytest

from layert2v_server.logs import (
    JsonFormatter,
    TextFormatter,
    checked_request_id,
    current_request,
    log_request,
)


def _record(message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, None)
    return logging.LogRecord("server", logging.INFO, "x.py", 1, message, args, info)


def test_a_json_line_has_the_fields_of_the_message_and_the_request() -> None:
    with log_request("abc-1"):
        line = JsonFormatter().format(_record("job=%s attempt=%d\nends", "j1", 2))
    assert "\n" not in line
    entry = json.loads(line)
    assert (entry["job"], entry["attempt"], entry["request"]) == ("j1", "2", "abc-1")
    assert entry["level"] == "info"
    assert entry["message"] == "job=j1 attempt=2\nends"


def test_a_message_cannot_replace_the_fields_of_the_line() -> None:
    entry = json.loads(JsonFormatter().format(_record("level=none request=x time=0 job=j")))
    assert entry["level"] == "info"
    assert "request" not in entry
    assert entry["job"] == "j"


def test_a_traceback_is_one_field() -> None:
    entry = json.loads(JsonFormatter().format(_record("oh", error=ValueError("bad"))))
    assert "ValueError: bad" in entry["traceback"]


def test_a_line_for_people_ends_with_the_request() -> None:
    assert TextFormatter().format(_record("hello")).endswith("server hello")
    with log_request("r7"):
        assert TextFormatter().format(_record("hello")).endswith("hello request=r7")
    assert current_request() == ""


@pytest.mark.parametrize("text", ["", "a b", "a\nb", "x" * 65, "é", '"'])
def test_what_is_no_id_is_replaced(text: str) -> None:
    made = checked_request_id(text)
    assert made != text
    assert checked_request_id(made) == made
