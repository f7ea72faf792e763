"""The client of LayerT2V: talk to a server, follow jobs, bring layer stacks home.

    with connect("render01:7433", token=token) as client:
        job = client.submit(GenerateSpec(prompt="a red fox running through a snowy forest"))
        for update in job.watch():
            print(update.status.progress)
        folder = job.download(Path("fox"))
        again = client.rerender(folder, RerenderSpec("regenerate", ("fg_01",), seed=7))
        again.wait()
        again.land(folder)

Synchronous and made for threads. Knows the contract, not the server and not the engine; needs no
torch and no numpy, so that it can live inside a host.
"""

from layert2v.rerender import DonorLayer, Plate, RerenderSpec
from layert2v.spec import FieldViolation, GenerateSpec, ModelInfo
from layert2v_client.client import Client, connect
from layert2v_client.connection import Tls
from layert2v_client.errors import (
    AccessDenied,
    ClientError,
    EmbeddedServerFailed,
    InvalidRequest,
    JobCancelled,
    JobFailed,
    NotFound,
    NotPossible,
    ServerBusy,
    ServerFault,
    ServerUnavailable,
    Stopped,
    TransferFailed,
)
from layert2v_client.jobs import Job, Watch
from layert2v_client.local_server.process import EmbeddedServer
from layert2v_client.transfer.download import Terms
from layert2v_client.types import (
    Artifact,
    Device,
    JobProblem,
    JobState,
    JobStatus,
    Preview,
    Progress,
    ServerInfo,
    Update,
)

__all__ = [
    "AccessDenied",
    "Artifact",
    "Client",
    "ClientError",
    "Device",
    "DonorLayer",
    "EmbeddedServer",
    "EmbeddedServerFailed",
    "FieldViolation",
    "GenerateSpec",
    "InvalidRequest",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobProblem",
    "JobState",
    "JobStatus",
    "ModelInfo",
    "NotFound",
    "NotPossible",
    "Plate",
    "Preview",
    "Progress",
    "RerenderSpec",
    "ServerBusy",
    "ServerFault",
    "ServerInfo",
    "ServerUnavailable",
    "Stopped",
    "Terms",
    "Tls",
    "TransferFailed",
    "Update",
    "Watch",
    "connect",
]
