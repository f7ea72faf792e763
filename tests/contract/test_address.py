"""Server addresses: which of them stay on this machine."""

from __future__ import annotations

import pytest

from layert2v.address import is_local


@pytest.mark.parametrize(
    "address",
    ["unix:/tmp/a.sock", "localhost:7433", "127.0.0.1:7433", "127.9.9.9:1", "[::1]:7433"],
)
def test_local_addresses(address: str) -> None:
    assert is_local(address)


@pytest.mark.parametrize(
    "address",
    [
        "render01:7433",
        "10.0.0.3:7433",
        "0.0.0.0:7433",
        "[::]:7433",
        "127.example.com:80",
        "localhost.example:80",
        "",
    ],
)
def test_addresses_that_others_can_reach(address: str) -> None:
    assert not is_local(address)
