"""The presets of models, from a configuration file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from importlib import resources
from pathlib import Path
from typing import Any

from layert2v.presets import Preset
from layert2v_engine.errors import BadConfig

ANY = "any"  # the table of models without their own
FILE = "presets.toml"  # in the package, or in a folder of models
_NUMBERS = tuple(field.name for field in fields(Preset) if field.name != "name")

Presets = Mapping[str, tuple[Preset, ...]]  # by model


def load_presets(path: Path | None = None) -> Presets:
    """Return the presets in a file, or the shipped ones. Raises BadConfig for a wrong file."""
    name = str(path or FILE)
    try:
        text = (
            resources.files("layert2v_engine").joinpath(FILE).read_text()
            if path is None
            else path.read_text(encoding="utf-8")
        )
        tables: dict[str, Any] = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfig(
            f"{name} cannot be read: {error}.", "Correct it, or name another."
        ) from error
    return {model: _read_table(name, model, presets) for model, presets in tables.items()}


def find_presets(models: Path | None) -> Presets:
    """Return the presets in a folder of models where it has a file of them, else the shipped ones.

    Raises BadConfig for a wrong file.
    """
    own = None if models is None else models / FILE
    return load_presets(own if own is not None and own.is_file() else None)


def presets_of(model: str, presets: Presets) -> tuple[Preset, ...]:
    """Return the presets of a model: its own, else those of any."""
    return presets.get(model, presets.get(ANY, ()))


def _read_table(name: str, model: str, presets: Any) -> tuple[Preset, ...]:
    found = []
    for preset, values in presets.items() if isinstance(presets, dict) else ():
        for field, value in values.items() if isinstance(values, dict) else ():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            is_whole = field == "guidance" or isinstance(value, int)
            if field not in _NUMBERS or not is_number or not is_whole:
                raise BadConfig(
                    f"{name} says {field} = {value!r} in {model}.{preset}.",
                    f"A preset has numbers for {', '.join(_NUMBERS)}.",
                )
        if not isinstance(values, dict):
            raise BadConfig(
                f"{name} says {preset} = {values!r} in {model}.", "A preset is a table of numbers."
            )
        found.append(Preset(name=preset, **values))
    return tuple(found)
