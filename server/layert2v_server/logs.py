"""The form of the log: lines for people, or one JSON object a line; and the id of the request.

A client gives each call an id, and the server makes one where it did not. The id is in every line
that is written for the call, goes on to the worker with the job, and is named where an error sends
somebody to the log.
"""

from __future__ import annotations

import contextlib
import contextvars
import json
import logging
import re
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

FORMATS = ("text", "json")

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# What the messages of the server say as name=value, as far as it is worth a field.
_FIELD = re.compile(
    r"\b(address|attempt|call|code|device|executor|job|kind|outcome|pid|reason)=(\S+)"
)

_request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="")


def current_request() -> str:
    """Return the id of the request that is worked on, empty outside of one."""
    return _request.get()


@contextlib.contextmanager
def log_request(request: str) -> Iterator[None]:
    """Write ``request`` into every line that is logged inside the block."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


def checked_request_id(text: str) -> str:
    """Return the id that a client sent, or a new one in place of what is none."""
    return text if _REQUEST_ID.fullmatch(text) else uuid.uuid4().hex


def configure_logging(form: str, level: int | str = logging.INFO) -> None:
    """Write the log of this process to standard error in one of ``FORMATS``."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler])


class TextFormatter(logging.Formatter):
    """A line for people, with the id of the request where there is one."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line, without a traceback."""
        request = current_request()
        return super().formatMessage(record) + (f" request={request}" if request else "")


class JsonFormatter(logging.Formatter):
    """One JSON object: time in UTC, level, logger, message, and what the message names."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the object as one line."""
        message = record.getMessage()
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
            **dict(_FIELD.findall(message)),
        }
        if request := current_request():
            entry["request"] = request
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)
