"""The operations of a session: generate a stack, change one, or attach to a job.

Knows how each is submitted and where its result goes; the rest is ``RequestThread``'s.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from layert2v import stack as manifests
from layert2v.decompose import DecomposeSpec, RefineSpec
from layert2v.rerender import RerenderSpec
from layert2v.spec import GenerateSpec
from layert2v_client.client import Client
from layert2v_client.errors import InvalidRequest
from layert2v_client.jobs import Job
from layert2v_client.transfer import TransferOptions
from layert2v_client.types import JobStatus


class NewStack:
    """A new stack in ``folder``, which must be new or empty unless the request ``is_retry``."""

    def __init__(self, folder: Path, *, is_retry: bool, priority: str) -> None:
        self.folder = folder
        self._priority = priority
        self._is_retry = is_retry

    def prepare(self, client: Client, request_id: str, options: TransferOptions) -> None:
        """Raise ``InvalidRequest`` if the folder has something in it."""
        try:
            is_occupied = self.folder.exists() and any(self.folder.iterdir())
        except OSError as error:
            raise InvalidRequest(
                "OUTPUT_INVALID",
                f"{self.folder} cannot be used: {error.strerror}.",
                "Choose another folder.",
            ) from error
        if is_occupied and not self._is_retry:
            raise InvalidRequest(
                "OUTPUT_NOT_EMPTY",
                f"{self.folder} has something in it.",
                "Choose a new or an empty folder.",
            )

    def fetch(self, job: Job, status: JobStatus, options: TransferOptions) -> int:
        """Download the whole stack and return its state."""
        return manifests.read(job.download(self.folder, options)).state


class Generate(NewStack):
    """A new stack of prompts."""

    def __init__(
        self, spec: GenerateSpec, folder: Path, *, is_retry: bool, priority: str = ""
    ) -> None:
        super().__init__(folder, is_retry=is_retry, priority=priority)
        self._spec = spec

    def submit(self, client: Client, request_id: str) -> str:
        """Submit the job and return its name."""
        return client.submit(self._spec, uuid.UUID(request_id), priority=self._priority).name


class Decompose(NewStack):
    """A new stack of footage; ``inputs`` has the footage and what else ``spec`` names."""

    def __init__(
        self,
        spec: DecomposeSpec,
        inputs: Mapping[str, Sequence[Path]],
        folder: Path,
        *,
        is_retry: bool,
        priority: str = "",
    ) -> None:
        super().__init__(folder, is_retry=is_retry, priority=priority)
        self._spec = spec
        self._inputs = inputs

    def prepare(self, client: Client, request_id: str, options: TransferOptions) -> None:
        """Check the request and the folder, and upload what the server lacks."""
        super().prepare(client, request_id, options)
        self._request = client.prepare_decompose(
            self._spec, self._inputs, uuid.UUID(request_id), options
        )

    def submit(self, client: Client, request_id: str) -> str:
        """Submit the job and return its name."""
        return client.create(self._request, priority=self._priority).name


class Change:
    """A new state of the stack in ``folder``: a re-render, or a refinement."""

    def __init__(
        self,
        folder: Path,
        spec: RerenderSpec | RefineSpec,
        inputs: Mapping[str, Sequence[Path]],
        *,
        priority: str = "",
    ) -> None:
        self.folder = folder
        self._priority = priority
        self._spec = spec
        self._inputs = inputs

    def prepare(self, client: Client, request_id: str, options: TransferOptions) -> None:
        """Check the request and upload what the server lacks."""
        if isinstance(self._spec, RefineSpec):
            self._request = client.prepare_refine(
                self.folder, self._spec, self._inputs, uuid.UUID(request_id), options
            )
            return
        self._request = client.prepare(
            self.folder, self._spec, self._inputs, uuid.UUID(request_id), options
        )

    def submit(self, client: Client, request_id: str) -> str:
        """Submit the job and return its name."""
        return client.create(self._request, priority=self._priority).name

    def fetch(self, job: Job, status: JobStatus, options: TransferOptions) -> int:
        """Download the new state and return its number."""
        return job.merge_into(self.folder, options).state


class Attach:
    """A job of an earlier session; its result goes to ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self, client: Client, request_id: str, options: TransferOptions) -> None:
        """Do nothing: the job was submitted earlier."""

    def submit(self, client: Client, request_id: str) -> str:
        """Raise ``InvalidRequest``: the job's name is known, so nobody calls this."""
        raise InvalidRequest("JOB_MISSING", "The name of a job is needed to attach to it.")

    def fetch(self, job: Job, status: JobStatus, options: TransferOptions) -> int:
        """Download the stack, or the new state where the stack that was changed is here."""
        if status.changes_stack and (self.folder / manifests.MANIFEST_NAME).exists():
            return job.merge_into(self.folder, options).state
        return manifests.read(job.download(self.folder, options)).state
