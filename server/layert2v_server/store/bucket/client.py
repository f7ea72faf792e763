"""A bucket: whole objects in, ranges out. The one module that knows the library.

Errors of the library may quote requests: none of their text reaches a log or a caller.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from layert2v_server.errors import BucketFailed, ConfigError, ObjectMissing
from layert2v_server.store.bucket.settings import BucketSettings

if TYPE_CHECKING:  # in the extra "s3"
    from obstore.store import S3Store

RETRIES = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=10),
    "backoff": {
        "init_backoff": timedelta(milliseconds=100),
        "max_backoff": timedelta(seconds=2),
        "base": 2,
    },
}
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 20  # of a block, or of a list
WRITE_TIMEOUT_S = 120  # of a segment: 32 MiB at 3 Mbit/s
DELETE_BATCH = 1000  # what one request may name

_CODE = re.compile(r"<Code>([A-Za-z0-9]{1,60})</Code>")
_NO_BUCKET = "NoSuchBucket"
_MISSING = ("NoSuchKey", "InvalidRange")  # the latter: it is shorter than it was
_NOT_FOUND = ("NotFoundError", "FileNotFoundError")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectEntry:
    """An object of a list; ``modified`` in seconds since 1970, by the clock of the bucket."""

    key: str
    size_bytes: int
    modified: float


class Bucket:
    """The objects below the prefix of ``settings``. Blocking; safe in threads."""

    def __init__(self, settings: BucketSettings) -> None:
        self.settings = settings
        self.problem = ""  # why it could not be used when it was last tried
        self._checked = 0.0
        self._reading = _open(settings, READ_TIMEOUT_S)
        self._writing = _open(settings, WRITE_TIMEOUT_S)

    def put(self, key: str, data: bytes | memoryview) -> None:
        """Write an object, whole or not at all. Raises ``BucketFailed``."""
        import obstore

        with self._convert_errors():
            obstore.put(self._writing, key, data, use_multipart=False)

    def read(self, key: str, start: int, end: int) -> Any:
        """Return the bytes from ``start`` to ``end`` as a buffer.

        Raises ``ObjectMissing``, also for an object that is shorter, and ``BucketFailed``.
        """
        import obstore

        if start == end:
            return b""
        with self._convert_errors():
            data = obstore.get_range(self._reading, key, start=start, end=end)
        if len(data) != end - start:
            raise ObjectMissing
        return data

    def read_small(self, key: str, max_bytes: int) -> bytes | None:
        """Return an object of at most ``max_bytes``, None for none. Raises ``BucketFailed``."""
        import obstore

        try:
            with self._convert_errors():
                found = obstore.get(self._reading, key)
                if found.meta["size"] > max_bytes:
                    return None
                return bytes(found.bytes())
        except ObjectMissing:
            return None

    def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; one that is not there is no error. Raises ``BucketFailed``."""
        import obstore

        wanted = list(keys)
        for start in range(0, len(wanted), DELETE_BATCH):
            with contextlib.suppress(ObjectMissing), self._convert_errors():
                obstore.delete(self._reading, wanted[start : start + DELETE_BATCH])

    def list(self, prefix: str) -> Iterator[ObjectEntry]:
        """Yield the objects below a prefix, which ends at a slash. Raises ``BucketFailed``."""
        import obstore

        pages = iter(obstore.list(self._reading, prefix=prefix.rstrip("/") or None))
        while True:
            with self._convert_errors():
                page = next(pages, None)
            if page is None:
                return
            for found in page:
                yield ObjectEntry(
                    key=found["path"],
                    size_bytes=found["size"],
                    modified=found["last_modified"].timestamp(),
                )

    def check(self, key: str, max_age_s: float = 0.0) -> str:
        """Return why the bucket cannot be used at the moment, empty where it can.

        An answer may be ``max_age_s`` old.
        """
        if time.monotonic() - self._checked >= max_age_s:
            self._checked = time.monotonic()
            with contextlib.suppress(BucketFailed):
                self.read_small(key, 100)
        return self.problem

    @contextlib.contextmanager
    def _convert_errors(self) -> Iterator[None]:
        """Raise the library's errors as ours, and remember how it went."""
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, OSError) as error:
            found = _CODE.search(str(error))
            code = "" if found is None else found[1]
            if code in _MISSING or (type(error).__name__ in _NOT_FOUND and code != _NO_BUCKET):
                self.problem = ""
                raise ObjectMissing from None
            self.problem = _explain(type(error).__name__, str(error), code)
            _log.warning("the bucket %s: %s", self.settings.url, self.problem)
            raise BucketFailed(self.problem) from None
        self.problem = ""


def _open(settings: BucketSettings, timeout_s: int) -> S3Store:
    try:
        from obstore.store import S3Store
    except ModuleNotFoundError as error:
        raise ConfigError(
            "Results in a bucket need the extra s3.", "Install it: pip install 'layert2v[s3]'."
        ) from error
    client: dict[str, Any] = {
        "allow_http": settings.is_plain,
        "connect_timeout": f"{CONNECT_TIMEOUT_S}s",
        "timeout": f"{timeout_s}s",
    }
    if settings.authority:
        client["root_certificate"] = settings.authority
    config: dict[str, Any] = {"region": settings.region, **settings.credentials}
    if settings.endpoint:
        config["endpoint"] = settings.endpoint
    try:
        return S3Store(
            settings.bucket,
            prefix=settings.prefix or None,
            client_options=client,
            retry_config=RETRIES,
            **config,
        )
    except Exception:  # whatever the library says of settings and credentials
        raise ConfigError(
            f"The settings of the bucket {settings.url} cannot be used.",
            "Check AWS_ENDPOINT_URL, AWS_REGION, AWS_CA_BUNDLE and the credentials.",
        ) from None


def _explain(kind: str, text: str, code: str) -> str:
    """Return what is wrong, in words of ours; the code is one of S3's names."""
    if kind in ("PermissionDeniedError", "PermissionError", "UnauthenticatedError"):
        return f"it denies access ({code})" if code else "it denies access"
    if code == _NO_BUCKET:
        return "it is not there"
    if "169.254." in text:
        return "there are no credentials for it"
    if "error sending request" in text:
        return "it cannot be reached, or does not answer"
    return f"it answers with the error {code}" if code else "it answers with an error"
