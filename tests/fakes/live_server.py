"""A real server with real workers on loopback, as a child process that a test may kill."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import psutil

from fakes.fake_engine import ENGINE, Behaviour
from layert2v.v1 import (
    artifacts_pb2,
    artifacts_pb2_grpc,
    errors_pb2,
    jobs_pb2,
    jobs_pb2_grpc,
    server_pb2_grpc,
)
from layert2v.wire import ERROR_TRAILER

REPOSITORY = Path(__file__).resolve().parents[2]
FINAL_STATES = frozenset(
    {
        jobs_pb2.JOB_STATE_SUCCEEDED,
        jobs_pb2.JOB_STATE_FAILED,
        jobs_pb2.JOB_STATE_CANCELLED,
    }
)
CALL_TIMEOUT_S = 20.0
WAIT_TIMEOUT_S = 90.0  # for events that take a second on a quiet machine, or a worker to start

# Fast enough for a test, slow enough for a busy machine.
QUICK_SETTINGS = {"heartbeat_s": 0.2, "lease_s": 5.0, "cancel_grace_s": 1.0, "min_free_mib": 0}


class LiveServer:
    """One server process on ``data``; ``settings`` fill the ``[server]`` table of its TOML file.

    ``variables`` are more of its environment.
    """

    def __init__(
        self,
        data: Path,
        *,
        address: str = "127.0.0.1:0",
        rebuild: bool = False,
        variables: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        self.data = data
        data.parent.mkdir(parents=True, exist_ok=True)
        table = {"engine": ENGINE, "devices": ["cpu"], **QUICK_SETTINGS, **settings}
        config = data.parent / f"{data.name}.toml"
        lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
        config.write_text("\n".join(["[server]", *lines]))
        command = [sys.executable, "-m", "layert2v_server", "serve", "--config", str(config)]
        command += ["--address", address, "--data", str(data)]
        command += ["--rebuild"] if rebuild else []
        self.log = data.parent / f"{data.name}.log"
        variables = {**environment(), **(variables or {})}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, env=variables, text=True
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.communicate(timeout=WAIT_TIMEOUT_S)
            raise AssertionError(f"the server did not start:\n{self.log.read_text()}")
        self.ready = json.loads(line)
        self.connect()

    def connect(self, token: str = "") -> None:
        """Create the stubs; with a token, for its user."""
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        self._channel = grpc.insecure_channel(self.ready["address"])
        self.jobs: Any = jobs_pb2_grpc.JobServiceStub(self._channel)
        self.files: Any = artifacts_pb2_grpc.ArtifactServiceStub(self._channel)
        self.info: Any = server_pb2_grpc.ServerServiceStub(self._channel)

    def call(self, method: Callable[..., Any], request: Any) -> Any:
        """Make one unary call."""
        return method(request, timeout=CALL_TIMEOUT_S, metadata=self.metadata)

    def submit(self, *, request_id: str = "", prompt: str = "a fox", **spec: Any) -> Any:
        """Create a job; ``behaviour`` controls the fake engine."""
        behaviour = spec.pop("behaviour", Behaviour())
        spec = {"prompt": prompt, "negative_prompt": behaviour.to_prompt(), **spec}
        request = jobs_pb2.CreateJobRequest(
            request_id=request_id or str(uuid.uuid4()), spec=jobs_pb2.GenerateSpec(**spec)
        )
        return self.call(self.jobs.CreateJob, request)

    def get(self, name: str) -> Any:
        """Return the present job."""
        return self.call(self.jobs.GetJob, jobs_pb2.GetJobRequest(name=name))

    def cancel(self, name: str) -> Any:
        """Cancel the job."""
        return self.call(self.jobs.CancelJob, jobs_pb2.CancelJobRequest(name=name))

    def watch(self, name: str, *, revision: int = 0, previews: bool = False) -> Any:
        """Return the stream of updates."""
        request = jobs_pb2.WatchJobRequest(name=name, from_revision=revision, previews=previews)
        return self.jobs.WatchJob(request, timeout=WAIT_TIMEOUT_S, metadata=self.metadata)

    def wait(self, name: str, condition: Callable[[Any], bool]) -> Any:
        """Watch the job until a condition holds, and return it as it was then."""
        updates = self.watch(name)
        try:
            for update in updates:
                if condition(update.job):
                    return update.job
        finally:
            updates.cancel()
        raise AssertionError(f"the job ended before:\n{update.job}")

    def wait_for_end(self, name: str) -> Any:
        """Wait for the end of the job, and return it."""
        return self.wait(name, lambda job: job.state in FINAL_STATES)

    def artifacts(self, name: str) -> list[Any]:
        """Return the files of a job."""
        request = artifacts_pb2.ListArtifactsRequest(job=name)
        return list(self.call(self.files.ListArtifacts, request).artifacts)

    def read(self, name: str, *, offset: int = 0, limit: int = 0) -> list[Any]:
        """Return all messages of one read."""
        request = artifacts_pb2.ReadArtifactRequest(name=name, offset=offset, limit=limit)
        return list(
            self.files.ReadArtifact(request, timeout=CALL_TIMEOUT_S, metadata=self.metadata)
        )

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes of this server."""
        return psutil.Process(self.process.pid).children()

    def worker(self) -> psutil.Process:
        """Wait for the worker process, and return it."""
        found: list[psutil.Process] = []

        def look() -> bool:
            found[:] = self.workers()
            return bool(found)

        wait_until(look)
        return found[0]

    def unpublished_files(self) -> list[Path]:
        """Return the files of attempts that did not become a stack."""
        return [path for path in self.data.glob("jobs/*/attempt_*/**/*") if path.is_file()]

    def freeze(self) -> None:
        """Stop the server and its workers without ending them."""
        self.frozen = [psutil.Process(self.process.pid), *self.workers()]
        for process in self.frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()

    def thaw(self) -> None:
        """Let them go on."""
        for process in self.frozen:  # the server may have ended its worker meanwhile
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def kill(self) -> None:
        """Kill the server with SIGKILL."""
        self.process.kill()
        self._wait_for_exit()

    def stop(self) -> int:
        """Stop the server with SIGTERM, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self._wait_for_exit()

    def _wait_for_exit(self) -> int:
        status = self.process.wait(WAIT_TIMEOUT_S)
        self._channel.close()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status


@contextlib.contextmanager
def live_server(data: Path, **settings: Any) -> Iterator[LiveServer]:
    """Run a server for the length of a block."""
    server = LiveServer(data, **settings)
    try:
        yield server
    finally:
        server.stop()


def wait_until(condition: Callable[[], bool], timeout_s: float = WAIT_TIMEOUT_S) -> None:
    """Wait for a condition of which no message tells."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def error_detail(error: grpc.RpcError) -> errors_pb2.ErrorDetail:
    """Return the error detail of a failed call."""
    trailers = dict(error.trailing_metadata())  # type: ignore[attr-defined]
    return errors_pb2.ErrorDetail.FromString(trailers[ERROR_TRAILER])


def environment() -> dict[str, str]:
    """Return an environment in which a server process finds the packages and the fakes."""
    folders = [REPOSITORY / name for name in ("tests", "proto", "server", "engine")]
    paths = os.pathsep.join(str(folder) for folder in folders)
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
