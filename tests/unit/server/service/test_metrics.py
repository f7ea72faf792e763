"""Metrics: what is counted of snapshots of jobs, and how often."""

from __future__ import annotations

import dataclasses

from fakes.inline_server import InlineServer, run_scenario
from layert2v.spec import GenerateSpec
from layert2v_server.domain.job import Failure, Job, Progress
from layert2v_server.domain.state import JobState
from layert2v_server.service.metrics import ServerMetrics, StateCollector

JOB = Job(
    id="j",
    owner="anna",
    spec=GenerateSpec(prompt="a secret fox", seed=1),
    state=JobState.RUNNING,
    revision=2,
    attempt=1,
    queue_position=None,
    created=100.0,
    started=107.0,
    finished=None,
    worker="cpu",
    lease_until=0.0,
    progress=Progress(stage="denoise", done=1, total=4),
    preview_revision=0,
    failure=None,
    artifact_count=0,
    artifact_bytes=0,
)
LABELS = {"kind": "GENERATE", "model": "mini"}


def test_an_attempt_its_wait_and_its_steps_are_counted_once() -> None:
    now = [50.0]
    metrics = ServerMetrics(clock=lambda: now[0])
    value = metrics.registry.get_sample_value
    for done, seconds in ((1, 0.0), (1, 1.0), (3, 2.0)):
        now[0] += seconds
        progress = Progress(stage="denoise", done=done, total=4)
        metrics.observe_job(dataclasses.replace(JOB, progress=progress))
    assert value("layert2v_job_attempts_total", LABELS) == 1
    assert value("layert2v_job_wait_seconds_sum", LABELS) == 7.0
    step = {"stage": "denoise", **LABELS}
    assert value("layert2v_step_seconds_sum", step) == 1.5  # two steps in three seconds
    assert value("layert2v_step_seconds_count", step) == 1


def test_an_end_is_counted_once_with_its_reason() -> None:
    metrics = ServerMetrics()
    failure = Failure(reason="OUT_OF_MEMORY", message="It did not fit.")
    ended = dataclasses.replace(JOB, state=JobState.FAILED, finished=117.0, failure=failure)
    for _ in range(3):  # as when somebody cancels it afterwards
        metrics.observe_job(ended)
    value = metrics.registry.get_sample_value
    assert value("layert2v_job_run_seconds_sum", {"state": "FAILED", **LABELS}) == 10.0
    failed = {"reason": "OUT_OF_MEMORY", "kind": "GENERATE"}
    assert value("layert2v_job_failures_total", failed) == 1


def test_deaths_are_counted_once_and_again_after_a_release() -> None:
    metrics = ServerMetrics()
    for deaths, base in ((0, 0), (1, 0), (1, 0), (2, 0), (0, 2), (1, 2)):
        metrics.observe_job(dataclasses.replace(JOB, deaths=deaths, attempt_base=base))
    assert metrics.registry.get_sample_value("layert2v_worker_deaths_total", LABELS) == 3


def test_the_state_is_read_from_the_store(server: InlineServer) -> None:
    metrics = ServerMetrics()
    names = {False: set(), True: set()}
    first = server.enqueue()
    second = server.enqueue()
    for with_users in (False, True):
        collector = StateCollector(
            server.store, server.artifacts, [], with_users=with_users, clock=lambda: 1e10
        )
        names[with_users] = {metric.name for metric in collector.collect()}
    metrics.registry.register(collector)
    value = metrics.registry.get_sample_value
    assert value("layert2v_queue_length") == 2
    assert value("layert2v_quarantined_jobs") == 0
    assert value("layert2v_jobs", {"state": "QUEUED", "kind": "GENERATE"}) == 2
    assert (value("layert2v_queue_oldest_seconds") or 0.0) > 1e9
    assert names[True] - names[False] == {"layert2v_open_jobs_of_user"}

    async def scenario() -> None:
        for job in (first, second):
            await server.wait(job)

    run_scenario(server, scenario)
