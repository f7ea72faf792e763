"""A host of v0.1 talks to the bridge: every operation and every event of then is still there.

The recorded lines are of the dialect before JSON-RPC; here each is sent as the same call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fakes.bridge_process import BridgeProcess
from fakes.live_server import live_server
from fakes.recorded import RECORDED

EVENTS = {
    "Connected": "Connected",
    "Disconnected": "Disconnected",
    "JobChanged": "RequestUpdated",
    "Preview": "PreviewUpdated",
    "JobDone": "RequestSucceeded",
    "JobFailed": "RequestFailed",
    "JobCancelled": "RequestCancelled",
    "JobUnknown": "RequestLost",
}
ENDS = ("JobDone", "JobFailed", "JobCancelled", "JobUnknown")
REASONS = {"VERB_UNKNOWN": "METHOD_UNKNOWN"}

Message = dict[str, Any]


def recorded_calls() -> Iterator[tuple[Message, list[Message]]]:
    """Yield each request of the recorded host with what the bridge wrote before the next."""
    lines = (RECORDED / "bridge.jsonl").read_text(encoding="utf-8").splitlines()
    call: Message = {}
    answers: list[Message] = []
    for message in map(json.loads, lines):
        if "id" in message.get("host", {}):
            if call:
                yield call, answers
            call, answers = message["host"], []
        elif "bridge" in message and call:
            answers.append(message["bridge"])
    yield call, answers


class Replay:
    """Sends the recorded calls with the names that this server gives to jobs and requests."""

    def __init__(self, bridge: BridgeProcess, names: dict[str, str]) -> None:
        self._bridge = bridge
        self._names = names

    def run(self, call: Message, answers: list[Message]) -> None:
        """Send one call and compare its response and its events with the recorded ones."""
        text = json.dumps(call)
        for recorded, name in self._names.items():
            text = text.replace(recorded, name)
        params = json.loads(text)
        number, method = params.pop("id"), params.pop("do")
        response = self._bridge.request(method, **params)
        self._compare(next(each for each in answers if each.get("id") == number), response)
        ends = [each for each in answers if each.get("event") in ENDS]
        # Progress may be replaced by how the request ends before the bridge has written it.
        for event in ends or [each for each in answers if each.get("event") == "JobChanged"][:1]:
            self.wait(event)

    def wait(self, recorded: Message) -> None:
        """Wait for the same event with the same fields."""
        params = self._bridge.event(EVENTS[recorded["event"]])
        assert params.keys() == recorded.keys() - {"event"}
        assert params.get("reason") == recorded.get("reason")
        if recorded.get("job"):
            self._names[recorded["job"]] = params["job"]

    def _compare(self, recorded: Message, response: Message) -> None:
        if "error" in recorded:
            reason = recorded["error"]["reason"]
            assert response["error"]["data"]["reason"] == REASONS.get(reason, reason)
            return
        assert response["result"].keys() == recorded["ok"].keys()
        if "request_id" in recorded["ok"]:
            self._names[recorded["ok"]["request_id"]] = response["result"]["request_id"]


def test_a_conversation_of_then(tmp_path: Path) -> None:
    (tmp_path / "plate").mkdir()
    (tmp_path / "plate" / "p.1001.exr").write_bytes(b"noise")
    with (
        live_server(tmp_path / "data") as server,
        BridgeProcess(log=tmp_path / "log") as bridge,
    ):
        names = {"/shots/bridge": tmp_path.as_posix(), "127.0.0.1:7433": server.ready["address"]}
        replay = Replay(bridge, {**names, "refuse": "engine_error"})  # a fault of the fake engine
        *calls, (last, answers) = recorded_calls()
        for call, call_answers in calls:
            replay.run(call, call_answers)
        (disconnected,) = [each for each in answers if each.get("event") == "Disconnected"]
        replay.run(last, [each for each in answers if each is not disconnected])
        server.kill()
        replay.wait(disconnected)
    seen = {message.get("method") for message in bridge.messages}
    assert seen >= set(EVENTS.values())
