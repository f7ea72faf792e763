"""TLS: callers named by their certificates, and certificates that change under the server."""

from __future__ import annotations

import shutil
import ssl
from pathlib import Path

import pytest

from fakes.certificates import Pair, make_authority, make_certificate
from fakes.live_server import LiveServer, live_server, wait_until
from layert2v.spec import GenerateSpec
from layert2v_client import Client, ClientError, Tls, connect


def tls_settings(server: Pair, authority: Pair | None) -> dict[str, str]:
    settings = {"tls_certificate": str(server.certificate), "tls_key": str(server.key)}
    if authority is not None:
        settings["tls_client_authority"] = str(authority.certificate)
    return settings


def connect_as(server: LiveServer, authority: Pair, caller: Pair) -> Client:
    tls = Tls(authority=authority.certificate, certificate=caller.certificate, key=caller.key)
    return connect(server.ready["address"], tls=tls)


def shown_certificate(server: LiveServer) -> str:
    host, _, port = server.ready["address"].rpartition(":")
    return ssl.get_server_certificate((host, int(port)))


def test_a_certificate_names_its_user(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    callers = [make_certificate(authority, tmp_path, name) for name in ("anna", "bert", "no one")]
    settings = tls_settings(make_certificate(authority, tmp_path, "server"), authority)
    with live_server(tmp_path / "data", **settings) as server:
        with connect_as(server, authority, callers[0]) as anna:
            job = anna.submit(GenerateSpec(prompt="a fox"))
            assert [each.name for each in anna.jobs()] == [job.name]
        with connect_as(server, authority, callers[1]) as bert:
            assert list(bert.jobs()) == []
        with connect_as(server, authority, callers[2]) as other:
            with pytest.raises(ClientError, match="is no user name") as caught:
                other.info()
            assert caught.value.reason == "ACCESS_DENIED"


def test_certificates_are_replaced_without_a_restart(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    first = make_certificate(authority, tmp_path, "first")
    used = Pair(tmp_path / "used.pem", tmp_path / "used.key")
    shutil.copy(first.certificate, used.certificate)
    shutil.copy(first.key, used.key)
    second = make_certificate(authority, tmp_path, "second")
    with live_server(tmp_path / "data", **tls_settings(used, None)) as server:
        assert shown_certificate(server) == first.certificate.read_text()
        shutil.copy(second.certificate, used.certificate)  # half of the change
        assert shown_certificate(server) == first.certificate.read_text()
        shutil.copy(second.key, used.key)
        wait_until(lambda: shown_certificate(server) == second.certificate.read_text())
        assert "certificates of before stay in use" in server.log.read_text()
        with connect(server.ready["address"], tls=Tls(authority=authority.certificate)) as client:
            assert client.info().version


def test_a_key_that_does_not_fit_is_refused_at_the_start(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    pair = Pair(make_certificate(authority, tmp_path, "one").certificate, authority.key)
    with pytest.raises(AssertionError, match="cannot be used: KEY_VALUES_MISMATCH"):
        LiveServer(tmp_path / "data", **tls_settings(pair, None))
