"""Chunks that are put together and taken apart by hand: the same as through the message classes."""

from __future__ import annotations

import zlib
from typing import Any

from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from layert2v.chunk_codec import ChunkEncoder, decode_read_response, decode_write_request
from layert2v.v1 import artifacts_pb2

OFFSETS = st.integers(0, 2**63 - 1)
ANY_OFFSETS = st.integers(-(2**63), 2**63 - 1)


def chunk_of(offset: int, data: bytes) -> artifacts_pb2.Chunk:
    return artifacts_pb2.Chunk(offset=offset, data=data, crc32=zlib.crc32(data))


def encode_write_request(offset: int, data: bytes) -> bytes:
    return ChunkEncoder().encode_write_request(offset, len(data), lambda to: put(to, data))


def put(to: memoryview, data: bytes) -> None:
    to[:] = data


@given(st.lists(st.tuples(OFFSETS, st.binary(max_size=300), st.booleans()), max_size=4))
def test_encoded_by_hand_and_by_protobuf(chunks: list[tuple[int, bytes, bool]]) -> None:
    encoder = ChunkEncoder()
    for offset, data, is_first in chunks:
        first = artifacts_pb2.ReadArtifactResponse()
        if is_first:
            first = artifacts_pb2.ReadArtifactResponse(size_bytes=5, sha256="ab")
        prefix = first.SerializeToString()
        message = encoder.encode_read_response(
            offset, len(data), lambda to, data=data: put(to, data), prefix
        )
        first.chunk.CopyFrom(chunk_of(offset, data))
        assert artifacts_pb2.ReadArtifactResponse.FromString(message) == first
        step = artifacts_pb2.WriteArtifactRequest.FromString(encode_write_request(offset, data))
        assert step.chunk == chunk_of(offset, data)


def test_memory_is_used_again_when_nobody_has_the_message_any_more() -> None:
    encoder = ChunkEncoder()

    def encode(data: bytes) -> bytes:
        return encoder.encode_write_request(0, len(data), lambda to: put(to, data))

    first = encode(b"first chunk")
    second = encode(b"other chunk")
    assert decode_write_request(first).data == b"first chunk"
    address = id(second)
    del second
    third = encode(b"third chunk")
    assert id(third) == address
    assert decode_write_request(third).data == b"third chunk"


@given(ANY_OFFSETS, st.binary(max_size=300), st.integers(0, 2**32 - 1), st.booleans())
def test_decoded_by_hand_and_by_protobuf(
    offset: int, data: bytes, crc32: int, is_first: bool
) -> None:
    chunk = artifacts_pb2.Chunk(offset=offset, data=data, crc32=crc32)
    answer = artifacts_pb2.ReadArtifactResponse(chunk=chunk, size_bytes=7 * is_first)
    step = artifacts_pb2.WriteArtifactRequest(chunk=chunk)
    for decoded in (
        decode_read_response(answer.SerializeToString()),
        decode_write_request(step.SerializeToString()),
    ):
        assert (decoded.offset, bytes(decoded.data), decoded.crc32) == (offset, data, crc32)
        assert decoded.is_whole == (zlib.crc32(data) == crc32)


def outcome(decode: Any, message: bytes) -> Any:
    try:
        return decode(message)
    except DecodeError:
        return None


@given(st.binary(max_size=40), st.integers(0, 60))
def test_malformed_bytes_are_what_they_are_to_protobuf(noise: bytes, length: int) -> None:
    whole = encode_write_request(5, b"data")
    for message in (noise, whole[:length], whole[:3] + noise, whole[:2] + noise + whole[2:]):
        expected = outcome(artifacts_pb2.WriteArtifactRequest.FromString, message)
        found = outcome(decode_write_request, message)
        if expected is None or expected.WhichOneof("step") != "chunk":
            assert found == expected
        else:
            assert (found.offset, bytes(found.data)) == (expected.chunk.offset, expected.chunk.data)
            assert found.crc32 == expected.chunk.crc32


def test_messages_without_a_chunk() -> None:
    begin = artifacts_pb2.WriteArtifactRequest(begin=artifacts_pb2.BeginWrite(size_bytes=3))
    assert decode_write_request(begin.SerializeToString()) == begin
    assert decode_read_response(b"").data == b""
