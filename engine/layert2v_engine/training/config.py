"""One TOML file per stage to frozen dataclasses; a key nobody knows is an error, not a silence."""

from __future__ import annotations

import dataclasses
import tomllib
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from layert2v_engine.errors import BadConfig

T = TypeVar("T")
_SHIPPED = {"splitter": "splitter"}  # folders of stages that are not the Mini's


def load_config(kind: type[T], stage: str, folder: Path | None = None) -> T:
    """Read ``<stage>.toml`` from ``folder``, or from the shipped configurations."""
    if folder is None:
        text = (
            resources.files("layert2v_engine.training")
            .joinpath("configs", _SHIPPED.get(stage, "mini_v0"), f"{stage}.toml")
            .read_text()
        )
    else:
        path = folder / f"{stage}.toml"
        if not path.exists():
            raise BadConfig(
                f"There is no {path}.", "Copy the shipped configuration of that stage and edit it."
            )
        text = path.read_text()
    try:
        return _build(kind, tomllib.loads(text), stage)
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(
            f"{stage}.toml is not valid TOML: {error}.", "Correct that line."
        ) from error


def _build(kind: type[T], values: dict[str, Any], where: str) -> T:
    """Return a dataclass of one table; a field's ``stored`` metadata is its key in the file."""
    hints = get_type_hints(kind)
    entries = dataclasses.fields(kind)  # type: ignore[arg-type]
    names = {entry.metadata.get("stored", entry.name): entry.name for entry in entries}
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise BadConfig(
            f"{where} has no setting {unknown[0]!r}.", f"It knows {', '.join(sorted(names))}."
        )
    return kind(
        **{
            names[key]: _convert(hints[names[key]], value, f"{where}.{key}")
            for key, value in values.items()
        }
    )


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _build(hint, value, where)
    if get_origin(hint) is tuple:
        return tuple(_convert(get_args(hint)[0], item, where) for item in value)
    if isinstance(hint, UnionType) or get_origin(hint) is UnionType:
        return value
    if hint is float and isinstance(value, int):
        return float(value)
    if isinstance(hint, type) and not isinstance(value, hint):
        raise BadConfig(f"{where} must be {hint.__name__}, not {value!r}.", "Correct that value.")
    return value
