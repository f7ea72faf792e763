"""The request to change a stack, and its JSON form.

Knows neither whether such a request makes sense nor how it is carried out. Use it through
``layert2v.rerender``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from layert2v.errors import SpecError
from layert2v.json_reader import JsonObject
from layert2v.spec import COMPRESSIONS

# For the color space and the alpha of a plate: as its files say, by rule where they say nothing.
AUTO = "auto"


@dataclass(frozen=True)
class Plate:
    """Pictures of the artist's own: ``input`` is the key of a folder of frames, sorted by name.

    ``colorspace`` is any OCIO space or ``AUTO``. ``alpha`` says how color and alpha are related:
    one of ``ALPHAS``. ``fit``: ``exact`` refuses other sizes than the stack's, ``fit`` scales them.
    """

    input: str
    colorspace: str = AUTO
    alpha: str = AUTO
    fit: str = "exact"


@dataclass(frozen=True)
class DonorLayer:
    """A layer of another stack, scaled to fit: ``input`` is the key of that stack's folder."""

    input: str
    layer: str
    with_shadow: bool = False


@dataclass(frozen=True)
class RerenderSpec:
    """A change of a stack, as the artist asks for it.

    ``layers`` are, by ``action``: ``regenerate`` those that are generated again, ``ref`` alone if
    wanted; ``replace`` the one that takes the pixels of ``plate`` or ``donor``; ``add`` the name of
    the new one, which is ``next_foreground``; ``remove`` those that go, a foreground with its
    shadow; ``reorder`` the background and all foregrounds from bottom to top, shadows follow.

    ``frozen`` layers stay although they depend on one that changes. ``prompts`` has the new prompts
    by layer; others keep theirs. ``above`` is the layer that a new one lies on, "" for the topmost.
    ``masks`` are keys of folders by layer: where a mask is white, the old pixels stay. ``at`` is
    the state to start from, 0 the newest. ``strength`` in 0..1 is how far from the old layer
    the new one may go; 1 forgets it. ``seed`` None, ``steps`` 0, a negative ``guidance`` and
    ``model`` "" mean: chosen, the model's default, the model of the stack.
    ``compression`` is that of new files, one of ``layert2v.spec.COMPRESSIONS``. ``nearest`` is that
    of ``GenerateSpec``, for new prompts of foregrounds.
    """

    action: str
    layers: tuple[str, ...]
    frozen: tuple[str, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    above: str = ""
    plate: Plate | None = None
    donor: DonorLayer | None = None
    masks: Mapping[str, str] = field(default_factory=dict)
    at: int = 0
    seed: int | None = None
    strength: float = 1.0
    steps: int = 0
    guidance: float = -1.0
    model: str = ""
    compression: str = COMPRESSIONS[0]
    nearest: bool = False

    @property
    def input_keys(self) -> tuple[str, ...]:
        """The keys of all folders that come with the request, each once."""
        sources = [source.input for source in (self.plate, self.donor) if source is not None]
        return tuple(dict.fromkeys((*sources, *self.masks.values())))


def rerender_to_json(spec: RerenderSpec) -> dict[str, Any]:
    """Return the request as JSON values."""
    return {**asdict(spec), "layers": list(spec.layers), "frozen": list(spec.frozen)}


def rerender_from_json(value: Any) -> RerenderSpec:
    """Read what ``rerender_to_json`` wrote. Raises ``SpecError`` for any other shape."""
    if isinstance(value, dict):  # requests of before do not say it
        value = {"compression": COMPRESSIONS[0], "nearest": False, **value}
    fields = JsonObject(value, "", SpecError)
    spec = RerenderSpec(
        action=fields.text("action"),
        layers=fields.texts("layers"),
        frozen=fields.texts("frozen"),
        prompts=fields.text_map("prompts"),
        above=fields.text("above"),
        plate=fields.optional_object("plate", read_plate),
        donor=fields.optional_object("donor", _read_donor),
        masks=fields.text_map("masks"),
        at=fields.integer("at"),
        seed=fields.optional_integer("seed"),
        strength=fields.number("strength"),
        steps=fields.integer("steps"),
        guidance=fields.number("guidance"),
        model=fields.text("model"),
        compression=fields.text("compression"),
        nearest=fields.boolean("nearest"),
    )
    fields.refuse_unknown()
    return spec


def read_plate(fields: JsonObject) -> Plate:
    """Read the JSON of a plate."""
    return Plate(
        input=fields.text("input"),
        colorspace=fields.text("colorspace"),
        alpha=fields.text("alpha"),
        fit=fields.text("fit"),
    )


def _read_donor(fields: JsonObject) -> DonorLayer:
    return DonorLayer(
        input=fields.text("input"),
        layer=fields.text("layer"),
        with_shadow=fields.boolean("with_shadow"),
    )
