"""The models of each server, remembered on disk so that the panel knows them before it connects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bpy

from layert2v.errors import ContractError
from layert2v.spec import ModelInfo, model_from_json, model_to_json

from . import preferences
from .stack_view import COLORSPACES

_NAME = "models.json"
_NONE = [("NONE", "Not connected", "Connect to a server to see its models", 0)]

# Blender keeps no reference to the texts of a dynamic list, so these must; both are only caches.
_known: dict[str, tuple[ModelInfo, ...]] = {}
_lists: dict[tuple[tuple[str, str], ...], list[tuple[str, str, str, int]]] = {}


def remember(server: str, models: tuple[ModelInfo, ...]) -> None:
    """Keep what a server has said, for this session and the next."""
    if _known.get(server) != models:
        _known[server] = models
        saved = _load()
        saved[server] = [model_to_json(model) for model in models]
        _path(create=True).write_text(json.dumps(saved), encoding="utf-8")


def models() -> tuple[ModelInfo, ...]:
    """The models of the server that the preferences name; empty before it was ever reached."""
    server = preferences.get().server
    if server not in _known:
        try:
            _known[server] = tuple(map(model_from_json, _load().get(server, [])))
        except ContractError:  # written by another version: the server will say it again
            _known[server] = ()
    return _known[server]


def chosen(scene: bpy.types.Scene) -> ModelInfo | None:
    """The model that is chosen in the panel."""
    return next((model for model in models() if model.name == scene.layert2v.model), None)


def model_items(_self: Any, _context: Any) -> list[tuple[str, str, str, int]]:
    """The models as an enum's items."""
    return _items(tuple((model.name, model.title) for model in models())) or _NONE


def colorspace_items(self: Any, _context: Any) -> list[tuple[str, str, str, int]]:
    """The colour spaces of the chosen model that Blender knows, as an enum's items."""
    model = chosen(self.id_data)
    offered = COLORSPACES if model is None else model.colorspaces
    return _items(tuple((name, COLORSPACES[name]) for name in offered if name in COLORSPACES))


def _items(pairs: tuple[tuple[str, str], ...]) -> list[tuple[str, str, str, int]]:
    if pairs not in _lists:
        _lists[pairs] = [(name, title, "", place) for place, (name, title) in enumerate(pairs)]
    return _lists[pairs]


def _load() -> dict[str, Any]:
    try:
        saved = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return saved if isinstance(saved, dict) else {}


def _path(*, create: bool = False) -> Path:
    return preferences.own_folder(create=create) / _NAME
