"""The rules of requests about footage.

Knows what such a request may say, not how it is carried out: client, server and engine call the
same functions. What the footage itself does not allow is for the engine to say. Use it through
``layert2v.decompose``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from layert2v.decompose.spec import (
    COLOR_RANGES,
    MATRICES,
    RECIPES,
    Box,
    DecomposeSpec,
    Footage,
    Point,
    RefineSpec,
    SubjectSpec,
)
from layert2v.limits import (
    MAX_FPS,
    MAX_FRAME,
    MAX_HANDLES,
    MAX_HINTS,
    MAX_NAME_CHARS,
    MAX_PROMPT_CHARS,
    MAX_SIDE,
    MAX_SUBJECTS,
)
from layert2v.rerender import ALPHAS, AUTO, Plate, check_input_key, check_plate, check_state
from layert2v.spec import FieldViolation, check_compression
from layert2v.stack import FileRecord, Role, Stack

REFINE_ACTION = "refine"  # in the history of a stack; the one that made it is called "decompose"


def validate_decompose(spec: DecomposeSpec) -> list[FieldViolation]:
    """Return everything that keeps ``spec`` from being carried out on any footage."""
    too_large = [*_check_amounts(spec)]
    if too_large:
        return too_large  # what follows quotes names and looks at each hint
    return [
        *_check_footage(spec),
        *_check_recipe(spec),
        *_check_range(spec),
        *(found for k, each in enumerate(spec.subjects) for found in _check_subject(each, k)),
        *(check_plate(spec.plate) if spec.plate is not None else ()),
        *(found for key in spec.input_keys for found in check_input_key(key)),
        *_check_shared_keys(spec),
        *check_compression(spec.compression),
    ]


def validate_refine(spec: RefineSpec, stack: Stack) -> list[FieldViolation]:
    """Return everything that keeps ``spec`` from being carried out on ``stack``.

    ``stack`` is the state that the request starts from, with the whole history.
    """
    plate = spec.plate
    texts = {
        "layer": [spec.layer],
        "matte": [spec.matte],
        "plate": [] if plate is None else [plate.input, plate.colorspace, plate.alpha, plate.fit],
        "matrix": [spec.matrix],
        "color_range": [spec.color_range],
    }
    found = [
        FieldViolation(field, f"A name must be at most {MAX_NAME_CHARS} characters.")
        for field, values in texts.items()
        if any(len(value) > MAX_NAME_CHARS for value in values)
    ]
    if found:
        return found
    return [
        *check_state(spec.at, stack),
        *_check_layer(spec, stack),
        *_check_correction(spec),
        *(check_plate(plate) if plate is not None else ()),
        *(violation for key in spec.input_keys for violation in check_input_key(key)),
        *_check_own_key("matte", plate, [spec.matte]),
        *_check_movie_options(spec, ""),
        *check_compression(spec.compression),
    ]


def refine_files(stack: Stack) -> tuple[FileRecord, ...]:
    """Return the files of ``stack`` that a refinement takes: layers, and ``ref``, the footage."""
    sequences = (each for each in stack.sequences() if each.name != "comp")
    return tuple(file for sequence in sequences for file in sequence.files)


def resolve_refine(spec: RefineSpec, stack: Stack) -> RefineSpec:
    """Return the request with every default filled in."""
    return replace(spec, at=spec.at or stack.state)


def _check_amounts(spec: DecomposeSpec) -> Iterator[FieldViolation]:
    if len(spec.subjects) > MAX_SUBJECTS:
        message = f"There must be at most {MAX_SUBJECTS} subjects, not {len(spec.subjects)}."
        yield FieldViolation("subjects", message)
        return
    hints = sum(len(each.boxes) + len(each.points) for each in spec.subjects)
    if hints > MAX_HINTS:
        message = f"There must be at most {MAX_HINTS} boxes and points, not {hints}."
        yield FieldViolation("subjects", message)
    for k, subject in enumerate(spec.subjects):
        if len(subject.words) > MAX_PROMPT_CHARS:
            count = len(subject.words)
            message = f"The text must be at most {MAX_PROMPT_CHARS} characters, not {count}."
            yield FieldViolation(f"subjects[{k}].words", message)
    plate = spec.plate
    names = {
        "footage": [
            *(spec.footage.input, spec.footage.colorspace, spec.footage.alpha),
            *(spec.footage.matrix, spec.footage.color_range),
        ],
        "plate": [] if plate is None else [plate.input, plate.colorspace, plate.alpha, plate.fit],
        "subjects": [key for each in spec.subjects for key in (each.matte, each.scribble)],
        "colorspace": [spec.colorspace],
        "name": [spec.name],
        "recipe": [spec.recipe],
    }
    for field, values in names.items():
        if any(len(value) > MAX_NAME_CHARS for value in values):
            yield FieldViolation(field, f"A name must be at most {MAX_NAME_CHARS} characters.")


def _check_footage(spec: DecomposeSpec) -> Iterator[FieldViolation]:
    footage = spec.footage
    if footage.alpha not in ALPHAS:
        yield FieldViolation("footage.alpha", f"The alpha must be one of: {', '.join(ALPHAS)}.")
    yield from _check_movie_options(footage, "footage.")
    if not footage.colorspace:
        message = "Say which color space the footage is in."
        yield FieldViolation("footage.colorspace", message)
    if not (math.isfinite(footage.fps) and (footage.fps == 0 or 1 <= footage.fps <= MAX_FPS)):
        message = f"The frame rate must be between 1 and {MAX_FPS:g} frames per second."
        yield FieldViolation("footage.fps", message)
    if footage.start_frame is not None and not 0 <= footage.start_frame <= MAX_FRAME:
        message = f"The number of the first frame must lie between 0 and {MAX_FRAME}."
        yield FieldViolation("footage.start_frame", message)
    if not spec.colorspace:
        message = "Say which linear color space the layers should have."
        yield FieldViolation("colorspace", message)


def _check_movie_options(said: Footage | RefineSpec, prefix: str) -> Iterator[FieldViolation]:
    for field, value, known in (
        ("matrix", said.matrix, MATRICES),
        ("color_range", said.color_range, COLOR_RANGES),
    ):
        if value not in (AUTO, *known):
            message = f"The {field.replace('_', ' ')} must be one of: {', '.join((AUTO, *known))}."
            yield FieldViolation(f"{prefix}{field}", message)


def _check_recipe(spec: DecomposeSpec) -> Iterator[FieldViolation]:
    if spec.recipe not in RECIPES:
        message = f"There is no recipe {spec.recipe!r}; there are: {', '.join(RECIPES)}."
        yield FieldViolation("recipe", message)


def _check_range(spec: DecomposeSpec) -> Iterator[FieldViolation]:
    for field, frame in (("first", spec.first), ("last", spec.last)):
        if frame is not None and not 0 <= frame <= MAX_FRAME:
            message = f"The frame numbers must lie between 0 and {MAX_FRAME}."
            yield FieldViolation(field, message)
    if spec.first is not None and spec.last is not None and spec.last < spec.first:
        message = f"The last frame, {spec.last}, comes before the first, {spec.first}."
        yield FieldViolation("last", message)
    if not 0 <= spec.handles <= MAX_HANDLES:
        message = f"There must be between 0 and {MAX_HANDLES} frames of handles."
        yield FieldViolation("handles", message)
    if not 0 < spec.scale <= 1:
        yield FieldViolation("scale", "The scale must be above 0 and at most 1.")


def _check_subject(subject: SubjectSpec, index: int) -> Iterator[FieldViolation]:
    where = f"subjects[{index}]"
    for k, box in enumerate(subject.boxes):
        wrong = _box_error(box)
        if wrong:
            yield FieldViolation(f"{where}.boxes[{k}]", wrong)
    yield from _check_points(subject.points, f"{where}.points")
    if subject.matte and subject.matte == subject.scribble:
        message = "The matte and the scribble must be different pictures."
        yield FieldViolation(f"{where}.scribble", message)


def _check_points(points: Sequence[Point], where: str) -> Iterator[FieldViolation]:
    for k, point in enumerate(points):
        wrong = _place_error(point)
        if wrong:
            yield FieldViolation(f"{where}[{k}]", wrong)


def _box_error(box: Box) -> str:
    sides = (box.width, box.height)
    if not all(math.isfinite(side) and 0 < side <= MAX_SIDE for side in sides):
        return f"The sides of a box must be above 0 and at most {MAX_SIDE} pixels."
    return _place_error(box)


def _place_error(hint: Box | Point) -> str:
    if not 0 <= hint.frame <= MAX_FRAME:
        return f"The frame of a hint must lie between 0 and {MAX_FRAME}."
    if not all(math.isfinite(side) and abs(side) <= MAX_SIDE for side in (hint.x, hint.y)):
        return f"The position of a hint must lie within {MAX_SIDE} pixels."
    return ""


def _check_shared_keys(spec: DecomposeSpec) -> Iterator[FieldViolation]:
    """Yield where one input stands for two things that cannot be the same pictures."""
    hints = [key for each in spec.subjects for key in (each.matte, each.scribble) if key]
    twice = sorted({key for key in hints if hints.count(key) > 1})
    same_subject = {each.matte for each in spec.subjects if each.matte == each.scribble}
    for key in twice:
        if key not in same_subject:
            yield FieldViolation("subjects", f"Two subjects share the pictures {key!r}.")
    if spec.footage.input in hints:
        yield FieldViolation("subjects", "The footage cannot be a matte or a scribble as well.")
    yield from _check_own_key("footage", spec.plate, [spec.footage.input, *hints])


def _check_own_key(what: str, plate: Plate | None, others: list[str]) -> Iterator[FieldViolation]:
    if plate is not None and plate.input in others:
        message = f"The plate and the {what} must be different pictures."
        yield FieldViolation("plate.input", message)


def _check_correction(spec: RefineSpec) -> Iterator[FieldViolation]:
    if bool(spec.matte) == bool(spec.points):
        message = "Give either a matte, or points where the layer's own is wrong."
        yield FieldViolation("matte", message)
    if len(spec.points) > MAX_HINTS:
        message = f"There must be at most {MAX_HINTS} points, not {len(spec.points)}."
        yield FieldViolation("points", message)
    yield from _check_points(spec.points, "points")


def _check_layer(spec: RefineSpec, stack: Stack) -> Iterator[FieldViolation]:
    foregrounds = [layer.name for layer in stack.layers if layer.role is Role.foreground]
    if spec.layer not in foregrounds:
        known = ", ".join(foregrounds) or "none"
        message = f"There is no foreground {spec.layer!r}; foregrounds are: {known}."
        yield FieldViolation("layer", message)
    if not any(flat.name == "ref" for flat in stack.flats):
        message = "This stack lacks its ref, the footage that it was made of, so nothing can be "
        yield FieldViolation("layer", message + "solved again.")
