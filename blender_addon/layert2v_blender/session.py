"""The former place of ``requests``, for scripts; it goes away with the next version."""

from __future__ import annotations

import warnings
from typing import Any

from . import requests

_NEW_NAMES = {"desk": "request_manager", "pump": "pump"}


def __getattr__(name: str) -> Any:
    if name not in _NEW_NAMES:
        raise AttributeError(name)
    new_name = _NEW_NAMES[name]
    message = f"session.{name} is now requests.{new_name}"
    warnings.warn(message, DeprecationWarning, stacklevel=2)
    return getattr(requests, new_name)
