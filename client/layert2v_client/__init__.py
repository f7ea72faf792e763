"""The client of LayerT2V: call a server, follow jobs, download layer stacks.

    with connect("render01:7433", token=token) as client:
        job = client.submit(GenerateSpec(prompt="a red fox running through a snowy forest"))
        for update in job.watch():
            print(update.status.progress)
        folder = job.download(Path("fox"))
        again = client.rerender(folder, RerenderSpec("regenerate", ("fg_01",), seed=7))
        again.wait()
        again.merge_into(folder)

Synchronous, and safe in threads. Knows the contract, not the server and not the engine; needs no
torch and no numpy, so that it can live inside a host.
"""

import warnings
from typing import Any

from layert2v.decompose import (
    Box,
    DecomposeSpec,
    Footage,
    Point,
    RefineSpec,
    SubjectSpec,
    shots_of_error,
    split_at_cuts,
)
from layert2v.rerender import DonorLayer, Plate, RerenderSpec
from layert2v.spec import FieldViolation, GenerateSpec, ModelInfo
from layert2v_client.client import Client, connect
from layert2v_client.connection import Tls
from layert2v_client.errors import (
    AccessDenied,
    Cancelled,
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
    TransferFailed,
)
from layert2v_client.jobs import Job, Watch
from layert2v_client.local_server import EmbeddedServer
from layert2v_client.transfer import TransferOptions
from layert2v_client.types import (
    Account,
    Artifact,
    Device,
    ErrorInfo,
    JobState,
    JobStatus,
    Preview,
    Progress,
    ServerInfo,
    Update,
)

__all__ = [
    "AccessDenied",
    "Account",
    "Artifact",
    "Box",
    "Cancelled",
    "Client",
    "ClientError",
    "DecomposeSpec",
    "Device",
    "DonorLayer",
    "EmbeddedServer",
    "EmbeddedServerFailed",
    "ErrorInfo",
    "FieldViolation",
    "Footage",
    "GenerateSpec",
    "InvalidRequest",
    "Job",
    "JobCancelled",
    "JobFailed",
    "JobState",
    "JobStatus",
    "ModelInfo",
    "NotFound",
    "NotPossible",
    "Plate",
    "Point",
    "Preview",
    "Progress",
    "RefineSpec",
    "RerenderSpec",
    "ServerBusy",
    "ServerFault",
    "ServerInfo",
    "ServerUnavailable",
    "SubjectSpec",
    "Tls",
    "TransferFailed",
    "TransferOptions",
    "Update",
    "Watch",
    "connect",
    "shots_of_error",
    "split_at_cuts",
]
_RENAMED = {
    "Donor": "DonorLayer",
    "JobProblem": "ErrorInfo",
    "Stopped": "Cancelled",
    "Terms": "TransferOptions",
}


def __getattr__(name: str) -> Any:
    """Return what a deprecated name stands for, with a warning."""
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    message = f"layert2v_client.{name} is called {_RENAMED[name]} now"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return globals()[_RENAMED[name]]
