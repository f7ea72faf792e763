"""The request to generate a stack, the models that can, and one pure validation.

Knows the rules of a request, not how it is carried out: client, server and engine all call the
same ``validate`` against the ``ModelInfo`` that the engine published.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

from layert2v.errors import SpecError
from layert2v.json_reader import JsonObject
from layert2v.limits import (
    MAX_FPS,
    MAX_FRAME,
    MAX_LAYERS,
    MAX_NAME_CHARS,
    MAX_PROMPT_CHARS,
    MAX_SEED,
)
from layert2v.placement import Placement
from layert2v.presets import Preset, preset_from_json, preset_to_json

CLEAN_CONDITIONING = "clean_conditioning"  # ability: trained with some streams clean at time 0
NO_SHADOWS = "no_shadows"  # a limit among the abilities: cast shadows are no layers of their own

# How EXR files are compressed, by OpenEXR's names: zips scrubs fastest in Nuke, dwaa and dwab lose
# precision, current Nuke opens neither htj2k256 nor zstd.
COMPRESSIONS = ("zips", "none", "zip", "piz", "htj2k256", "zstd", "dwaa", "dwab")

# What artists call the spaces: a request may use these names, what is recorded uses the ids.
_COLORSPACE_TITLES = MappingProxyType(
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


@dataclass(frozen=True)
class ModelInfo:
    """Description of one model: limits, defaults, abilities; ranges include both ends.

    Sizes are pixels and multiples of ``size_step``; frame counts are ``1 + k * frames_step``.
    ``vocabulary`` maps a kind (subject, action, place, time, colour; spot, heading, distance of a
    figure) to the words the model has seen.
    ``colorspaces`` are the names a request may use for its output. ``presets`` are settings that an
    artist may choose at once.
    """

    name: str
    title: str
    digest: str
    width_range: tuple[int, int]
    height_range: tuple[int, int]
    size_step: int
    frames_range: tuple[int, int]
    frames_step: int
    max_foregrounds: int
    default_width: int
    default_height: int
    default_frames: int
    default_fps: float
    default_steps: int
    default_guidance: float
    steps_range: tuple[int, int]
    guidance_range: tuple[float, float]
    source_colorspace: str = "srgb_rec709_scene"
    abilities: tuple[str, ...] = ("generate",)
    vocabulary: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    colorspaces: tuple[str, ...] = ("lin_rec709_scene",)
    presets: tuple[Preset, ...] = ()

    @property
    def makes_shadows(self) -> bool:
        """Whether a foreground comes with a layer of the shadow it casts."""
        return NO_SHADOWS not in self.abilities


@dataclass(frozen=True)
class FieldViolation:
    """One wrong field, and a sentence that says what it must be."""

    field: str
    message: str


def validate(spec: GenerateSpec, model: ModelInfo) -> list[FieldViolation]:
    """Return everything that keeps ``model`` from carrying out ``spec``."""
    found = [*_check_prompts(spec, model), *_check_size(spec, model), *_check_time(spec, model)]
    if spec.seed is not None and not 0 <= spec.seed <= MAX_SEED:
        found.append(FieldViolation("seed", f"The seed must be between 0 and {MAX_SEED}."))
    if spec.steps != 0:
        found += check_range("steps", "The number of steps", spec.steps, model.steps_range)
    if not math.isfinite(spec.guidance):
        found.append(FieldViolation("guidance", "The guidance must be a finite number."))
    elif spec.guidance >= 0:
        found += check_range("guidance", "The guidance", spec.guidance, model.guidance_range)
    if spec.model != model.name:
        message = f"This is the model {model.name!r}, not {spec.model[:MAX_NAME_CHARS]!r}."
        found.append(FieldViolation("model", message))
    if _colorspace_id(spec.colorspace) not in model.colorspaces:
        offered = ", ".join(_with_title(name) for name in model.colorspaces)
        found.append(FieldViolation("colorspace", f"The color space must be one of: {offered}."))
    return [*found, *check_compression(spec.compression), *_check_placements(spec, model)]


def check_compression(compression: str) -> list[FieldViolation]:
    """Return what is wrong with the name of a compression."""
    if compression in COMPRESSIONS:
        return []
    message = f"The compression must be one of: {', '.join(COMPRESSIONS)}."
    return [FieldViolation("compression", message)]


def resolve(spec: GenerateSpec, model: ModelInfo, seed: int) -> GenerateSpec:
    """Return the request with every default filled in; ``seed`` where the artist gave none."""
    return replace(
        spec,
        width=spec.width or model.default_width,
        height=spec.height or model.default_height,
        frames=spec.frames or model.default_frames,
        fps=spec.fps or model.default_fps,
        steps=spec.steps or model.default_steps,
        guidance=spec.guidance if spec.guidance >= 0 else model.default_guidance,
        seed=seed if spec.seed is None else spec.seed,
        colorspace=_colorspace_id(spec.colorspace),
    )


def fit_to_model(info: ModelInfo, width: int, height: int, frames: int) -> tuple[int, int, int]:
    """Return the nearest size (pixels) and frame count that the model offers.

    A size is scaled as a whole into the model's limits, so that its shape is kept, and each side
    then goes to the nearest multiple of ``size_step``. A count goes to the nearest
    ``1 + k * frames_step``: to the nearest and not down, since a layer that ends some frames early
    leaves a hole in a shot, and one that is longer can be cut. 0 or less stands for the model's
    default and is returned unchanged; so is a size of which one side is.
    """
    if width > 0 and height > 0:
        width, height = _fit_size(info, width, height)
    if frames > 0:
        frames = _nearest(frames, info.frames_range, info.frames_step, offset=1)
    return width, height, frames


def _fit_size(info: ModelInfo, width: int, height: int) -> tuple[int, int]:
    (low_w, high_w), (low_h, high_h) = info.width_range, info.height_range
    scale = min(1.0, high_w / width, high_h / height)
    scale = max(scale, low_w / width, low_h / height)
    return (
        _nearest(width * scale, info.width_range, info.size_step),
        _nearest(height * scale, info.height_range, info.size_step),
    )


def _nearest(value: float, limits: tuple[int, int], step: int, offset: int = 0) -> int:
    """Return the number ``offset + k * step`` within ``limits`` that is nearest to ``value``."""
    low, high = limits
    first = offset + -(-(low - offset) // step) * step
    last = offset + (high - offset) // step * step
    return min(max(offset + round((value - offset) / step) * step, first), last)


def check_range(
    name: str, subject: str, value: float, limits: tuple[float, float]
) -> list[FieldViolation]:
    """Return what is wrong with a ``value`` outside ``limits``, which belong to the range."""
    low, high = limits
    if low <= value <= high:
        return []
    allowed = f"{low:g}" if low == high else f"between {low:g} and {high:g}"
    return [FieldViolation(name, f"{subject} must be {allowed}, not {value:g}.")]


def spec_to_json(spec: GenerateSpec) -> dict[str, Any]:
    """Return the request as JSON values."""
    plain = asdict(spec)
    return {
        **plain,
        "foreground_prompts": list(spec.foreground_prompts),
        "placements": list(plain["placements"]),
    }


def spec_from_json(value: Any) -> GenerateSpec:
    """Read what ``spec_to_json`` wrote. Raises ``SpecError`` for any other shape."""
    if isinstance(value, dict):  # requests of before do not say it
        value = {"nearest": False, "compression": COMPRESSIONS[0], "placements": [], **value}
    fields = JsonObject(value, "", SpecError)
    spec = GenerateSpec(
        prompt=fields.text("prompt"),
        background_prompt=fields.text("background_prompt"),
        foreground_prompts=fields.texts("foreground_prompts"),
        negative_prompt=fields.text("negative_prompt"),
        width=fields.integer("width"),
        height=fields.integer("height"),
        frames=fields.integer("frames"),
        fps=fields.number("fps"),
        seed=fields.optional_integer("seed"),
        steps=fields.integer("steps"),
        guidance=fields.number("guidance"),
        model=fields.text("model"),
        colorspace=fields.text("colorspace"),
        start_frame=fields.integer("start_frame"),
        nearest=fields.boolean("nearest"),
        compression=fields.text("compression"),
        placements=fields.objects("placements", _placement),
    )
    fields.refuse_unknown()
    return spec


def _placement(fields: JsonObject) -> Placement:
    return Placement(
        foreground=fields.integer("foreground"),
        shape=fields.text("shape"),
        x=fields.number("x"),
        y=fields.number("y"),
        width=fields.number("width"),
        height=fields.number("height"),
        strength=fields.number("strength"),
    )


def model_to_json(model: ModelInfo) -> dict[str, Any]:
    """Return the model description as JSON values."""
    plain = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in vars(model).items()
    }
    plain["vocabulary"] = {kind: list(words) for kind, words in model.vocabulary.items()}
    plain["presets"] = [preset_to_json(preset) for preset in model.presets]
    return plain


def model_from_json(value: Any) -> ModelInfo:
    """Read what ``model_to_json`` wrote. Raises ``SpecError`` for any other shape."""
    if isinstance(value, dict):  # descriptions of before have none
        value = {"presets": [], **value}
    fields = JsonObject(value, "", SpecError)
    model = ModelInfo(
        name=fields.text("name"),
        title=fields.text("title"),
        digest=fields.text("digest"),
        width_range=fields.integer_pair("width_range"),
        height_range=fields.integer_pair("height_range"),
        size_step=fields.integer("size_step"),
        frames_range=fields.integer_pair("frames_range"),
        frames_step=fields.integer("frames_step"),
        max_foregrounds=fields.integer("max_foregrounds"),
        default_width=fields.integer("default_width"),
        default_height=fields.integer("default_height"),
        default_frames=fields.integer("default_frames"),
        default_fps=fields.number("default_fps"),
        default_steps=fields.integer("default_steps"),
        default_guidance=fields.number("default_guidance"),
        steps_range=fields.integer_pair("steps_range"),
        guidance_range=fields.number_pair("guidance_range"),
        source_colorspace=fields.text("source_colorspace"),
        abilities=fields.texts("abilities"),
        vocabulary=fields.text_list_map("vocabulary"),
        colorspaces=fields.texts("colorspaces"),
        presets=fields.objects("presets", preset_from_json),
    )
    fields.refuse_unknown()
    return model


def _check_prompts(spec: GenerateSpec, model: ModelInfo) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    if not spec.prompt.strip():
        found.append(FieldViolation("prompt", "Write a prompt that says what should be seen."))
    named = [
        ("prompt", spec.prompt),
        ("background_prompt", spec.background_prompt),
        ("negative_prompt", spec.negative_prompt),
    ]
    foregrounds = spec.foreground_prompts[:MAX_LAYERS]  # too many of them are refused below
    named += [(f"foreground_prompts[{k}]", text) for k, text in enumerate(foregrounds)]
    for name, text in named:
        if len(text) > MAX_PROMPT_CHARS:
            message = f"The text must be at most {MAX_PROMPT_CHARS} characters, not {len(text)}."
            found.append(FieldViolation(name, message))
    for k, text in enumerate(foregrounds):
        if not text.strip():
            message = "A foreground prompt must say something; leave it out otherwise."
            found.append(FieldViolation(f"foreground_prompts[{k}]", message))
    if len(spec.foreground_prompts) > model.max_foregrounds:
        message = (
            f"{model.title} makes at most {model.max_foregrounds} foreground layer(s), "
            f"not {len(spec.foreground_prompts)}."
        )
        found.append(FieldViolation("foreground_prompts", message))
    return found


def _check_placements(spec: GenerateSpec, model: ModelInfo) -> list[FieldViolation]:
    found = []
    most = len(spec.foreground_prompts) or model.max_foregrounds
    numbers = [each.foreground for each in spec.placements]
    for k, placement in enumerate(spec.placements[: MAX_LAYERS + 1]):
        message = placement.problem
        if not 1 <= placement.foreground <= most:
            message = f"There is no foreground {placement.foreground}, but {most} at most."
        elif numbers.index(placement.foreground) < k:
            message = f"Foreground {placement.foreground} has more than one region."
        if message:
            found.append(FieldViolation(f"placements[{k}]", message))
    return found


def _check_size(spec: GenerateSpec, model: ModelInfo) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    for name, value, limits in (
        ("width", spec.width, model.width_range),
        ("height", spec.height, model.height_range),
    ):
        if value == 0:
            continue
        outside = check_range(name, f"The {name}", value, limits)
        found += outside
        if not outside and value % model.size_step:
            below = value - value % model.size_step
            nearest = [side for side in (below, below + model.size_step) if side <= limits[1]]
            message = (
                f"The {name} must be a multiple of {model.size_step} pixels, such as "
                f"{' or '.join(map(str, nearest))}, not {value}."
            )
            found.append(FieldViolation(name, message))
    return found


def _check_time(spec: GenerateSpec, model: ModelInfo) -> list[FieldViolation]:
    found: list[FieldViolation] = []
    if spec.frames != 0:
        outside = check_range("frames", "The number of frames", spec.frames, model.frames_range)
        found += outside
        if not outside and (spec.frames - 1) % model.frames_step:
            below = spec.frames - (spec.frames - 1) % model.frames_step
            message = (
                f"The number of frames must be 1 plus a multiple of {model.frames_step}, "
                f"such as {max(below, 1)} or {below + model.frames_step}."
            )
            found.append(FieldViolation("frames", message))
    if not (math.isfinite(spec.fps) and (spec.fps == 0 or 1 <= spec.fps <= MAX_FPS)):
        message = f"The frame rate must be between 1 and {MAX_FPS:g} frames per second."
        found.append(FieldViolation("fps", message))
    last = spec.start_frame + (spec.frames or model.default_frames) - 1
    if not (spec.start_frame >= 0 and last <= MAX_FRAME):
        message = f"The frame numbers must lie between 0 and {MAX_FRAME}."
        found.append(FieldViolation("start_frame", message))
    return found


def _colorspace_id(name: str) -> str:
    """Return the id of a space by its id or its title."""
    titles = {title.lower(): known for known, title in _COLORSPACE_TITLES.items()}
    return titles.get(name.lower(), name)


def _with_title(colorspace: str) -> str:
    """Return an id of a space followed by what artists call it."""
    title = _COLORSPACE_TITLES.get(colorspace)
    return colorspace if title is None else f"{colorspace} = {title}"
