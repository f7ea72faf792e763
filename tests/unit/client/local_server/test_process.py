"""The embedded server as a process: what its log tells of a start that failed."""

from __future__ import annotations

import pytest

from layert2v_client.local_server.process import _reason_in


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", "it said nothing"),
        ("Traceback ...\nImportError: no grpc.\n\n", "ImportError: no grpc"),
        ("layert2v-server: The disk is full. Free some.\n", "The disk is full. Free some"),
        # The server that has the folder already writes on.
        ("layert2v-server: Another server has it.\nINFO call\n", "Another server has it"),
        ("layert2v-server: One.\nlayert2v-server: Two.\nINFO x\n", "Two"),
    ],
)
def test_the_reason_is_the_error_of_the_server_that_ended(log: str, reason: str) -> None:
    assert _reason_in(log) == reason
