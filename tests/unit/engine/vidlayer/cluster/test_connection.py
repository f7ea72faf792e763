from __future__ import annotations

import socket
import sys

import pytest

from layert2v.command_options import EXIT_USAGE
from layert2v_engine.cli.main import main
from layert2v_engine.errors import EngineError
from layert2v_engine.vidlayer.cluster.connection import connect


@pytest.mark.parametrize("address", ["ray://head:10001", "head", "head:port", ":6379"])
def test_other_addresses_are_refused(address: str) -> None:
    pytest.importorskip("ray")
    with pytest.raises(EngineError, match="no address of a Ray cluster"), connect(address):
        pass


def test_a_head_that_does_not_answer_is_reported_at_once() -> None:
    pytest.importorskip("ray")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # taken, and nobody listens
        address = f"127.0.0.1:{free.getsockname()[1]}"
        said = f"No Ray cluster answers at {address}"
        with pytest.raises(EngineError, match=said), connect(address):
            pass


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match="extra `ray`"), connect(None):
        pass


def test_needs_without_a_cluster_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["vidlayer", "build", "in", "--out", "out", "--ray-needs", "needs.toml"]
    assert main(args) == EXIT_USAGE
    assert "--ray-needs is for a build on a cluster" in capsys.readouterr().err
