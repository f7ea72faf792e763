"""Page and metrics over TLS: nothing travels open, and certificates change under the server."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import ssl
from pathlib import Path
from urllib.parse import urlencode

import pytest

from fakes.certificates import Pair, make_authority, make_certificate
from fakes.live_server import WAIT_TIMEOUT_S, live_server, wait_until
from layert2v_server.auth import add_entry, make_token

TOKEN, ENTRY = make_token("anna")


def _call(
    address: str, tls: ssl.SSLContext | None, method: str, path: str, body: str | None = None
) -> tuple[int, dict[str, str]]:
    port = int(address.rpartition(":")[2])
    headers = {"Authorization": f"Bearer {TOKEN}"}
    connection = (
        http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_TIMEOUT_S)
        if tls is None
        else http.client.HTTPSConnection("127.0.0.1", port, timeout=WAIT_TIMEOUT_S, context=tls)
    )
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def _shown_certificate(address: str) -> str:
    return ssl.get_server_certificate(("127.0.0.1", int(address.rpartition(":")[2])))


def test_page_and_metrics_off_loopback_are_encrypted(tmp_path: Path) -> None:
    add_entry(tmp_path / "tokens", ENTRY)
    authority = make_authority(tmp_path)
    first, second = (make_certificate(authority, tmp_path, name) for name in ("first", "second"))
    used = Pair(tmp_path / "used.pem", tmp_path / "used.key")
    shutil.copy(first.certificate, used.certificate)
    shutil.copy(first.key, used.key)
    settings = {"tls_certificate": str(used.certificate), "tls_key": str(used.key)}
    settings |= {"web_address": "0.0.0.0:0", "metrics_address": "0.0.0.0:0"}
    with live_server(tmp_path / "data", token_file=str(tmp_path / "tokens"), **settings) as server:
        web, metrics = server.ready["web"], server.ready["metrics"]
        tls = ssl.create_default_context(cafile=str(authority.certificate))
        assert _call(metrics, tls, "GET", "/metrics")[0] == 200
        status, headers = _call(web, tls, "POST", "/login", urlencode({"token": TOKEN}))
        assert status == 303
        assert headers["set-cookie"].startswith("__Host-layert2v_session=")
        assert "secure" in headers["set-cookie"].lower()
        for address in (web, metrics):
            with pytest.raises((http.client.HTTPException, OSError)):
                _call(address, None, "GET", "/login")
        shutil.copy(second.certificate, used.certificate)  # half of a change is no change
        shutil.copy(second.key, used.key)
        wait_until(lambda: _shown_certificate(web) == second.certificate.read_text())
        assert _call(web, tls, "GET", "/login")[0] == 200


def test_with_an_authority_browsers_show_a_certificate(tmp_path: Path) -> None:
    add_entry(tmp_path / "tokens", ENTRY)
    authority = make_authority(tmp_path)
    pair = make_certificate(authority, tmp_path, "server")
    settings = {"tls_certificate": str(pair.certificate), "tls_key": str(pair.key)}
    settings |= {"tls_client_authority": str(authority.certificate), "web_address": "0.0.0.0:0"}
    with live_server(tmp_path / "data", token_file=str(tmp_path / "tokens"), **settings) as server:
        stranger = ssl.create_default_context(cafile=str(authority.certificate))
        with pytest.raises((ssl.SSLError, OSError, http.client.HTTPException)):
            _call(server.ready["web"], stranger, "GET", "/login")
        known = ssl.create_default_context(cafile=str(authority.certificate))
        known.load_cert_chain(pair.certificate, pair.key)
        assert _call(server.ready["web"], known, "GET", "/login")[0] == 200
