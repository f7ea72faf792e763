"""The rules of a request to generate: client, server and engine call the same ``validate``.

They hold against the ``ModelInfo`` that the engine published. Use it through ``layert2v.spec``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from layert2v.limits import (
    MAX_FPS,
    MAX_FRAME,
    MAX_LAYERS,
    MAX_NAME_CHARS,
    MAX_PROMPT_CHARS,
    MAX_SEED,
)
from layert2v.spec.generate import COLORSPACE_TITLES, COMPRESSIONS, GenerateSpec, colorspace_id
from layert2v.spec.model import ModelInfo


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
    if colorspace_id(spec.colorspace) not in model.colorspaces:
        offered = ", ".join(_with_title(name) for name in model.colorspaces)
        found.append(FieldViolation("colorspace", f"The color space must be one of: {offered}."))
    return [*found, *check_compression(spec.compression), *_check_placements(spec, model)]


def check_compression(compression: str) -> list[FieldViolation]:
    """Return what is wrong with the name of a compression."""
    if compression in COMPRESSIONS:
        return []
    message = f"The compression must be one of: {', '.join(COMPRESSIONS)}."
    return [FieldViolation("compression", message)]


def check_range(
    name: str, subject: str, value: float, limits: tuple[float, float]
) -> list[FieldViolation]:
    """Return what is wrong with a ``value`` outside ``limits``, which belong to the range."""
    low, high = limits
    if low <= value <= high:
        return []
    allowed = f"{low:g}" if low == high else f"between {low:g} and {high:g}"
    return [FieldViolation(name, f"{subject} must be {allowed}, not {value:g}.")]


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


def _with_title(colorspace: str) -> str:
    """Return an id of a space followed by what artists call it."""
    title = COLORSPACE_TITLES.get(colorspace)
    return colorspace if title is None else f"{colorspace} = {title}"
