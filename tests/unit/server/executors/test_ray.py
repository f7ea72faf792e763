"""How many workers a cluster gets; tests/chaos runs jobs on a real one."""

from __future__ import annotations

from typing import Any

import pytest

from layert2v_server.config import Config, check_config
from layert2v_server.errors import ConfigError
from layert2v_server.executors import ray
from layert2v_server.executors.ray import WorkerPlan, create_ray_executors, plan_workers
from layert2v_server.worker.cluster.connection import NodeSize

HEAD, GPU_NODE = NodeSize(cpus=0, gpus=0), NodeSize(cpus=16, gpus=4)
SMALL, LARGE = NodeSize(cpus=4, gpus=0), NodeSize(cpus=9, gpus=0)


def test_there_is_a_worker_for_each_gpu_with_its_share_of_the_cpus() -> None:
    nodes = [HEAD, GPU_NODE, NodeSize(cpus=32, gpus=2), SMALL]
    assert plan_workers(Config(), nodes) == WorkerPlan(count=6, cpus=4, gpus=1)
    several = Config(ray_gpus=2, ray_cpus=3)
    assert plan_workers(several, nodes) == WorkerPlan(count=3, cpus=3, gpus=2)


def test_without_gpus_there_is_a_worker_for_each_share_of_the_cpus() -> None:
    assert plan_workers(Config(), [HEAD, SMALL, LARGE]) == WorkerPlan(count=3, cpus=4, gpus=0)
    on_cpu = Config(devices=("cpu",), ray_cpus=8)
    assert plan_workers(on_cpu, [GPU_NODE, LARGE]) == WorkerPlan(count=3, cpus=8, gpus=0)


@pytest.mark.parametrize(
    ("config", "nodes"),
    [
        (Config(), [HEAD]),
        (Config(devices=("cuda",)), [SMALL]),
        (Config(ray_cpus=32), [GPU_NODE]),
        (Config(ray_cpus=32), [SMALL]),
    ],
)
def test_a_cluster_without_room_is_a_config_error(config: Config, nodes: list[NodeSize]) -> None:
    with pytest.raises(ConfigError, match="No node of the Ray cluster") as caught:
        plan_workers(config, nodes)
    assert caught.value.hint


def test_a_fixed_number_of_workers_needs_no_nodes_yet() -> None:
    config = Config(executor="ray:head:6379", ray_workers=2, ray_gpus=2)
    executors = create_ray_executors(config)
    assert [executor.name for executor in executors] == ["ray1", "ray2"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "--device auto"),
        ({"ray_gpus": 2, "devices_per_job": 2}, "--device cuda:0 --share-with cuda:1"),
        ({"devices": ("cpu",), "devices_per_job": 2}, "--device cpu --share-with cpu"),
    ],
)
def test_a_job_may_be_shared_by_the_gpus_of_a_worker(
    settings: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[str] = []

    def note(name: str, command: list[str], **_: object) -> None:
        commands.append(" ".join(command).replace(" --heartbeat 1.0", ""))

    monkeypatch.setattr(ray, "ProcessExecutor", note)
    create_ray_executors(check_config(Config(executor="ray", ray_workers=1, **settings)))
    assert expected in commands[0]


def test_a_cluster_that_is_not_there_is_reported_by_the_process_that_asks() -> None:
    with pytest.raises(ConfigError, match="Ray"):
        create_ray_executors(Config(executor="ray:127.0.0.1:1"))
