"""A server whose workers are on a cluster, one node of which is killed while both have jobs."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from fakes.fake_engine import ENGINE, Behaviour
from fakes.live_server import LiveServer, live_server, wait_until
from fakes.ray_cluster import add_node
from layert2v.stack import read
from layert2v.v1 import jobs_pb2
from layert2v_server.config import Config
from layert2v_server.errors import ConfigError
from layert2v_server.executors.ray import create_ray_executors
from layert2v_server.worker.cluster.actor import WorkerActor
from layert2v_server.worker.cluster.copies import JobCopies
from layert2v_server.worker.messages import Finished, RunJob

pytestmark = [pytest.mark.chaos, pytest.mark.filterwarnings("default")]  # Ray's own

SLOW = Behaviour(step_s=0.1, frame_s=0.02)
RUNNING, SUCCEEDED = jobs_pb2.JOB_STATE_RUNNING, jobs_pb2.JOB_STATE_SUCCEEDED
CANCELLED = jobs_pb2.JOB_STATE_CANCELLED
WORKER = ["--engine", ENGINE, "--device", "cpu"]
SETTINGS = {"devices": ["cpu"], "ray_workers": 2, "lease_s": 30.0, "heartbeat_s": 0.5}


def workers() -> list[psutil.Process]:
    """Return the worker processes on all nodes of the cluster, which are this machine."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        command, environment = process.info["cmdline"] or [], process.info["environ"] or {}
        is_ours = environment.get("RAY_AUTH_TOKEN") == os.environ["RAY_AUTH_TOKEN"]
        if is_ours and "layert2v_server.worker.main" in command:
            found.append(process)
    return found


@pytest.fixture(scope="module")
def node(cluster: Any) -> Any:
    return add_node(cluster, cpus=1, gpus=1)


@pytest.fixture(scope="module")
def server(
    cluster: Any, node: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LiveServer]:
    data, executor = tmp_path_factory.mktemp("nodes") / "data", f"ray:{cluster.address}"
    with live_server(data, executor=executor, **SETTINGS) as server:
        yield server
    wait_until(lambda: not workers())  # they end with the server


def is_denoising(job: Any) -> bool:
    return job.state == RUNNING and job.progress.stage == "denoise" and job.progress.done > 1


def test_a_job_on_a_node_is_followed_and_cancelled(server: LiveServer) -> None:
    job = server.submit(behaviour=SLOW, steps=1000)
    server.wait(job.name, is_denoising)
    server.cancel(job.name)
    assert server.wait_for_end(job.name).state == CANCELLED
    job = server.submit(behaviour=SLOW, steps=2)
    updates = list(server.watch(job.name, previews=True))
    assert updates[-1].job.state == SUCCEEDED
    assert any(update.preview for update in updates)
    assert "a library prints" in server.log.read_text()
    assert server.unpublished_files() == []


def test_jobs_survive_the_loss_of_a_node(cluster: Any, node: Any, server: LiveServer) -> None:
    jobs = [server.submit(behaviour=SLOW, steps=80, seed=seed) for seed in (1, 2)]
    for job in jobs:
        server.wait(job.name, is_denoising)
    assert len(workers()) == 2

    cluster.remove_node(node, allow_graceful=False)

    ended = [server.wait_for_end(job.name) for job in jobs]
    assert [job.state for job in ended] == [SUCCEEDED, SUCCEEDED]
    assert sorted(job.attempt for job in ended) == [1, 2]
    for job in ended:
        assert len(server.artifacts(job.name)) == len(read(Path(job.local_path)).files()) + 2
    assert server.unpublished_files() == []
    assert len(workers()) == 1  # the other one waits for a node


def test_a_cluster_refuses_who_does_not_have_its_token(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0" * 64)
    with pytest.raises(ConfigError, match="does not take this token") as caught:
        create_ray_executors(Config(executor=f"ray:{cluster.address}"))
    assert "token" in caught.value.hint


def test_files_go_over_ray_where_a_node_does_not_see_them(cluster: Any, tmp_path: Path) -> None:
    import ray

    (tmp_path / "plate.exr").write_bytes(bytes(range(256)) * 80_000)  # some pieces
    command = RunJob(
        job="j", job_kind="GENERATE", spec={}, folder=str(tmp_path), source=str(tmp_path / "none"),
        preview=str(tmp_path / "preview.png"),
    )  # fmt: skip

    async def there_and_back() -> None:
        actor = ray.remote(WorkerActor).options(num_cpus=0, num_gpus=1).remote()
        facts = await actor.start.remote(WORKER, str(tmp_path / "no probe"), "")
        assert not facts["shared"]
        assert "0" in [worker.environ().get("CUDA_VISIBLE_DEVICES") for worker in workers()]
        await JobCopies(actor, command).send()
        digest = hashlib.sha256((tmp_path / "plate.exr").read_bytes()).hexdigest()
        file = {"path": "plate.exr", "sha256": digest, "size_bytes": 0}
        back = replace(command, folder=str(tmp_path / "back"))
        outcome = Finished(job="j", files=[file], untrusted=[], preview=False)
        await JobCopies(actor, back).fetch_stack(outcome)
        await actor.close.remote()

    ray.init(cluster.address, log_to_driver=False)
    try:
        asyncio.run(there_and_back())
    finally:
        ray.shutdown()
    sent, received = tmp_path / "plate.exr", tmp_path / "back" / "plate.exr"
    assert received.read_bytes() == sent.read_bytes()
