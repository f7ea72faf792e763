"""The bridge: real processes, real lines, and hosts that break off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.bridge_process import BridgeProcess
from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, live_server, wait_until
from layert2v import stack

SLOW = Behaviour(step_s=0.05)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[BridgeProcess]:
    with BridgeProcess(log=tmp_path / "log") as process:
        yield process


def connect(bridge: BridgeProcess, server: LiveServer, cache: Path) -> None:
    settings = {"server": server.ready["address"], "cache": str(cache)}
    assert bridge.call("connect", settings=settings) == {}


def spec(behaviour: Behaviour | None = None, **more: Any) -> dict[str, Any]:
    instructions = (behaviour or Behaviour()).to_prompt()
    return {"prompt": "a fox", "negative_prompt": instructions, "seed": 7, **more}


def test_a_request_becomes_a_stack(bridge: BridgeProcess, live: LiveServer, tmp_path: Path) -> None:
    assert (bridge.initialized["protocol"], bridge.initialized["pid"]) == (2, bridge.process.pid)
    connect(bridge, live, tmp_path)
    answer = bridge.call("generate", spec=spec(), folder=str(tmp_path / "fox"))
    done = bridge.event("RequestSucceeded", request_id=answer["request_id"])
    assert (done["folder"], done["state"]) == (str(tmp_path / "fox"), 1)
    assert stack.read(tmp_path / "fox").seed == 7
    history = bridge.call("history", folder=str(tmp_path / "fox"))["history"]
    assert [entry["action"] for entry in history] == ["generate"]
    assert bridge.close_stdin() == 0


def call(number: int, method: str, **params: Any) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}) + "\n"


def request(method: str, **params: Any) -> bytes:
    return call(7, method, **params).strip().encode()


@pytest.mark.parametrize(
    ("line", "code", "reason", "number"),
    [
        (b"rubbish", -32700, "JSON_INVALID", None),
        (b"\xff{}", -32700, "LINE_INVALID", None),
        (b"[" * 100_000, -32700, "JSON_INVALID", None),
        (request("ping", x="a" * (5 << 20)), -32600, "LINE_TOO_LONG", None),
        (b"[" + request("ping") + b"]", -32600, "BATCH_UNSUPPORTED", None),
        (b'{"id": 7, "do": "ping"}', -32600, "REQUEST_INVALID", 7),
        (request("sing"), -32601, "METHOD_UNKNOWN", 7),
        (
            b'{"jsonrpc": "2.0", "id": 7, "method": "ping", "params": [1]}',
            -32602,
            "PARAMS_INVALID",
            7,
        ),
        (request("ping", loudly=True), -32602, "FIELD_UNKNOWN", 7),
        (request("attach"), -32000, "NOT_CONNECTED", 7),
        (request("generate", spec={}), -32000, "NOT_CONNECTED", 7),
        (request("connect", settings={"port": 1}), -32602, "FIELD_UNKNOWN", 7),
        (request("connect", settings={"path_map": [1]}), -32602, "FIELD_VALUE", 7),
        (request("history"), -32602, "FIELD_MISSING", 7),
        (request("history", folder="/nowhere"), -32000, "MANIFEST_NOT_FOUND", 7),
    ],
)
def test_one_error_for_one_wrong_line(
    bridge: BridgeProcess, line: bytes, code: int, reason: str, number: int | None
) -> None:
    bridge.send_line(line)
    response = bridge.wait(lambda message: "error" in message)
    error = response["error"]
    assert (response["id"], error["code"], error["data"]["reason"]) == (number, code, reason)
    assert error["message"].endswith(".")
    assert bridge.call("ping") == {}
    assert sum("error" in message for message in bridge.messages) == 1


def test_notifications_get_no_response(bridge: BridgeProcess) -> None:
    for method in ("ping", "heartbeat", "sing"):
        bridge.send_line(json.dumps({"jsonrpc": "2.0", "method": method}).encode())
    assert bridge.call("ping") == {}
    assert [message.get("id") for message in bridge.messages if "id" in message] == [1, 2]


def test_initialize_comes_first(tmp_path: Path) -> None:
    with BridgeProcess(log=tmp_path / "log", initialize=False) as bridge:
        assert bridge.request("ping")["error"]["data"]["reason"] == "NOT_INITIALIZED"
        assert bridge.call("initialize", protocol=2)["protocol"] == 2
        assert bridge.call("ping") == {}


def test_a_host_of_another_release_is_refused(tmp_path: Path) -> None:
    with BridgeProcess(log=tmp_path / "log", initialize=False) as bridge:
        error = bridge.request("initialize", protocol=99)["error"]
        assert (error["code"], error["data"]["reason"]) == (-32003, "PROTOCOL_UNSUPPORTED")
        assert "same release" in error["data"]["hint"]
        assert bridge.process.wait(20) == 2


def test_heartbeats_come_by_themselves(bridge: BridgeProcess) -> None:
    heartbeat = bridge.wait(lambda message: message.get("method") == "heartbeat")
    assert heartbeat["params"]["uptime_s"] > 0


def test_prompts_arrive_as_they_are(
    bridge: BridgeProcess, live: LiveServer, tmp_path: Path
) -> None:
    prompt = 'a "fox" [python 1] {x} $y \\n \n\t\u2028 \U0001f98a'
    connect(bridge, live, tmp_path)
    bridge.call("generate", spec=spec(prompt=prompt), folder=str(tmp_path / "fox"))
    bridge.event("RequestSucceeded")
    assert stack.read(tmp_path / "fox").prompt == prompt


def test_nothing_but_lines_on_stdout(tmp_path: Path) -> None:
    """Prints of Python and of C both go to the log."""
    site = tmp_path / "site"
    site.mkdir()
    noisy = "import os, threading, time\n"
    noisy += "def shout(pipe):\n"
    noisy += "    while os.fstat(1).st_ino == pipe:\n        time.sleep(0.1)\n"  # before main
    noisy += "    print('py', flush=True)\n    os.write(1, b'c\\n')\n"
    noisy += "threading.Thread(target=shout, args=(os.fstat(1).st_ino,), daemon=True).start()\n"
    (site / "sitecustomize.py").write_text(noisy)
    with BridgeProcess(log=tmp_path / "log", paths=(str(site),)) as bridge:
        wait_until(lambda: b"c\n" in (tmp_path / "log").read_bytes())
        assert bridge.call("ping") == {}
    assert b"py\n" in (tmp_path / "log").read_bytes()
    assert all(message["jsonrpc"] == "2.0" for message in bridge.messages)


def test_the_bridge_is_killed_in_mid_job(live: LiveServer, tmp_path: Path) -> None:
    with BridgeProcess(log=tmp_path / "log") as before:
        connect(before, live, tmp_path)
        folder = str(tmp_path / "fox")
        before.call("generate", spec=spec(SLOW, steps=80), folder=folder)
        running = before.event("RequestUpdated", state="running")
        before.kill()
    with BridgeProcess(log=tmp_path / "log") as after:
        connect(after, live, tmp_path)
        after.call("attach", request_id=running["request_id"], job=running["job"], folder=folder)
        assert after.event("RequestSucceeded")["job"] == running["job"]
    assert stack.read(tmp_path / "fox").frames == 5


def test_a_host_that_ends_leaves_the_job_alone(live: LiveServer, tmp_path: Path) -> None:
    with BridgeProcess(log=tmp_path / "log") as bridge:
        connect(bridge, live, tmp_path)
        bridge.call("generate", spec=spec(SLOW, steps=60))
        job = bridge.event("RequestUpdated", state="running")["job"]
        assert bridge.close_stdin() == 0
    assert live.wait_for_end(job).state == 4


def test_cancel(bridge: BridgeProcess, live: LiveServer, tmp_path: Path) -> None:
    connect(bridge, live, tmp_path)
    request = bridge.call("generate", spec=spec(SLOW, steps=1000))["request_id"]
    bridge.event("RequestUpdated", state="running")
    bridge.call("cancel", request_id=request)
    assert bridge.event("RequestCancelled")["request_id"] == request


def test_a_server_that_goes_and_comes_back(bridge: BridgeProcess, tmp_path: Path) -> None:
    server = LiveServer(tmp_path / "data")
    connect(bridge, server, tmp_path)
    bridge.event("Connected")
    bridge.call("generate", spec=spec(SLOW, steps=80), folder=str(tmp_path / "fox"))
    bridge.event("RequestUpdated", state="running")
    server.kill()
    assert bridge.event("Disconnected")["retry_in_s"] > 0
    server = LiveServer(tmp_path / "data", address=server.ready["address"])
    bridge.event("Connected")
    bridge.event("RequestSucceeded")
    assert server.stop() == 0


def test_a_server_that_answers_slowly(bridge: BridgeProcess, tmp_path: Path) -> None:
    """Stopped for some seconds, as on a busy machine: nobody is told that it is gone."""
    with live_server(tmp_path / "data", lease_s=20.0) as server:
        connect(bridge, server, tmp_path)
        bridge.event("Connected")
        bridge.call("generate", spec=spec(SLOW, steps=100), folder=str(tmp_path / "fox"))
        bridge.event("RequestUpdated", state="running")
        os.kill(server.process.pid, 19)
        time.sleep(4)
        os.kill(server.process.pid, 18)
        bridge.event("RequestSucceeded")
    assert not [message for message in bridge.messages if message.get("method") == "Disconnected"]


def test_two_bridges_on_one_server(live: LiveServer, tmp_path: Path) -> None:
    with (
        BridgeProcess(log=tmp_path / "log") as one,
        BridgeProcess(log=tmp_path / "log") as other,
    ):
        for bridge in (one, other):
            connect(bridge, live, tmp_path)
        for name, bridge in (("one", one), ("other", other)):
            bridge.call("generate", spec=spec(prompt=name), folder=str(tmp_path / name))
        for name, bridge in (("one", one), ("other", other)):
            bridge.event("RequestSucceeded", folder=str(tmp_path / name))
            assert stack.read(tmp_path / name).prompt == name


def test_a_host_that_does_not_read_loses_no_end(live: LiveServer, tmp_path: Path) -> None:
    """Progress waits, replaced by newer progress, while the pipe is full; the end arrives."""
    command = [sys.executable, "-m", "layert2v_client.session.bridge"]
    with (tmp_path / "log").open("wb") as log:
        bridge = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert bridge.stdin is not None
    assert bridge.stdout is not None
    settings = {"server": live.ready["address"], "cache": str(tmp_path / "cache")}
    say = [call(0, "initialize", protocol=2), call(1, "connect", settings=settings)]
    say += [call(2, "generate", spec=spec(), folder=str(tmp_path / "fox"))]
    # A history is long: some of them fill the pipe to the host.
    bridge.stdin.write("".join(say))
    bridge.stdin.flush()
    wait_until(lambda: (tmp_path / "fox" / "stack.json").exists())
    bridge.stdin.write(call(3, "history", folder=str(tmp_path / "fox")) * 80)
    bridge.stdin.flush()
    bridge.stdin.close()
    time.sleep(1)
    with bridge.stdout as lines:
        received = [json.loads(line) for line in lines]
    assert bridge.wait(20) == 0
    assert sum(message.get("id") == 3 for message in received) == 80
    assert sum(message.get("method") == "RequestSucceeded" for message in received) == 1
