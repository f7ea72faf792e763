from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest


def test_former_names_lead_to_the_request_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: Any = ModuleType("layert2v_blender.requests")
    requests.request_manager = object()
    monkeypatch.setitem(sys.modules, requests.__name__, requests)
    monkeypatch.setattr(sys.modules["layert2v_blender"], "requests", requests, raising=False)
    session = import_module("layert2v_blender.session")
    with pytest.warns(DeprecationWarning, match=r"requests\.request_manager"):
        assert session.desk is requests.request_manager
    with pytest.raises(AttributeError):
        _ = session.connect
