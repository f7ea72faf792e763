"""The models of each server, saved on disk so that the panel knows them before it connects."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy

from layert2v.atomic_write import atomic_write
from layert2v.errors import ContractError
from layert2v.presets import Preset
from layert2v.spec import ModelInfo, model_from_json, model_to_json

from . import settings
from .colorspaces import TITLES

EnumItem = tuple[str, str, str, int]

_FILE_NAME = "models.json"
_NOT_CONNECTED = [("NONE", "Not connected", "Connect to a server to see its models", 0)]

_models_by_server: dict[str, tuple[ModelInfo, ...]] = {}
# Blender keeps no reference to the texts of a dynamic enum, so this must.
_enum_items: dict[tuple[tuple[str, str], ...], list[EnumItem]] = {}


def save_models(server: str, models: tuple[ModelInfo, ...]) -> None:
    """Save the models that a server has reported, for this session and the next."""
    if _models_by_server.get(server) != models:
        _models_by_server[server] = models
        saved = _read_file()
        saved[server] = [model_to_json(model) for model in models]
        atomic_write(_path(create=True), json.dumps(saved))


def models() -> tuple[ModelInfo, ...]:
    """Return the models of the server in the preferences; empty before it was ever reached."""
    server = settings.preferences().server
    if server not in _models_by_server:
        try:
            known = tuple(map(model_from_json, _read_file().get(server, [])))
        except ContractError:  # written by another version: the server will report them again
            known = ()
        _models_by_server[server] = known
    return _models_by_server[server]


def selected_model(scene: bpy.types.Scene) -> ModelInfo | None:
    """Return the model that is selected in the panel."""
    return next((model for model in models() if model.name == scene.layert2v.model), None)


def model_items(_self: Any, _context: Any) -> list[EnumItem]:
    """Return the models as an enum's items."""
    return _items(tuple((model.name, model.title) for model in models())) or _NOT_CONNECTED


def colorspace_items(self: Any, _context: Any) -> list[EnumItem]:
    """Return the color spaces of the selected model that Blender knows, as an enum's items."""
    model = selected_model(self.id_data)
    offered = TITLES if model is None else model.colorspaces
    return _items(tuple((name, TITLES[name]) for name in offered if name in TITLES))


def preset_items(_self: Any, context: Any) -> list[EnumItem]:
    """Return the presets of the selected model as an enum's items."""
    model = selected_model(context.scene) if context is not None else None
    return _preset_items(() if model is None else model.presets)


@lru_cache(maxsize=32)  # Blender needs these texts to stay alive
def _preset_items(presets: tuple[Preset, ...]) -> list[EnumItem]:
    return [
        (preset.name, preset.name.capitalize(), preset.text, index)
        for index, preset in enumerate(presets)
    ]


def _items(pairs: tuple[tuple[str, str], ...]) -> list[EnumItem]:
    if pairs not in _enum_items:
        _enum_items[pairs] = [(name, title, "", index) for index, (name, title) in enumerate(pairs)]
    return _enum_items[pairs]


def _read_file() -> dict[str, Any]:
    try:
        saved = json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return saved if isinstance(saved, dict) else {}


def _path(*, create: bool = False) -> Path:
    return settings.user_folder(create=create) / _FILE_NAME
