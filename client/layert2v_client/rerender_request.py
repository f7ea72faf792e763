"""Request a change of a stack: check it here, upload what the server lacks, build the message.

Knows stack folders, the images that come along, and the message; not what is generated.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from layert2v import stack as manifests
from layert2v.rerender import (
    AffectedLayers,
    RerenderSpec,
    affected_layers,
    donor_files,
    source_files,
    validate_donor,
    validate_rerender,
)
from layert2v.spec import FieldViolation
from layert2v.stack import Stack
from layert2v.v1 import jobs_pb2
from layert2v.wire import rerender_to_message
from layert2v_client.connection import Connection
from layert2v_client.errors import InvalidRequest
from layert2v_client.request_files import (
    Input,
    RequestFiles,
    Source,
    find_images,
    manifest_without,
    remote_names,
)
from layert2v_client.transfer import TransferOptions


def prepare_request(
    connection: Connection,
    source: Source,
    spec: RerenderSpec,
    inputs: Mapping[str, Input],
    request_id: uuid.UUID,
    options: TransferOptions,
    with_states: bool = True,
) -> jobs_pb2.CreateJobRequest:
    """Return the request for a change of the stack, once the server has every file that it takes.

    ``with_states`` uploads what else the other states of a folder have, so that the job's stack is
    the whole one; a server that ends with the call needs none of that.
    Raises ``InvalidRequest`` with the wrong fields before anything is sent, ``ManifestError``
    where a folder holds no stack, ``Cancelled`` or another ``ClientError``.
    """
    uploads = _RerenderUploads(connection, spec, inputs, options)
    request = jobs_pb2.RerenderRequest(spec=_message(spec))
    if isinstance(source, Path):
        uploads.add_source(request, source, with_states)
    else:
        request.job = source
    uploads.add_inputs(request)
    uploads.files.upload_missing(request_id)
    return jobs_pb2.CreateJobRequest(request_id=str(request_id), rerender=request)


def check_request(spec: RerenderSpec, start: Stack) -> AffectedLayers:
    """Return what the request affects in the state it starts from, or say what is wrong with it.

    The server, which knows its models, may say more. Raises ``InvalidRequest``.
    """
    affected = affected_layers(spec, start)
    violations = validate_rerender(spec, start, affected, None)
    wrong = [violation for violation in violations if violation.field != "model"]
    if wrong:
        raise _invalid_error(wrong)
    return affected


class _RerenderUploads:
    """The files that go with a request, and their descriptions in it."""

    def __init__(
        self,
        connection: Connection,
        spec: RerenderSpec,
        inputs: Mapping[str, Input],
        options: TransferOptions,
    ) -> None:
        self._spec = spec
        self._inputs = inputs
        self._start: Stack | None = None
        self.files = RequestFiles(connection, options)
        for key in spec.input_keys:
            if key not in inputs:
                violation = FieldViolation("inputs", f"There are no pictures for {key!r}.")
                raise _invalid_error([violation])

    def add_source(
        self, request: jobs_pb2.RerenderRequest, folder: Path, with_states: bool
    ) -> None:
        """Add the stack that is changed."""
        newest, at = manifests.read(folder), self._spec.at
        start = manifests.start_of(newest, at, partial(manifests.read_state, folder))
        affected = check_request(self._spec, start)
        self._start = start
        lost = self.files.add_stack(folder, source_files(start, affected))
        request.manifest = manifest_without(newest, lost)
        if at not in (0, newest.state):
            request.state = manifest_without(manifests.read_state(folder, at), lost)
        if with_states:
            self.files.add_states(request, folder, newest, at)

    def add_inputs(self, request: jobs_pb2.RerenderRequest) -> None:
        """Add the images and the other stack."""
        donor = self._spec.donor
        for key in self._spec.input_keys:
            given = self._inputs[key]
            if donor is None or donor.input != key:
                paths = find_images(given)
                files = self.files.add_files(paths, remote_names(paths))
                request.inputs[key].list.files.extend(files)
            elif isinstance(given, str):
                request.inputs[key].job = given
            else:
                folder = given if isinstance(given, Path) else given[0]
                other = manifests.read(folder)
                # Without the stack here, the server says whether the layer fits into it.
                wrong = self._start and validate_donor(self._spec, self._start, other)
                if wrong:
                    raise _invalid_error(wrong)
                lost = self.files.add_stack(folder, donor_files(donor, other))
                request.inputs[key].manifest = manifest_without(other, lost)


def _message(spec: RerenderSpec) -> jobs_pb2.RerenderSpec:
    try:
        return rerender_to_message(spec)
    except (ValueError, TypeError) as error:
        raise InvalidRequest(
            "SPEC_INVALID",
            f"The request holds a number that is too large or text that is not Unicode: {error}.",
        ) from error


def _invalid_error(violations: Sequence[FieldViolation]) -> InvalidRequest:
    message = "The stack cannot be changed so: " + " ".join(v.message for v in violations)
    return InvalidRequest("SPEC_REJECTED", message, "", tuple(violations))
