"""The client's certificates against the real server."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from fakes.live_server import live_server
from layert2v_client import ServerUnavailable, Tls, connect


@pytest.fixture
def tls(tmp_path: Path) -> Tls:
    """One certificate for localhost that plays authority, server and client."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the test certificate, is not installed")
    key, pem = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", str(key)]
    command += ["-out", str(pem), "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(command, check=True, capture_output=True)
    return Tls(authority=pem, certificate=pem, key=key)


def test_both_sides_show_a_certificate(tls: Tls, tmp_path: Path) -> None:
    settings = {
        "tls_certificate": str(tls.certificate),
        "tls_key": str(tls.key),
        "tls_client_authority": str(tls.authority),
    }
    with live_server(tmp_path / "data", **settings) as live:
        address = f"localhost:{live.ready['address'].rpartition(':')[2]}"
        with connect(address, tls=tls) as known:
            assert known.info().version
        for stranger in (Tls(authority=tls.authority), True, False):
            with connect(address, tls=stranger) as client, pytest.raises(ServerUnavailable):
                client.info()
