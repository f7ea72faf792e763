"""Say something through every kind of field of the stubs. Runs alone, on the oldest runtimes too.

``python round_trip.py``, with ``proto`` and ``client`` on the path, prints the versions it ran on.
"""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import grpc

from layert2v.rerender import DonorLayer, Plate, RerenderSpec
from layert2v.spec import GenerateSpec, ModelInfo
from layert2v.v1 import artifacts_pb2, errors_pb2, jobs_pb2, jobs_pb2_grpc, server_pb2
from layert2v.wire import (
    model_from_message,
    model_to_message,
    rerender_from_message,
    rerender_to_message,
    spec_from_message,
    spec_to_message,
)
from layert2v_client import connect
from layert2v_client.types import JobState

SPEC = GenerateSpec("a fox", foreground_prompts=("fox", "owl"), seed=0, start_frame=0, fps=12.5)
CHANGE = RerenderSpec(
    "replace",
    ("fg_01",),
    prompts={"shadow_01": "soft"},
    plate=Plate("mine", "ACEScg"),
    donor=DonorLayer("other", "fg_02", with_shadow=True),
    strength=0.5,
)
MODEL = ModelInfo(
    *("mini", "Mini", "0" * 64, (64, 256), (64, 256), 16, (5, 33), 4, 2, 96, 96, 9, 12.0, 30, 4.0),
    *((1, 100), (0.0, 20.0)),
    vocabulary={"subject": ("fox", "owl")},
)


class Jobs(jobs_pb2_grpc.JobServiceServicer):
    """Succeeds at everything at once."""

    def CreateJob(self, request, context):
        return jobs_pb2.Job(name="jobs/1", spec=request.spec)

    def WatchJob(self, request, context):
        job = jobs_pb2.Job(name=request.name, revision=1, state=jobs_pb2.JOB_STATE_SUCCEEDED)
        job.create_time.GetCurrentTime()
        yield jobs_pb2.JobUpdate(job=job, preview=jobs_pb2.Preview(data=b"\0png"))


def messages() -> None:
    """Message to bytes and back."""
    assert spec_from_message(spec_to_message(SPEC)) == SPEC
    data = rerender_to_message(CHANGE).SerializeToString()
    assert rerender_from_message(jobs_pb2.RerenderSpec.FromString(data)) == CHANGE
    data = model_to_message(MODEL).SerializeToString()
    assert model_from_message(server_pb2.Model.FromString(data)) == MODEL
    chunk = artifacts_pb2.Chunk(offset=2**40, data=b"\0\xff", crc32=2**32 - 1)
    step = artifacts_pb2.WriteArtifactRequest(chunk=chunk)
    again = artifacts_pb2.WriteArtifactRequest.FromString(step.SerializeToString())
    assert (again.WhichOneof("step"), again.chunk) == ("chunk", chunk)
    assert not errors_pb2.ErrorDetail().HasField("retry_after_s")


def calls() -> None:
    """Make a real call and read a real stream."""
    server = grpc.server(ThreadPoolExecutor(2))
    jobs_pb2_grpc.add_JobServiceServicer_to_server(Jobs(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with connect(f"127.0.0.1:{port}") as client:
        (update,) = client.submit(SPEC).watch()
        assert update.status.state is JobState.succeeded
        assert update.status.created is not None
        assert update.preview is not None
        assert update.preview.data == b"\0png"
    stopped: threading.Event = server.stop(None)
    stopped.wait()


if __name__ == "__main__":
    messages()
    calls()
    python = ".".join(map(str, sys.version_info[:3]))
    sys.stdout.write(f"python {python} protobuf {version('protobuf')} grpcio {grpc.__version__}\n")
