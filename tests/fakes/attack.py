"""What a hostile caller may send: requests made from the descriptors of the contract, and bytes.

New calls and fields are covered by themselves: nothing here names one, but for what makes a request
come further than its first check.
"""

from __future__ import annotations

import random
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from layert2v.v1 import artifacts_pb2, jobs_pb2, server_pb2

FILES = (jobs_pb2, artifacts_pb2, server_pb2)
MAX_DEPTH = 5
LONG = 100_000

TEXTS = (
    "",
    "\0",
    "../../../../etc/passwd",
    "jobs/" + "0" * 32,
    "jobs/" + "0" * 32 + "/artifacts/0",
    "uploads/" + "0" * 36,
    "\u202egnp.exe\u2066",
    "\x1b]0;title\x07\x1b[31m",
    "{" * 5000,
    "9" * 5000,
    "é" * LONG,
)
NUMBERS: dict[int, tuple[Any, ...]] = {
    FieldDescriptor.TYPE_DOUBLE: (float("nan"), float("inf"), -1e308, 5e-324),
    FieldDescriptor.TYPE_INT32: (-(2**31), -1, 1, 2**31 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), -1, 1, 2**63 - 1),
    FieldDescriptor.TYPE_FIXED32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_BOOL: (True,),
    FieldDescriptor.TYPE_ENUM: (1, 999, -1),
    FieldDescriptor.TYPE_BYTES: (b"", b"\xff" * 1000, bytes(3 << 20)),
    FieldDescriptor.TYPE_STRING: TEXTS,
}


@dataclass(frozen=True)
class Call:
    """One call: its method, and the request or the requests of a stream."""

    method: MethodDescriptor
    requests: tuple[Any, ...]
    field: str = ""

    @property
    def path(self) -> str:
        """The path of the method in HTTP."""
        return f"/{self.method.containing_service.full_name}/{self.method.name}"

    @property
    def request(self) -> Any:
        """The first request."""
        return self.requests[0]


def methods() -> list[MethodDescriptor]:
    """Return every method of every service of the contract."""
    services = [s for file in FILES for s in file.DESCRIPTOR.services_by_name.values()]
    return [method for service in services for method in service.methods]


def calls(manifest: str, job: str, artifact: str) -> Iterator[Call]:
    """Yield calls with one strange field each: every value at every field of every request.

    ``manifest`` is the text of a stack, ``job`` and ``artifact`` are names of the caller's own.
    """
    for method in methods():
        for base in _bases(method, manifest, job, artifact):
            yield Call(method, (base,))
            for place, request in _variations(base, MAX_DEPTH):
                yield Call(method, (_fresh(request),), place)


def fractions() -> set[str]:
    """Return the names of all fields of requests that hold a fraction."""
    found: set[str] = set()
    left, seen = [method.input_type for method in methods()], set()
    while left:
        message = left.pop()
        if message.full_name in seen:
            continue
        seen.add(message.full_name)
        for field in message.fields:
            if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
                found.add(field.full_name)
            if field.message_type is not None:
                left.append(field.message_type)
    return found


def _message(method: MethodDescriptor) -> Any:
    name = method.input_type.name
    return next(getattr(file, name) for file in FILES if hasattr(file, name))()


def _bases(method: MethodDescriptor, manifest: str, job: str, artifact: str) -> list[Any]:
    """Return valid requests, so that a strange field is not hidden behind a missing one."""
    if method.name == "CreateJob":
        spec = jobs_pb2.GenerateSpec(prompt="a fox", frames=1, steps=1)
        change = jobs_pb2.RerenderSpec(action="remove", layers=["fg_01"])
        rerender = jobs_pb2.RerenderRequest(spec=change, manifest=manifest)
        from_job = jobs_pb2.RerenderRequest(spec=change, job=job)
        footage = jobs_pb2.InputFile(path="a.0001.exr", size_bytes=1, sha256="0" * 64)
        files = {"footage": jobs_pb2.InputFiles(list=jobs_pb2.FileList(files=[footage]))}
        decompose = jobs_pb2.DecomposeRequest(
            spec=jobs_pb2.DecomposeSpec(subjects=[jobs_pb2.Subject(words="a fox")]), inputs=files
        )
        matte = jobs_pb2.RefineSpec(layer="fg_01", matte="footage")
        refine = jobs_pb2.RefineRequest(spec=matte, job=job, inputs=files)
        return [
            jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), spec=spec),
            jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), rerender=rerender),
            jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), rerender=from_job),
            jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), decompose=decompose),
            jobs_pb2.CreateJobRequest(request_id=str(uuid.uuid4()), refine=refine),
        ]
    empty = _message(method)
    own = type(empty)()
    for name, value in (("name", artifact if "Artifact" in method.name else job), ("job", job)):
        # What ends a job of the caller's is left to names that it does not have.
        if name in own.DESCRIPTOR.fields_by_name and method.name != "DeleteJob":
            setattr(own, name, value)
    return [empty, own]


def _fresh(request: Any) -> Any:
    """Give a request an id of its own, where it had a valid one."""
    if "request_id" in request.DESCRIPTOR.fields_by_name and len(request.request_id) == 36:
        request.request_id = str(uuid.uuid4())
    return request


