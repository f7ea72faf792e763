"""Named settings of a model, such as ``preview``, which fill in what a request does not say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from layert2v.errors import SpecError
from layert2v.json_reader import JsonObject

if TYPE_CHECKING:
    from layert2v.spec.generate import GenerateSpec


@dataclass(frozen=True)
class Preset:
    """Pixels, frames, steps and guidance; 0, or a guidance below 0, says nothing of them."""

    name: str
    width: int = 0
    height: int = 0
    frames: int = 0
    steps: int = 0
    guidance: float = -1.0

    @property
    def text(self) -> str:
        """What it sets, such as ``832 x 480, 81 frames, 30 steps``."""
        parts = [f"{self.width} x {self.height}"] if self.width and self.height else []
        parts += [f"{self.frames} frames"] if self.frames else []
        parts += [f"{self.steps} steps"] if self.steps else []
        parts += [f"guidance {self.guidance:g}"] if self.guidance >= 0 else []
        return ", ".join(parts) or "the model's defaults"


def find_preset(name: str, model: str, presets: Sequence[Preset]) -> Preset:
    """Return one of a model's presets by its name. Raises ``SpecError``, which names them."""
    found = next((preset for preset in presets if preset.name == name), None)
    if found is None:
        known = ", ".join(preset.name for preset in presets) or "none"
        raise SpecError("NO_PRESET", f"{model} has no preset {name[:80]!r}.", f"It has: {known}.")
    return found


def apply_preset(spec: GenerateSpec, preset: Preset) -> GenerateSpec:
    """Return a request with what a preset says where the request says nothing itself.

    A size is one thing: with a width or a height of its own, a request keeps its size.
    """
    values: dict[str, Any] = {}
    if not (spec.width or spec.height):
        values |= {"width": preset.width, "height": preset.height}
    values |= {} if spec.frames else {"frames": preset.frames}
    values |= {} if spec.steps else {"steps": preset.steps}
    values |= {} if spec.guidance >= 0 else {"guidance": preset.guidance}
    return replace(spec, **values)


def preset_to_json(preset: Preset) -> dict[str, Any]:
    """Return a preset as JSON values."""
    return asdict(preset)


def preset_from_json(fields: JsonObject) -> Preset:
    """Read what ``preset_to_json`` wrote. Raises ``SpecError`` for any other shape."""
    return Preset(
        name=fields.text("name"),
        width=fields.integer("width"),
        height=fields.integer("height"),
        frames=fields.integer("frames"),
        steps=fields.integer("steps"),
        guidance=fields.number("guidance"),
    )
