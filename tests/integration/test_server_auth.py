"""Authentication: tokens in metadata, jobs of other users, client certificates."""

from __future__ import annotations

import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, error_detail, live_server, wait_until
from layert2v.v1 import artifacts_pb2, jobs_pb2, jobs_pb2_grpc, server_pb2
from layert2v_server.auth import Role, add_entry, make_token, revoke
from layert2v_server.auth.authenticator import RELOAD_INTERVAL_S

ANNA, ANNA_ENTRY = make_token("anna")
BERT, BERT_ENTRY = make_token("bert")
LEAD, LEAD_ENTRY = make_token("lena", Role.SUPERVISOR)
ADMIN, ADMIN_ENTRY = make_token("eve", Role.ADMIN)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = tmp_path_factory.mktemp("auth")
    for entry in (ANNA_ENTRY, BERT_ENTRY, LEAD_ENTRY, ADMIN_ENTRY):
        add_entry(folder / "tokens", entry)
    with live_server(folder / "data", token_file=str(folder / "tokens")) as server:
        yield server


@pytest.mark.parametrize(
    "token", ["", "wrong", ANNA + "x", ANNA[:-1]], ids=["none", "wrong", "longer", "shorter"]
)
def test_unknown_callers_are_refused(server: LiveServer, token: str) -> None:
    server.connect(token)
    calls = (
        lambda: server.call(server.info.GetServerInfo, server_pb2.GetServerInfoRequest()),
        lambda: server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest()),
        lambda: list(server.watch("jobs/" + "0" * 32)),
        lambda: server.call(server.files.WriteArtifact, iter(())),
    )
    for call in calls:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert error_detail(caught.value).reason == "ACCESS_DENIED"


def test_only_supervisors_make_jobs_urgent(server: LiveServer) -> None:
    urgent = jobs_pb2.CreateJobRequest(
        spec=jobs_pb2.GenerateSpec(prompt="a fox"), priority=jobs_pb2.JOB_PRIORITY_URGENT
    )
    for token, is_allowed in ((ANNA, False), (LEAD, True), (ADMIN, True)):
        server.connect(token)
        urgent.request_id = str(uuid.uuid4())
        if is_allowed:
            assert server.call(server.jobs.CreateJob, urgent).priority == urgent.priority
            continue
        with pytest.raises(grpc.RpcError) as caught:
            server.call(server.jobs.CreateJob, urgent)
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "high" in error_detail(caught.value).hint


def test_health_needs_no_token(server: LiveServer) -> None:
    with grpc.insecure_channel(server.ready["address"]) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        assert check(health_pb2.HealthCheckRequest(), timeout=5).status == 1


def test_jobs_of_other_users_are_not_found(server: LiveServer) -> None:
    server.connect(ANNA)
    job = server.wait_for_end(server.submit().name)
    file = server.artifacts(job.name)[0]
    assert job.owner == "anna"
    server.connect(BERT)
    assert not server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest()).jobs
    for call in (
        lambda: server.get(job.name),
        lambda: server.cancel(job.name),
        lambda: list(server.watch(job.name)),
        lambda: server.read(file.name),
        lambda: server.call(
            server.files.ListArtifacts, artifacts_pb2.ListArtifactsRequest(job=job.name)
        ),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_an_admin_sees_and_ends_the_jobs_of_everybody(server: LiveServer) -> None:
    server.connect(ANNA)
    job = server.wait_for_end(server.submit().name)
    server.connect(ADMIN)
    listed = server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest()).jobs
    assert job.name in [each.name for each in listed]
    assert server.get(job.name).owner == "anna"
    assert server.read(server.artifacts(job.name)[0].name)
    server.call(server.jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=job.name))
    server.connect(ANNA)
    with pytest.raises(grpc.RpcError) as caught:
        server.get(job.name)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_revoked_token_is_refused_without_a_restart(server: LiveServer) -> None:
    file = server.data.parent / "tokens"
    token, entry = make_token("carl")
    add_entry(file, entry)

    def is_refused() -> bool:
        server.connect(token)
        try:
            server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest())
        except grpc.RpcError:
            return True
        return False

    wait_until(lambda: not is_refused())
    assert revoke(file, "carl") == 1
    wait_until(is_refused)


def test_an_open_stream_ends_when_its_token_is_revoked(server: LiveServer) -> None:
    file = server.data.parent / "tokens"
    token, entry = make_token("dora")
    add_entry(file, entry)
    time.sleep(RELOAD_INTERVAL_S)
    server.connect(token)
    job = server.submit(behaviour=Behaviour(step_s=0.5), steps=1000)
    updates = server.watch(job.name)
    assert next(updates).job.name == job.name
    revoke(file, "dora")
    with pytest.raises(grpc.RpcError) as caught:
        list(updates)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert error_detail(caught.value).reason == "ACCESS_DENIED"
    server.connect(ADMIN)
    server.cancel(job.name)


def test_tokens_stay_out_of_the_log(server: LiveServer) -> None:
    server.connect(ANNA)
    server.call(server.jobs.ListJobs, jobs_pb2.ListJobsRequest())
    assert ANNA not in server.log.read_text()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the test certificate, is not installed")
    folder = tmp_path_factory.mktemp("tls")
    key, pem = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-keyout", str(key), "-out", str(pem), "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return key, pem


def test_client_certificates_are_required(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    key, pem = certificate
    settings = {"tls_certificate": str(pem), "tls_key": str(key), "tls_client_authority": str(pem)}
    with live_server(tmp_path / "data", **settings) as server:
        address = server.ready["address"]
        mutual = grpc.ssl_channel_credentials(pem.read_bytes(), key.read_bytes(), pem.read_bytes())
        with grpc.secure_channel(address, mutual) as channel:
            jobs = jobs_pb2_grpc.JobServiceStub(channel)
            assert not jobs.ListJobs(jobs_pb2.ListJobsRequest(), timeout=10).jobs
        stranger = grpc.ssl_channel_credentials(pem.read_bytes())
        with grpc.secure_channel(address, stranger) as channel:
            jobs = jobs_pb2_grpc.JobServiceStub(channel)
            with pytest.raises(grpc.RpcError) as caught:
                jobs.ListJobs(jobs_pb2.ListJobsRequest(), timeout=5)
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