def _variations(base: Any, depth: int) -> Iterator[tuple[str, Any]]:
    for field in base.DESCRIPTOR.fields:
        for value in _values(field, depth):
            request = type(base)()
            request.CopyFrom(base)
            try:
                _assign(request, field, value)
            except (ValueError, TypeError, OverflowError, UnicodeEncodeError):
                continue  # protobuf itself refuses it
            yield field.full_name, request
        if field.message_type is not None and depth > 0:
            inner = _first_inside(base, field)
            for place, changed in _variations(inner, depth - 1) if inner is not None else ():
                request = type(base)()
                request.CopyFrom(base)
                _replace_first(request, field, changed)
                yield place, request


def _first_inside(base: Any, field: FieldDescriptor) -> Any:
    """Return the message in a field, the first of several, or an empty one; None for plain maps."""
    value = getattr(base, field.name)
    if _is_map(field):
        if field.message_type.fields_by_name["value"].message_type is None:
            return None
        return next(iter(value.values()), None)
    if _is_repeated(field):
        return value[0] if value else getattr(type(base)(), field.name).add()
    return value


def _replace_first(request: Any, field: FieldDescriptor, changed: Any) -> None:
    target = getattr(request, field.name)
    if _is_map(field):
        target[next(iter(target))].CopyFrom(changed)
    elif _is_repeated(field):
        (target[0] if target else target.add()).CopyFrom(changed)
    else:
        target.CopyFrom(changed)


def _values(field: FieldDescriptor, depth: int) -> list[Any]:
    if field.message_type is None:
        plain = list(NUMBERS.get(field.type, (1,)))
        return [[value] for value in plain] + [plain[:1] * 2000] if _is_repeated(field) else plain
    if _is_map(field):
        key = field.message_type.fields_by_name["key"]
        return [dict.fromkeys(NUMBERS[key.type][:5]), {str(k): None for k in range(2000)}]
    return [[None] * 3, [None] * 2000] if _is_repeated(field) else [None]


def _assign(request: Any, field: FieldDescriptor, value: Any) -> None:
    target = getattr(request, field.name)
    if _is_map(field):
        value_field = field.message_type.fields_by_name["value"]
        for key in value:
            if value_field.message_type is None:
                target[key] = TEXTS[2]
            else:
                target[key].SetInParent()
    elif _is_repeated(field):
        for each in value:
            if field.message_type is None:
                target.append(each)
            else:
                _fill(target.add())
    elif field.message_type is not None:
        target.SetInParent()
    else:
        setattr(request, field.name, value)


def _fill(message: Any) -> None:
    for field in message.DESCRIPTOR.fields:
        if field.type == FieldDescriptor.TYPE_STRING and not _is_repeated(field):
            setattr(message, field.name, "a" * 64)


def _is_repeated(field: FieldDescriptor) -> bool:
    if hasattr(field, "is_repeated"):
        return bool(field.is_repeated)
    return bool(field.label == FieldDescriptor.LABEL_REPEATED)  # protobuf before 6.31


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def mutate(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with some of them changed, cut out, doubled or made up."""
    out = bytearray(data or b"\n\x05hello")
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(out) + 1)
        kind = chance.randrange(4)
        if kind == 0 and out:
            out[at % len(out)] = chance.randrange(256)
        elif kind == 1:
            del out[at : at + chance.randint(1, 8)]
        elif kind == 2:
            out[at:at] = out[at : at + chance.randint(1, 64)]
        else:
            out[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))
    return bytes(out)


def outcome(channel: grpc.Channel, path: str, requests: list[bytes], timeout_s: float) -> str:
    """Make a call with these bytes; return the name of its status code."""
    answers = channel.stream_stream(path)(iter(requests), timeout=timeout_s)
    try:
        for count, _ in enumerate(answers):
            if count == 3:
                answers.cancel()
                return "OK"
    except grpc.RpcError as error:
        return str(error.code().name)  # type: ignore[attr-defined]
    return "OK"


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)  # and no settings


class StalledReader:
    """A connection that starts calls and then allows the server to send nothing: window 0."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._next_stream = 1
        settings = struct.pack(">HI", 4, 0)  # SETTINGS_INITIAL_WINDOW_SIZE
        connection.sendall(PREFACE[: -len(frame(4, 0, 0, b""))] + frame(4, 0, 0, settings))

    def start(self, path: str, request: bytes, token: str = "") -> None:
        """Start one call whose answer is never read."""
        stream, self._next_stream = self._next_stream, self._next_stream + 2
        headers = call_headers(path)
        headers += header("authorization", f"Bearer {token}") if token else b""
        body = b"\0" + struct.pack(">I", len(request)) + request
        self._connection.sendall(frame(1, 4, stream, headers) + frame(0, 1, stream, body))


def call_headers(path: str) -> bytes:
    """Return the headers of a gRPC call, encoded."""
    names = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "x",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    return b"".join(header(name, value) for name, value in names.items())


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame of HTTP/2."""
    head = struct.pack(">I", len(payload))[1:] + bytes([kind, flags])
    return head + struct.pack(">I", stream) + payload


def header(name: str, value: str) -> bytes:
    """Return a literal header without indexing and without Huffman codes; both below 127 bytes."""
    parts = (name.encode(), value.encode())
    return b"\0" + b"".join(bytes([len(part)]) + part for part in parts)
