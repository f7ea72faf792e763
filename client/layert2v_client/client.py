"""The entry point: ``connect`` and the calls of a server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import MappingProxyType

from layert2v.address import is_local
from layert2v.decompose import DecomposeSpec, RefineSpec
from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v.v1 import artifacts_pb2, jobs_pb2, server_pb2
from layert2v_client.connection import Connection, Tls, check_address
from layert2v_client.convert import (
    create_request,
    info_from_message,
    priority_to_number,
    state_to_number,
    status_from_message,
)
from layert2v_client.decompose_request import prepare_decompose, prepare_refine
from layert2v_client.jobs import Job
from layert2v_client.request_files import Input, Source
from layert2v_client.rerender_request import prepare_request
from layert2v_client.transfer import TransferOptions
from layert2v_client.types import JobState, JobStatus, ServerInfo

PAGE_SIZE = 100
# A server whose engine is still loading says so after 15 s, and gRPC asks it five times.
SUBMIT_TIMEOUT_S = 90.0


def connect(address: str, token: str | None = None, tls: Tls | bool | None = None) -> Client:
    """Return a client for the server at ``address``, ``HOST:PORT`` or ``unix:PATH``.

    ``tls`` None means plain to this machine and TLS to any other; True and False choose, and a
    ``Tls`` names certificates. Nothing is sent yet: a server that does not answer shows at the
    first call. Raises ``InvalidRequest`` for a malformed address or a certificate that cannot be
    read.
    """
    check_address(address)
    if tls is None:
        tls = not is_local(address)
    if isinstance(tls, bool):
        tls = Tls() if tls else None
    return Client(Connection(address, token, tls))


class Client(AbstractContextManager["Client"]):
    """The calls of a server. May be used from several threads, and in a ``with`` block.

    ``priority`` is that of the jobs that this client submits: ``low``, ``normal`` and ``high``
    order the jobs of one user, ``urgent`` goes before everybody's and is for supervisors.
    """

    def __init__(self, connection: Connection, priority: str = "normal") -> None:
        self._connection = connection
        self.priority = priority

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection to the server; jobs go on."""
        self._connection.close()

    @property
    def address(self) -> str:
        """The address of the server."""
        return self._connection.address

    def info(self) -> ServerInfo:
        """Return the server's version, models, limits and devices. Raises ``ClientError``."""
        request = server_pb2.GetServerInfoRequest()
        answer = self._connection.call(self._connection.server.GetServerInfo, request)
        return info_from_message(answer)

    def submit(
        self,
        spec: GenerateSpec,
        request_id: uuid.UUID | None = None,
        *,
        timeout_s: float = SUBMIT_TIMEOUT_S,
        priority: str = "",
    ) -> Job:
        """Submit a job; it is queued when this returns.

        Without a ``priority`` of its own it gets that of the client. The same ``request_id`` again
        returns the same job, so a caller that may be restarted in between keeps its own. Raises
        ``InvalidRequest`` with the wrong fields, or ``ClientError``.
        """
        request = create_request(spec, request_id or uuid.uuid4())
        return self.create(request, timeout_s=timeout_s, priority=priority)

    def rerender(
        self,
        stack: Source,
        spec: RerenderSpec,
        inputs: Mapping[str, Input] = MappingProxyType({}),
        request_id: uuid.UUID | None = None,
        options: TransferOptions | None = None,
    ) -> Job:
        """Submit a change of a stack, a folder or a job's name; it is queued when this returns.

        ``inputs`` has for each key of ``spec`` the pictures, or the donor: a folder or a job's
        name. Files that the server lacks are uploaded first. ``Job.merge_into`` downloads the new
        state. Raises ``InvalidRequest`` with the wrong fields, ``ManifestError``, or
        ``ClientError``.
        """
        return self.create(self.prepare(stack, spec, inputs, request_id or uuid.uuid4(), options))

    def prepare(
        self,
        stack: Source,
        spec: RerenderSpec,
        inputs: Mapping[str, Input],
        request_id: uuid.UUID,
        options: TransferOptions | None = None,
        *,
        with_states: bool = True,
    ) -> jobs_pb2.CreateJobRequest:
        """Check a re-render, upload its files and return the request for ``create``.

        ``with_states`` uploads all states of a folder, not only what the change takes: the job can
        then be downloaded anywhere, and every state of it opened.
        """
        return prepare_request(
            self._connection,
            stack,
            spec,
            inputs,
            request_id,
            options or TransferOptions(),
            with_states,
        )

    def decompose(
        self,
        footage: Input,
        spec: DecomposeSpec | None = None,
        inputs: Mapping[str, Input] = MappingProxyType({}),
        request_id: uuid.UUID | None = None,
        options: TransferOptions | None = None,
    ) -> Job:
        """Submit footage to be turned into layers; the job is queued when this returns.

        ``footage`` is a movie, a folder of images, files in order, or a pattern such as
        ``shot.####.exr``; ``inputs`` has the mattes, scribbles and the plate that ``spec`` names by
        key. What the server lacks is uploaded first. Raises ``InvalidRequest`` with the wrong
        fields, or ``ClientError``.
        """
        spec = spec or DecomposeSpec()
        given = {**inputs, spec.footage.input: footage}
        return self.create(self.prepare_decompose(spec, given, request_id or uuid.uuid4(), options))

    def prepare_decompose(
        self,
        spec: DecomposeSpec,
        inputs: Mapping[str, Input],
        request_id: uuid.UUID,
        options: TransferOptions | None = None,
    ) -> jobs_pb2.CreateJobRequest:
        """Check a decomposition, upload its files and return the request for ``create``."""
        return prepare_decompose(
            self._connection, spec, inputs, request_id, options or TransferOptions()
        )

    def refine(
        self,
        stack: Source,
        spec: RefineSpec,
        inputs: Mapping[str, Input],
        request_id: uuid.UUID | None = None,
        options: TransferOptions | None = None,
    ) -> Job:
        """Submit a new matte for a layer of a decomposed stack, a folder or a job's name.

        ``Job.merge_into`` downloads the new state. Raises what ``rerender`` does.
        """
        request_id = request_id or uuid.uuid4()
        return self.create(self.prepare_refine(stack, spec, inputs, request_id, options))

    def prepare_refine(
        self,
        stack: Source,
        spec: RefineSpec,
        inputs: Mapping[str, Input],
        request_id: uuid.UUID,
        options: TransferOptions | None = None,
        *,
        with_states: bool = True,
    ) -> jobs_pb2.CreateJobRequest:
        """Check a refinement, upload its files and return the request for ``create``."""
        return prepare_refine(
            self._connection,
            stack,
            spec,
            inputs,
            request_id,
            options or TransferOptions(),
            with_states,
        )

    def create(
        self,
        request: jobs_pb2.CreateJobRequest,
        *,
        timeout_s: float = SUBMIT_TIMEOUT_S,
        priority: str = "",
    ) -> Job:
        """Submit ``request`` and return its job; the same request again returns the same job.

        Without a ``priority`` of its own it gets that of the client. Raises ``ClientError``.
        """
        if not request.priority:
            request.priority = priority_to_number(priority or self.priority)
        answer = self._connection.call(self._connection.jobs.CreateJob, request, timeout_s)
        return Job(self._connection, answer.name)

    def delete_uploads(self) -> int:
        """Delete what this caller has uploaded; jobs keep the files that they took.

        Return how many uploads there were. Raises ``ClientError``.
        """
        request = artifacts_pb2.DeleteUploadsRequest(all=True)
        answer = self._connection.call(self._connection.artifacts.DeleteUploads, request)
        return int(answer.deleted)

    def job(self, name: str) -> Job:
        """Return the job called ``name``; nothing is sent yet."""
        return Job(self._connection, name)

    def jobs(self, states: Sequence[JobState] = ()) -> Iterator[JobStatus]:
        """Yield all jobs, newest first, page by page; ``states`` keeps only some.

        Raises ``ClientError``.
        """
        token = ""
        while True:
            request = jobs_pb2.ListJobsRequest(
                page_size=PAGE_SIZE,
                page_token=token,
                states=[state_to_number(state) for state in states],
            )
            answer = self._connection.call(self._connection.jobs.ListJobs, request)
            yield from (status_from_message(job) for job in answer.jobs)
            token = answer.next_page_token
            if not token:
                return
