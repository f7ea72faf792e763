"""Certificates of the server, read again when their files change, and the names in callers'."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import Any

import grpc

from layert2v_server.errors import ConfigError

_COMMON_NAME = "x509_common_name"

_log = logging.getLogger(__name__)


class Certificates:
    """The PEM files of a server. With ``authority``, callers must show a certificate signed by it.

    They may be replaced while the server runs: whoever connects after that meets the new ones.
    """

    def __init__(self, certificate: Path, key: Path, authority: Path | None) -> None:
        self._certificate, self._key, self._authority = certificate, key, authority
        self._version: tuple[object, ...] = ()

    def server_credentials(self) -> Any:
        """Return the credentials for gRPC. Raises ``ConfigError`` where they cannot be used."""
        self._version = self._read_version()
        return grpc.dynamic_ssl_server_credentials(
            self._read(),
            self._read_where_changed,
            require_client_authentication=self._authority is not None,
        )

    def _read_where_changed(self) -> Any:
        """Return the new certificates; None where they are those of before, or cannot be used.

        gRPC calls this at every new connection, in a thread of its own.
        """
        try:
            version = self._read_version()
            if version == self._version:
                return None
            configuration = self._read()
        except Exception as error:  # the connection goes on with the certificates of before
            _log.error("the certificates of before stay in use: %s", error)
            return None
        self._version = version
        _log.warning("the certificates have changed")
        return configuration

    def _read(self) -> Any:
        try:
            _check_pair(self._certificate, self._key)
            authority = None if self._authority is None else self._authority.read_bytes()
            pair = (self._key.read_bytes(), self._certificate.read_bytes())
        except ssl.SSLError as error:
            raise ConfigError(
                f"The TLS certificate and its key cannot be used: {error.reason or error}.",
                "Correct tls_certificate and tls_key: PEM files that belong together, the key "
                "without a password.",
            ) from error
        except OSError as error:
            raise ConfigError(
                f"A TLS file cannot be read: {error.strerror or error}.",
                "Correct tls_certificate, tls_key and tls_client_authority.",
            ) from error
        return grpc.ssl_server_certificate_configuration([pair], authority)

    def _read_version(self) -> tuple[object, ...]:
        """Return what changes with every change of a file. Raises ``ConfigError``."""
        paths = (self._certificate, self._key, self._authority)
        try:
            infos = [path.stat() for path in paths if path is not None]
        except OSError as error:
            raise ConfigError(
                f"The TLS file {error.filename} cannot be read: {error.strerror}.",
                "Correct tls_certificate, tls_key and tls_client_authority.",
            ) from error
        return tuple((info.st_ino, info.st_size, info.st_mtime_ns) for info in infos)


def common_name(context: grpc.aio.ServicerContext) -> str | None:
    """Return the common name of the certificate that a caller has shown, None without one."""
    names = list(context.auth_context().get(_COMMON_NAME, ()))
    return None if not names else bytes(names[0]).decode(errors="replace")


def _check_pair(certificate: Path, key: Path) -> None:
    """Raise ``SSLError`` where the two do not belong together, also in the middle of a change."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # A password is asked for on the terminal otherwise.
    context.load_cert_chain(certificate, key, password=lambda: b"-")
