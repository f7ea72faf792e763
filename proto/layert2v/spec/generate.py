"""The request to generate a stack. Use it through ``layert2v.spec``."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from layert2v.placement import Placement

# How EXR files are compressed, by OpenEXR's names: zips scrubs fastest in Nuke, dwaa and dwab lose
# precision, current Nuke opens neither htj2k256 nor zstd.
COMPRESSIONS = ("zips", "none", "zip", "piz", "htj2k256", "zstd", "dwaa", "dwab")

# What artists call the spaces: a request may use these names, what is recorded uses the ids.
COLORSPACE_TITLES = MappingProxyType(
    {
        "lin_rec709_scene": "Linear Rec.709 (sRGB)",
        "lin_ap1_scene": "ACEScg",
        "lin_ap0_scene": "ACES2065-1",
        "lin_rec2020_scene": "Linear Rec.2020",
    }
)


@dataclass(frozen=True)
class GenerateSpec:
    """A new layer stack, as the artist asks for it.

    ``0`` in ``width``, ``height``, ``frames``, ``fps`` and ``steps``, a negative ``guidance`` and
    ``seed`` None mean "the model's default"; ``resolve`` fills them in. ``foreground_prompts`` may
    be empty: the engine then takes the foreground out of ``prompt``. ``colorspace`` is what the EXR
    files are written in: one of ``ModelInfo.colorspaces``, or what artists call it, such as
    ``ACEScg``. ``guidance`` is the classifier-free scale. ``nearest`` lets a model with a closed
    vocabulary show the subject nearest in meaning where it knows none that is named; without, such
    a request is refused. ``placements`` hint where foregrounds are to be, at most one each.
    """

    prompt: str
    background_prompt: str = ""
    foreground_prompts: tuple[str, ...] = ()
    negative_prompt: str = ""
    width: int = 0
    height: int = 0
    frames: int = 0
    fps: float = 0.0
    seed: int | None = None
    steps: int = 0
    guidance: float = -1.0
    model: str = "mini"
    colorspace: str = "lin_rec709_scene"
    start_frame: int = 1001
    nearest: bool = False
    compression: str = COMPRESSIONS[0]
    placements: tuple[Placement, ...] = ()


def colorspace_id(name: str) -> str:
    """Return the id of a space by its id or its title."""
    titles = {title.lower(): known for known, title in COLORSPACE_TITLES.items()}
    return titles.get(name.lower(), name)
