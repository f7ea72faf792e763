"""Every call of the three services against a real server with a real worker process."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakes.fake_engine import ENGINE, Behaviour
from fakes.live_server import LiveServer, environment, error_detail, live_server
from layert2v.stack import read
from layert2v.v1 import artifacts_pb2, jobs_pb2, server_pb2

CHUNK = 1 << 20
BIG = Behaviour(frame_bytes=5 * CHUNK // 2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server") / "data") as server:
        server.wait_for_end(server.submit().name)  # the models are known from here on
        yield server


@pytest.fixture(scope="module")
def done(server: LiveServer) -> Any:
    return server.wait_for_end(server.submit(behaviour=BIG, frames=1).name)


def refusal(server: LiveServer, method: Any, request: Any) -> tuple[grpc.StatusCode, Any]:
    with pytest.raises(grpc.RpcError) as caught:
        server.call(method, request)
    return caught.value.code(), error_detail(caught.value)


def test_the_ready_event_has_address_and_pid(server: LiveServer) -> None:
    assert server.ready["event"] == "ready"
    assert server.ready["pid"] == server.process.pid
    assert server.ready["address"].startswith("127.0.0.1:")


def test_server_info(server: LiveServer) -> None:
    info = server.call(server.info.GetServerInfo, server_pb2.GetServerInfoRequest())
    assert [model.name for model in info.models] == ["mini"]
    assert [(device.name, device.ready) for device in info.devices] == [("cpu", True)]
    assert set(info.capabilities) == {"previews", "upload", "rerender", "decompose"}
    assert info.storage.free_bytes > 0


def test_the_server_process_has_no_torch_in_memory(server: LiveServer) -> None:
    mapped = [area.path for area in psutil.Process(server.process.pid).memory_maps()]
    assert not [path for path in mapped if "torch" in path or "numpy" in path]


def test_health_answers(server: LiveServer) -> None:
    with grpc.insecure_channel(server.ready["address"]) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        answer = check(health_pb2.HealthCheckRequest(), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_a_job_becomes_a_stack(server: LiveServer) -> None:
    job = server.wait_for_end(server.submit(frames=5, seed=3).name)
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED
    assert (job.spec.seed, job.spec.steps, job.attempt) == (3, 4, 1)
    stack = read(Path(job.local_path))
    listed = server.artifacts(job.name)
    assert [file.path for file in listed[:-2]] == [file.path for file in stack.files()]
    assert [file.path for file in listed[-2:]] == ["history/v001.json", "stack.json"]
    assert job.artifact_count == len(listed)
    assert job.artifact_bytes == sum(file.size_bytes for file in listed)


def test_one_request_is_one_job(server: LiveServer) -> None:
    request_id = str(uuid.uuid4())
    first = server.submit(request_id=request_id)
    again = server.submit(request_id=request_id.upper())
    assert again.name == first.name
    assert again.spec.seed == first.spec.seed
    with pytest.raises(grpc.RpcError) as caught:
        server.submit(request_id=request_id, prompt="an owl")
    assert error_detail(caught.value).reason == "REQUEST_ID_REUSED"


def test_wrong_fields_are_named(server: LiveServer) -> None:
    spec = jobs_pb2.GenerateSpec(prompt="", width=70, frames=4)
    request = jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), spec=spec)
    code, error = refusal(server, server.jobs.CreateJob, request)
    assert (code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_SPEC")
    assert {violation.field for violation in error.violations} == {"prompt", "width", "frames"}
    spec = jobs_pb2.GenerateSpec(prompt="a", foreground_prompts=[" "] * 1000)
    request = jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), spec=spec)
    _, error = refusal(server, server.jobs.CreateJob, request)
    assert len(error.violations) == 8
    spec = jobs_pb2.GenerateSpec(prompt="a", model="wan")
    request = jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), spec=spec)
    _, error = refusal(server, server.jobs.CreateJob, request)
    assert error.violations[0].field == "model"


@pytest.mark.parametrize("request_id", ["", "1", "../" * 12])
def test_a_request_id_is_a_uuid(server: LiveServer, request_id: str) -> None:
    request = jobs_pb2.CreateJobRequest(
        request_id=request_id, spec=jobs_pb2.GenerateSpec(prompt="a")
    )
    code, _ = refusal(server, server.jobs.CreateJob, request)
    assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", ["jobs/" + "0" * 32, "jobs/", "", "jobs/../../etc", "x" * 5000])
def test_unknown_jobs_are_not_found_by_any_call(server: LiveServer, name: str) -> None:
    calls = (
        (server.jobs.GetJob, jobs_pb2.GetJobRequest(name=name)),
        (server.jobs.CancelJob, jobs_pb2.CancelJobRequest(name=name)),
        (server.jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=name)),
        (server.files.ListArtifacts, artifacts_pb2.ListArtifactsRequest(job=name)),
    )
    for method, request in calls:
        code, error = refusal(server, method, request)
        assert (code, error.reason) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
        assert error.hint
    with pytest.raises(grpc.RpcError) as caught:
        list(server.watch(name))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_jobs_are_listed_in_pages(server: LiveServer) -> None:
    made = [server.submit().name for _ in range(5)]
    seen: list[str] = []
    token = ""
    while len(seen) < 5:
        page = server.call(
            server.jobs.ListJobs, jobs_pb2.ListJobsRequest(page_size=2, page_token=token)
        )
        seen += [job.name for job in page.jobs]
        token = page.next_page_token
        assert len(page.jobs) == 2
    assert seen[:5] == made[::-1]
    for name in made:
        server.wait_for_end(name)
    running = jobs_pb2.ListJobsRequest(states=[jobs_pb2.JOB_STATE_RUNNING])
    assert not server.call(server.jobs.ListJobs, running).jobs


def test_deleting_removes_job_and_files(server: LiveServer) -> None:
    job = server.submit(behaviour=Behaviour(step_s=0.05), steps=1000)
    delete = jobs_pb2.DeleteJobRequest(name=job.name)
    code, _ = refusal(server, server.jobs.DeleteJob, delete)
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    server.cancel(job.name)
    server.wait_for_end(job.name)
    job = server.wait_for_end(server.submit().name)
    server.call(server.jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=job.name))
    assert not Path(job.local_path).parent.exists()
    code, _ = refusal(server, server.jobs.GetJob, jobs_pb2.GetJobRequest(name=job.name))
    assert code is grpc.StatusCode.NOT_FOUND


def test_a_watch_sends_updates_in_order(server: LiveServer) -> None:
    job = server.submit(behaviour=Behaviour(step_s=0.1, frame_s=0.01))
    updates = list(server.watch(job.name, previews=True))
    revisions = [update.job.revision for update in updates]
    assert revisions == sorted(set(revisions))
    stages = [update.job.progress.stage for update in updates]
    assert {"denoise", "decode"} <= set(stages)
    assert updates[-1].job.state == jobs_pb2.JOB_STATE_SUCCEEDED
    pictures = [update.preview.data for update in updates if update.HasField("preview")]
    assert len(pictures) == 2
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert all(not update.HasField("preview") for update in server.watch(job.name))


def test_a_watch_starts_after_a_revision(server: LiveServer, done: Any) -> None:
    assert list(server.watch(done.name, revision=done.revision)) == []
    (update,) = server.watch(done.name, revision=done.revision - 1)
    assert update.job == done


def test_closing_a_watch_does_not_stop_the_job(server: LiveServer) -> None:
    job = server.submit(behaviour=Behaviour(step_s=0.1), steps=5)
    watch = server.watch(job.name)
    next(watch)
    watch.cancel()
    assert server.wait_for_end(job.name).state == jobs_pb2.JOB_STATE_SUCCEEDED


def test_queue_positions(server: LiveServer) -> None:
    first = server.submit(behaviour=Behaviour(step_s=0.05), steps=1000)
    server.wait(first.name, lambda job: job.state == jobs_pb2.JOB_STATE_RUNNING)
    second, third = server.submit(), server.submit()
    assert [second.queue_position, third.queue_position] == [0, 1]
    server.cancel(second.name)
    server.wait(third.name, lambda job: job.queue_position == 0)
    assert server.get(second.name).state == jobs_pb2.JOB_STATE_CANCELLED
    server.cancel(first.name)
    assert server.wait_for_end(third.name).state == jobs_pb2.JOB_STATE_SUCCEEDED
    assert server.get(first.name).state == jobs_pb2.JOB_STATE_CANCELLED


def test_a_file_can_be_read_from_any_offset(server: LiveServer, done: Any) -> None:
    file = server.artifacts(done.name)[0]
    assert file.size_bytes == BIG.frame_bytes
    answers = server.read(file.name)
    assert [len(a.chunk.data) for a in answers] == [CHUNK, CHUNK, CHUNK // 2]
    assert [a.chunk.offset for a in answers] == [0, CHUNK, 2 * CHUNK]
    assert all(zlib.crc32(a.chunk.data) == a.chunk.crc32 for a in answers)
    whole = b"".join(a.chunk.data for a in answers)
    assert hashlib.sha256(whole).hexdigest() == file.sha256 == answers[0].sha256
    part = server.read(file.name, offset=1000, limit=50)
    assert [a.chunk.data for a in part] == [whole[1000:1050]]
    assert (part[0].chunk.offset, part[0].size_bytes) == (1000, len(whole))
    (end,) = server.read(file.name, offset=len(whole))
    assert end.chunk.data == b""


@pytest.mark.parametrize(("offset", "limit"), [(-1, 0), (1 << 40, 0), (0, -1)])
def test_reads_outside_the_file_are_refused(
    server: LiveServer, done: Any, offset: int, limit: int
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.read(server.artifacts(done.name)[0].name, offset=offset, limit=limit)
    assert caught.value.code() is grpc.StatusCode.OUT_OF_RANGE


def test_artifacts_are_listed_in_pages(server: LiveServer, done: Any) -> None:
    listed = server.artifacts(done.name)
    request = artifacts_pb2.ListArtifactsRequest(job=done.name, page_size=4)
    first = server.call(server.files.ListArtifacts, request)
    request.page_token = first.next_page_token
    second = server.call(server.files.ListArtifacts, request)
    assert [*first.artifacts, *second.artifacts] == listed
    assert not second.next_page_token


@pytest.mark.parametrize("position", ["99", "-1", "x", "../../jobs.sqlite3", ""])
def test_only_artifacts_can_be_read(server: LiveServer, done: Any, position: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.read(f"{done.name}/artifacts/{position}")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def upload_steps(data: bytes, upload_id: str, *, start: int = 0, stop: int | None = None) -> Any:
    begin = artifacts_pb2.BeginWrite(
        upload_id=upload_id,
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        media_type="image/x-exr",
    )
    yield artifacts_pb2.WriteArtifactRequest(begin=begin)
    end = len(data) if stop is None else stop
    for offset in range(start, end, CHUNK):
        piece = data[offset : min(offset + CHUNK, end)]
        chunk = artifacts_pb2.Chunk(offset=offset, data=piece, crc32=zlib.crc32(piece))
        yield artifacts_pb2.WriteArtifactRequest(chunk=chunk)
    if stop is None:
        yield artifacts_pb2.WriteArtifactRequest(finish=artifacts_pb2.FinishWrite())


def test_an_interrupted_upload_is_resumed(server: LiveServer) -> None:
    data, upload_id = bytes(range(256)) * 10_000, str(uuid.uuid4())
    query = artifacts_pb2.QueryWriteRequest(upload_id=upload_id)
    assert server.call(server.files.QueryWrite, query).committed_bytes == 0
    cut = upload_steps(data, upload_id, stop=CHUNK + 5)
    assert server.call(server.files.WriteArtifact, cut).committed_bytes == CHUNK + 5
    assert server.call(server.files.QueryWrite, query).committed_bytes == CHUNK + 5
    rest = upload_steps(data, upload_id, start=CHUNK + 5)
    artifact = server.call(server.files.WriteArtifact, rest).artifact
    assert artifact.sha256 == hashlib.sha256(data).hexdigest()
    assert b"".join(a.chunk.data for a in server.read(artifact.name)) == data
    assert server.call(server.files.QueryWrite, query).artifact == artifact


def test_a_damaged_chunk_is_refused(server: LiveServer) -> None:
    steps = list(upload_steps(b"0123456789", str(uuid.uuid4())))
    steps[1].chunk.crc32 ^= 1
    code, error = refusal(server, server.files.WriteArtifact, iter(steps))
    assert (code, error.reason) == (grpc.StatusCode.DATA_LOSS, "CHECKSUM_WRONG")


def test_upload_steps_must_be_in_order(server: LiveServer) -> None:
    for steps in ([], list(upload_steps(b"abc", str(uuid.uuid4())))[1:]):
        code, _ = refusal(server, server.files.WriteArtifact, iter(steps))
        assert code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("engine_error", "NO_SUCH_WORD"),
        ("unexpected_error", "ENGINE_CRASHED"),
        ("out_of_memory", "OUT_OF_MEMORY"),
    ],
)
def test_an_engine_error_fails_the_job_once(server: LiveServer, fault: str, reason: str) -> None:
    job = server.wait_for_end(server.submit(behaviour=Behaviour(fault=fault)).name)
    assert (job.state, job.error.reason, job.attempt) == (jobs_pb2.JOB_STATE_FAILED, reason, 1)
    assert job.error.message.endswith(".")
    assert job.error.hint
    assert "secret" not in str(job)
    assert server.artifacts(job.name) == []
    assert server.unpublished_files() == []


def test_a_worker_that_ran_out_of_memory_is_replaced(server: LiveServer) -> None:
    before = server.worker().pid
    failed = server.wait_for_end(server.submit(behaviour=Behaviour(fault="out_of_memory")).name)
    assert failed.error.reason == "OUT_OF_MEMORY"
    job = server.wait_for_end(server.submit().name)
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED
    assert server.worker().pid != before


def test_an_oversized_request_shows_no_traceback(server: LiveServer) -> None:
    spec = jobs_pb2.GenerateSpec(prompt="a" * 5_000_000)
    request = jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), spec=spec)
    with pytest.raises(grpc.RpcError) as caught:
        server.call(server.jobs.CreateJob, request)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "Traceback" not in (caught.value.details() or "")


def test_prompts_stay_out_of_the_log(server: LiveServer) -> None:
    server.wait_for_end(server.submit(prompt="canary-7f3a").name)
    assert "canary-7f3a" not in server.log.read_text()


def test_a_second_server_refuses_the_same_folder(server: LiveServer) -> None:
    with pytest.raises(AssertionError, match="Another server is using this data folder"):
        LiveServer(server.data.parent / "data")


def test_until_stdin_ends_stops_the_server(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "layert2v_server", "serve", "--until-stdin-ends"]
    command += ["--address", "127.0.0.1:0", "--data", str(tmp_path), "--engine", ENGINE]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes, env=environment()) as process:
        assert process.stdout is not None
        assert b"ready" in process.stdout.readline()
        process.communicate(timeout=30)
    assert process.returncode == 0


SPECS = st.builds(
    jobs_pb2.GenerateSpec,
    prompt=st.text(max_size=30) | st.just("x" * 3000),
    foreground_prompts=st.lists(st.text(max_size=5), max_size=4),
    width=st.integers(-(2**31), 2**31 - 1) | st.just(64),
    frames=st.integers(-9, 99),
    fps=st.floats(),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    steps=st.integers(-3, 9),
    guidance=st.none() | st.floats(),
    colorspace=st.sampled_from(["", "lin_rec709_scene", "nonsense"]),
    start_frame=st.none() | st.integers(-5, 2**31 - 1),
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(spec=SPECS)
def test_any_request_is_accepted_or_refused_with_fields(server: LiveServer, spec: Any) -> None:
    request = jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), spec=spec)
    answer = server.jobs.CreateJob.future(request, timeout=20)
    if answer.code() is grpc.StatusCode.OK:
        server.cancel(answer.result().name)
    else:
        assert answer.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error_detail(answer).violations


def test_a_stopped_server_ends_calls_quickly(tmp_path: Path) -> None:
    with live_server(tmp_path / "data") as server:
        job = server.submit(behaviour=Behaviour(step_s=0.05), steps=1000)
        watch = server.watch(job.name)
        next(watch)
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 10
