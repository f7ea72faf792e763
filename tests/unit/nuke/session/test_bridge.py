"""The plug-in's end of the bridge against real child processes, most of them no good."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from layert2v_nuke.errors import BridgeFailed
from layert2v_nuke.preferences import Preferences
from layert2v_nuke.session import bridge
from layert2v_nuke.session.bridge import BridgeProcess, bridge_command

READY = 'print(\'{"jsonrpc": "2.0", "id": 1, "result": {"protocol": 2}}\', flush=True)\n'
# Responds to every request with the request itself.
ECHO = (
    READY
    + """
import json, sys
sys.stdin.readline()  # initialize
for line in sys.stdin:
    request = json.loads(line)
    print(json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": request}), flush=True)
"""
)


def print_message(**message: Any) -> str:
    """Return a line of a program that prints a message."""
    return f"print({json.dumps({'jsonrpc': '2.0', **message})!r}, flush=True)\n"


def start_bridge(program: str, clock: Callable[[], float] = time.monotonic) -> BridgeProcess:
    return BridgeProcess([sys.executable, "-I", "-c", program], None, clock)


def wait_for_failure(process: BridgeProcess) -> BridgeFailed:
    for _ in range(1000):
        try:
            process.drain()
        except BridgeFailed as error:
            process.close()
            return error
        time.sleep(0.01)
    raise AssertionError("nothing was wrong")


def receive(process: BridgeProcess) -> list[dict[str, Any]]:
    for _ in range(1000):
        if found := process.drain():
            return found
        time.sleep(0.01)
    raise AssertionError("nothing has arrived")


def test_lines_go_both_ways() -> None:
    process = start_bridge(ECHO)
    number = process.send("generate", prompt='a "fox"\n[python] 🦊')
    (echo,) = receive(process)
    assert echo["id"] == number
    assert echo["result"]["method"] == "generate"
    assert echo["result"]["params"] == {"prompt": 'a "fox"\n[python] 🦊'}
    process.close()


def test_it_ends_when_its_input_does() -> None:
    process = start_bridge(ECHO)
    process.send("ping")
    receive(process)
    process.close()
    assert process._process.wait(10) == 0


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("raise SystemExit(3)", "BRIDGE_NOT_STARTED"),
        (READY + "raise SystemExit(3)", "BRIDGE_ENDED"),
        (print_message(id=1, result={"protocol": 3}), "BRIDGE_OTHER_VERSION"),
        (print_message(id=1, error={"code": -32003, "message": "Other."}), "BRIDGE_OTHER_VERSION"),
        (print_message(id=1, result=[]), "BRIDGE_OTHER_VERSION"),
        (print_message(method="heartbeat"), "BRIDGE_NOT_STARTED"),
        ('print(\'{"id": 1, "ok": {}}\')', "BRIDGE_NOT_STARTED"),
        ("print('Hello'); print('[1]'); print('{')", "BRIDGE_NOT_STARTED"),
    ],
)
def test_what_is_no_bridge_is_shown(program: str, reason: str) -> None:
    assert wait_for_failure(start_bridge(program)).reason == reason


def test_noise_between_the_lines_is_passed_over() -> None:
    process = start_bridge(READY + "print('a library prints', flush=True)\n" + ECHO)
    process.send("ping")
    assert receive(process)[0]["result"]["method"] == "ping"
    process.close()


def test_responses_and_events_are_decoded() -> None:
    data = {"reason": "NO_STACK", "hint": "Look rerender_layers."}
    process = start_bridge(
        READY
        + print_message(method="heartbeat", params={"uptime_s": 5.0})
        + print_message(method="RequestLost", params={"request_id": "r", "job": "jobs/1"})
        + print_message(id=2, error={"code": -32000, "message": "No stack.", "data": data})
        + print_message(id=None, error="odd")
        + "import time; time.sleep(60)"
    )
    messages: list[dict[str, Any]] = []
    while len(messages) < 3:
        messages += receive(process)
    assert messages == [
        {"event": "RequestLost", "request_id": "r", "job": "jobs/1"},
        {"id": 2, "error": {"message": "No stack.", **data}},
        {"id": None, "error": {"message": "", "reason": "", "hint": ""}},
    ]
    process.close()


def test_silence_is_noticed() -> None:
    now = [0.0]
    process = start_bridge(READY + "import time; time.sleep(60)", lambda: now[0])
    for _ in range(500):
        process.drain()
        time.sleep(0.01)
        if process._is_ready:
            break
    now[0] = bridge.HEARTBEAT_TIMEOUT_S + 1
    assert wait_for_failure(process).reason == "BRIDGE_SILENT"


def test_a_bridge_that_does_not_read_never_makes_nuke_wait() -> None:
    process = start_bridge(READY + "import time; time.sleep(60)")

    def talk() -> None:
        for _ in range(3 * bridge.QUEUE_LINES):
            process.send("generate", prompt="x" * 1000)

    with pytest.raises(BridgeFailed) as refused:
        talk()
    assert refused.value.reason == "BRIDGE_BUSY"
    process.close()


def test_a_python_that_is_not_there_is_named() -> None:
    with pytest.raises(BridgeFailed) as refused:
        BridgeProcess(["/no/python"], None)
    assert "/no/python" in refused.value.message


def test_nuke_s_paths_do_not_reach_the_bridge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "")
    monkeypatch.setenv("PYTHONHOME", "/nuke")
    process = start_bridge(
        READY + "import json, os\n"
        "print(json.dumps({'jsonrpc': '2.0', 'id': 2, 'result': sorted(os.environ)}), flush=True)"
    )
    seen = set(receive(process)[0]["result"])
    assert not seen & {"PYTHONHOME", "PYTHONPATH", "LD_PRELOAD", "LD_LIBRARY_PATH"}
    assert "PATH" in seen
    process.close()


def test_a_chosen_python_has_the_client_itself(tmp_path: Path) -> None:
    chosen = bridge_command(Preferences(python="/session/python"), tmp_path)
    assert chosen == ["/session/python", "-I", "-m", "layert2v_client.session.bridge"]


def test_nuke_s_own_python_takes_the_bundled_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "bridge" / f"py{sys.version_info[0]}{sys.version_info[1]}"
    packages.mkdir(parents=True)
    (tmp_path / "python3").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "Nuke15.0"))
    command = bridge_command(Preferences(), tmp_path)
    assert command[0] == str(tmp_path / "python3")
    assert command[-1] == str(packages)
    assert os.environ.get("PYTHONPATH", "") not in command


def test_without_packages_the_way_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(BridgeFailed) as refused:
        bridge_command(Preferences(), tmp_path)
    assert "Preferences" in refused.value.hint


def test_closing_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    process = start_bridge(ECHO)
    process.close()
    process._process.wait(10)
    for _ in range(500):
        if threading.active_count() <= before:
            return
        time.sleep(0.01)
    raise AssertionError(threading.enumerate())
