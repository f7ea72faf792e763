"""JSON-RPC 2.0: what is a request, and what its responses look like."""

from __future__ import annotations

import json

import pytest

from layert2v_client.session import json_rpc
from layert2v_client.session.json_rpc import Request, RpcError


def test_requests_and_notifications() -> None:
    line = b'{"jsonrpc": "2.0", "id": "a", "method": "ping", "params": {"x": 1}}\n'
    assert json_rpc.read_request(line) == Request("ping", {"x": 1}, "a")
    line = b'{"jsonrpc": "2.0", "method": "ping"}'
    assert json_rpc.read_request(line) == Request("ping", {}, None, is_notification=True)


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        (b"{", -32700, None),
        (b'{"id": 1, "id": 2}', -32700, None),
        (b"\xff", -32700, None),
        (b"3", -32600, None),
        (b"[]", -32600, None),
        (b'[{"jsonrpc": "2.0", "id": 1, "method": "ping"}]', -32600, None),
        (b'{"id": 1, "method": "ping"}', -32600, 1),
        (b'{"jsonrpc": 2.0, "id": 1, "method": "ping"}', -32600, 1),
        (b'{"jsonrpc": "2.0", "id": 1}', -32600, 1),
        (b'{"jsonrpc": "2.0", "id": 1, "method": 5}', -32600, 1),
        (b'{"jsonrpc": "2.0", "id": true, "method": "ping"}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": 1.5, "method": "ping"}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', -32600, None),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}', -32602, 1),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": null}', -32602, 1),
    ],
)
def test_whatever_is_no_request_has_a_code(line: bytes, code: int, number: int | None) -> None:
    with pytest.raises(RpcError) as caught:
        json_rpc.read_request(line)
    assert (caught.value.code, caught.value.request_id) == (code, number)
    assert caught.value.message.endswith(".")


def test_responses_and_notifications_are_one_line_of_ascii() -> None:
    error = RpcError(-32000, "NO_STACK", "No stack\nhere.", "Look.", request_id="\ud800")
    line = json_rpc.encode(json_rpc.error_response(error))
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "jsonrpc": "2.0",
        "id": "\ud800",
        "error": {
            "code": -32000,
            "message": "No stack\nhere.",
            "data": {"reason": "NO_STACK", "hint": "Look."},
        },
    }
    assert json_rpc.result_response(1, {}) == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert json_rpc.notification("a", {}) == {"jsonrpc": "2.0", "method": "a", "params": {}}
