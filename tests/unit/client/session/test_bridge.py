"""The bridge on pipes of this process: what must never happen still gets a response."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

from layert2v_client import stack_history
from layert2v_client.session.bridge import Bridge


def serve(*requests: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the bridge writes when it gets these requests and then the end of its input."""
    text = "".join(json.dumps({"jsonrpc": "2.0", **request}) + "\n" for request in requests)
    reading, writing = os.pipe()
    assert Bridge(io.BytesIO(text.encode()), writing).run() == 0
    os.close(writing)
    with os.fdopen(reading) as lines:
        return [json.loads(line) for line in lines]


def test_a_bug_in_a_method_is_an_internal_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def history(folder: Path) -> None:
        raise ZeroDivisionError(folder)

    monkeypatch.setattr(stack_history, "history", history)
    initialize = {"id": 1, "method": "initialize", "params": {"protocol": 2}}
    call = {"id": 2, "method": "history", "params": {"folder": "fox"}}
    _, failed, answered = serve(initialize, call, {"id": 3, "method": "ping"})
    assert (failed["id"], failed["error"]["code"]) == (2, -32603)
    assert failed["error"]["data"]["reason"] == "INTERNAL"
    assert "ZeroDivisionError" in caplog.text
    assert answered == {"jsonrpc": "2.0", "id": 3, "result": {}}
