"""Named sets of sizes and steps for a model, from a configuration file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

from layert2v.spec import GenerateSpec
from layert2v_engine.errors import BadConfig

ANY = "any"  # the table of models without their own
# What a preset may say, and the value by which a request says nothing of it.
_FIELDS: Mapping[str, float] = {"width": 0, "height": 0, "frames": 0, "steps": 0, "guidance": -1.0}

Presets = Mapping[str, Mapping[str, Mapping[str, float]]]  # by model, then by name


def load_presets(path: Path | None = None) -> Presets:
    """Return the presets in a file, or the shipped ones. Raises BadConfig for a wrong file."""
    name = str(path or "presets.toml")
    try:
        text = (
            resources.files("layert2v_engine").joinpath("presets.toml").read_text()
            if path is None
            else path.read_text(encoding="utf-8")
        )
        tables: dict[str, Any] = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfig(
            f"{name} cannot be read: {error}.", "Correct it, or name another."
        ) from error
    for model, presets in tables.items():
        for preset, values in presets.items() if isinstance(presets, dict) else ():
            for field, value in values.items() if isinstance(values, dict) else ():
                is_number = isinstance(value, int | float) and not isinstance(value, bool)
                if field not in _FIELDS or not is_number:
                    raise BadConfig(
                        f"{name} says {field} = {value!r} in {model}.{preset}.",
                        f"A preset has numbers for {', '.join(_FIELDS)}.",
                    )
    return tables


def apply_preset(spec: GenerateSpec, name: str, presets: Presets) -> GenerateSpec:
    """Return a request with what a preset says where the request says nothing itself.

    A size is one thing: with a width or a height of its own, a request keeps its size. Raises
    BadConfig for a name that its model's table does not have.
    """
    table = presets.get(spec.model, presets.get(ANY, {}))
    if name not in table:
        known = ", ".join(table) or "none"
        raise BadConfig(f"{spec.model} has no preset {name!r}.", f"It has: {known}.")
    own_size = bool(spec.width or spec.height)
    values: dict[str, Any] = {
        field: value
        for field, value in table[name].items()
        if getattr(spec, field) == _FIELDS[field]
        and not (own_size and field in ("width", "height"))
    }
    return replace(spec, **values)
