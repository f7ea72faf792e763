"""A server with a quota for each user, over gRPC."""

from __future__ import annotations

import uuid
from pathlib import Path

import grpc
import pytest

from fakes.fake_engine import Behaviour
from fakes.live_server import LiveServer, error_detail, live_server
from layert2v.status_text import file_size
from layert2v.v1 import artifacts_pb2, jobs_pb2, server_pb2

MIB = 1 << 20


def begin_upload(server: LiveServer, size_bytes: int) -> None:
    begin = artifacts_pb2.BeginWrite(
        upload_id=str(uuid.uuid4()), size_bytes=size_bytes, sha256="0" * 64, media_type="image/png"
    )
    steps = iter([artifacts_pb2.WriteArtifactRequest(begin=begin)])
    server.call(server.files.WriteArtifact, steps)


def test_a_user_at_the_limit_learns_what_to_delete(tmp_path: Path) -> None:
    with live_server(tmp_path / "data", max_user_mib=3) as server:
        with pytest.raises(grpc.RpcError) as caught:
            begin_upload(server, 3 * MIB + 1)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error_detail(caught.value).reason == "QUOTA_EXCEEDED"
        begin_upload(server, MIB)
        job = server.wait_for_end(
            server.submit(behaviour=Behaviour(frame_bytes=MIB), frames=1).name
        )
        with pytest.raises(grpc.RpcError) as caught:
            server.submit()
        detail = error_detail(caught.value)
        assert detail.reason == "QUOTA_EXCEEDED"
        account = server.call(server.info.GetServerInfo, server_pb2.GetServerInfoRequest()).account
        assert (account.user, account.max_bytes, account.open_jobs) == ("local", 3 * MIB, 0)
        assert f"take {file_size(account.used_bytes)} of the 3.1 MB" in detail.message
        assert f"({job.name} has " in detail.hint
        assert "uploads (1.0 MB) with: layert2v delete --uploads" in detail.hint
        server.call(server.jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=job.name))
        assert server.wait_for_end(server.submit().name).artifact_count > 0
