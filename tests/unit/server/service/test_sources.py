"""What a re-render starts from: measured before it is read, and refused in a sentence."""

from __future__ import annotations

import hashlib
import tracemalloc
import uuid
from dataclasses import replace

import pytest

from fakes.example_stack import example_stack
from fakes.inline_server import InlineServer
from layert2v.rerender import DonorLayer, RerenderSpec
from layert2v.stack import FileRecord, dumps, state_path
from layert2v_server.domain.request import (
    ImageSequence,
    RerenderRequest,
    UploadedStack,
)
from layert2v_server.errors import InvalidSource, ServerError, SpecRejected
from layert2v_server.store.uploads import Upload

REMOVE = RerenderSpec(action="remove", layers=("fg_01",))
MIB = 1 << 20


def upload(server: InlineServer, data: bytes) -> FileRecord:
    sha256 = hashlib.sha256(data).hexdigest()
    announced = Upload(
        id=str(uuid.uuid4()), owner="anna", size_bytes=len(data), sha256=sha256, media_type="a/b"
    )
    server.uploads.begin(announced)
    server.uploads.append(announced, 0, data)
    server.uploads.finish(announced)
    return FileRecord(path="", size_bytes=len(data), sha256=sha256)


def refusal(server: InlineServer, request: RerenderRequest) -> ServerError:
    with pytest.raises(ServerError) as caught:
        server.sources.resolve("anna", request)
    return caught.value


def test_one_upload_that_is_named_often_is_not_read(server: InlineServer) -> None:
    file = upload(server, b"[" + b"1," * (7 * MIB // 2) + b"1]")
    kept = tuple(replace(file, path=state_path(k)) for k in range(2, 42))
    source = UploadedStack(manifest=dumps(example_stack()), kept=kept)
    tracemalloc.start()
    error = refusal(server, RerenderRequest(spec=REMOVE, source=source))
    assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    tracemalloc.stop()
    assert isinstance(error, InvalidSource)
    assert "too large" in error.message


def test_more_than_may_come_along_is_refused(server: InlineServer) -> None:
    file = FileRecord(path="a.exr", size_bytes=1, sha256="0" * 64)
    source = UploadedStack(manifest=dumps(example_stack()), kept=(file,) * 1001)
    assert "kept" in str(refusal(server, RerenderRequest(spec=REMOVE, source=source)).violations)  # type: ignore[attr-defined]
    source = replace(source, kept=())
    for inputs in (
        {f"k{k}": ImageSequence(files=(file,)) for k in range(17)},
        {"plate": ImageSequence(files=(file,) * 20_001)},
    ):
        error = refusal(server, RerenderRequest(spec=REMOVE, source=source, inputs=inputs))
        assert isinstance(error, SpecRejected)


@pytest.mark.parametrize(
    "spec",
    [
        replace(REMOVE, model="m" * 3_900_000),
        replace(REMOVE, layers=("fg_01",) * 1000),
        replace(REMOVE, masks={"fg_01": "m" * 201}),
        replace(REMOVE, donor=DonorLayer(input="d", layer="l" * 201)),
    ],
)
def test_long_names_are_refused_without_being_quoted(
    server: InlineServer, spec: RerenderSpec
) -> None:
    source = UploadedStack(manifest=dumps(example_stack()))
    error = refusal(server, RerenderRequest(spec=spec, source=source))
    assert isinstance(error, SpecRejected)
    assert len(error.message) < 200


def test_a_file_in_the_place_of_a_folder_is_refused(server: InlineServer) -> None:
    file = upload(server, b"x")
    manifest = dumps(replace(example_stack(), previews=(replace(file, path="bg"),)))
    resolved = server.sources.resolve(
        "anna", RerenderRequest(spec=REMOVE, source=UploadedStack(manifest=manifest))
    )
    with pytest.raises(InvalidSource, match="a file and a folder"):
        server.sources.stage("anna", resolved, "0" * 32)
