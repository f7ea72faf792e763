"""A server whose jobs are each shared by two processes: the result of one, and what kills leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from fakes.live_server import FINAL_STATES, LiveServer, live_server, wait_until
from fakes.tiny_model import write_tiny_model
from layert2v.spec import GenerateSpec
from layert2v.v1 import jobs_pb2, server_pb2
from layert2v_engine.engine import Engine

pytestmark = pytest.mark.chaos

PROMPT = "a fox in a forest"
SHORT_S = 15.0  # what attacks take in make test


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, models: Path, attack_s: float
) -> Iterator[LiveServer]:
    if attack_s <= SHORT_S:
        pytest.skip("for make chaos: tests/unit/engine/test_shared_engine.py is the short form")
    settings: dict[str, Any] = {
        "engine": "", "models": str(models), "lease_s": 60.0, "cancel_grace_s": 60.0,
        "devices": ["cpu", "cpu"], "devices_per_job": 2, "parallel": "ring",
    }  # fmt: skip
    with live_server(tmp_path_factory.mktemp("shared") / "data", **settings) as server:
        request = server_pb2.GetServerInfoRequest()
        wait_until(
            lambda: bool(server.call(server.info.GetServerInfo, request).models), timeout_s=240
        )
        yield server


def submit(server: LiveServer, **spec: Any) -> str:
    return str(server.submit(prompt=PROMPT, negative_prompt="", seed=7, **spec).name)


def wait_for_end(server: LiveServer, name: str) -> Any:
    """Return a job that has ended; two starts of torch can outlast a watch on a busy machine."""
    wait_until(lambda: server.get(name).state in FINAL_STATES, timeout_s=240)
    return server.get(name)


def latents(folder: Path) -> torch.Tensor:
    files = sorted(folder.rglob("*.safetensors"))
    tensors = [each.flatten() for file in files for _, each in sorted(load_file(file).items())]
    return torch.cat(tensors)


def test_two_devices_make_what_one_makes(server: LiveServer, models: Path, tmp_path: Path) -> None:
    info = server.call(server.info.GetServerInfo, server_pb2.GetServerInfoRequest())
    assert [device.name for device in info.devices] == ["2 x cpu"]
    job = wait_for_end(server, submit(server, steps=2))
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED, job.error
    spec = GenerateSpec(prompt=PROMPT, seed=7, steps=2)
    Engine(models).generate(
        spec, tmp_path / "alone", report=lambda _: None, cancelled=lambda: False
    )
    # Files have half precision, and a processor may compute in bfloat16, which rounds shares
    # otherwise: tests/unit/engine/test_shared_engine.py compares in float32, to 1e-5.
    torch.testing.assert_close(
        latents(Path(job.local_path)), latents(tmp_path / "alone"), atol=0.05, rtol=0
    )


def test_the_kill_of_one_process_is_the_death_of_the_worker(server: LiveServer) -> None:
    name = submit(server, steps=500)
    server.wait(name, lambda job: job.progress.stage == "denoise" and job.progress.done > 2)
    worker = server.worker()
    others = worker.children(recursive=True)
    max(others, key=lambda each: each.memory_info().rss).kill()  # not the one that tidies up
    wait_until(lambda: server.get(name).attempt == 2, timeout_s=120)
    server.cancel(name)
    wait_until(lambda: server.get(name).state == jobs_pb2.JOB_STATE_CANCELLED, timeout_s=120)
    psutil.wait_procs([*others, worker], timeout=20)
    assert not any(each.is_running() for each in (*others, worker))
    assert "was ended by signal 9" in server.log.read_text()
    again = wait_for_end(server, submit(server, steps=2))
    assert again.state == jobs_pb2.JOB_STATE_SUCCEEDED
