"""``layert2v-server top`` against a real server."""

from __future__ import annotations

import contextlib
import http.client
import re
from pathlib import Path

import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import live_server
from layert2v_server.auth import add_entry, make_token
from layert2v_server.cli import main
from layert2v_server.top import ServerLook, lines


def test_top_shows_jobs_workers_speeds_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    token, entry = make_token("anna")
    add_entry(tmp_path / "tokens", entry)
    settings = {"token_file": str(tmp_path / "tokens"), "metrics_address": "127.0.0.1:0"}
    with live_server(tmp_path / "data", **settings) as server:
        server.connect(token)
        address, metrics = server.ready["address"], server.ready["metrics"]
        command = ["top", "--once", "--address", address]
        monkeypatch.delenv("LAYERT2V_TOKEN", raising=False)
        assert main(command) == 2
        assert "does not know this token" in capsys.readouterr().err
        monkeypatch.setenv("LAYERT2V_TOKEN", token)
        running = server.submit(steps=1000, behaviour=Behaviour(step_s=0.05))
        server.wait(running.name, lambda job: job.progress.done > 0)
        server.submit(prompt="an owl\x1b[2J")
        look = ServerLook(address, None, metrics)
        first = look.take()
        server.wait(running.name, lambda job: job.progress.done > first.jobs[0].progress.done)
        text = "\n".join(lines(look.take(), first))
        look.close()
        assert "1 running, 1 queued" in text
        assert re.search(r"memory: server [\d.]+ MB, workers [\d.]+ MB", text)
        assert re.search(r"worker: cpu, [\d.]+ GB", text)
        assert re.search(r"anna +generate +denoising \d+/1000\S* .*0\.\d\d ", text)
        assert "an owl" in text
        assert "\x1b" not in text
        assert main(command) == 0
        assert "1 running, 1 queued" in capsys.readouterr().out
        server.cancel(running.name)
        # On loopback the metrics want no token, but the name of this machine.
        for host, status in ((metrics, 200), ("localhost", 200), ("evil.example", 400)):
            port = int(metrics.rpartition(":")[2])
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
                connection.request("GET", "/metrics", headers={"Host": host})
                assert connection.getresponse().status == status


def test_a_server_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["top", "--once", "--address", "127.0.0.1:1"]) == 2
    assert "The server at 127.0.0.1:1 does not answer." in capsys.readouterr().err
