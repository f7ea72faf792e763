"""Requests about footage from the knobs of a LayerT2V node.

Nuke counts pixels from the lower left corner, requests from the upper left. Knows no host.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from layert2v.decompose import (
    Box,
    DecomposeSpec,
    Footage,
    Point,
    RefineSpec,
    SubjectSpec,
    validate_decompose,
    validate_refine,
)
from layert2v.rerender import Plate
from layert2v.stack import Stack
from layert2v_nuke.errors import BadRequest
from layert2v_nuke.graph import footage_knobs
from layert2v_nuke.graph.footage_knobs import NO_MATTE
from layert2v_nuke.graph.knobs import INSIDE, OFF, point_names
from layert2v_nuke.inputs import InputImages
from layert2v_nuke.session.requests import chosen_compression, raise_violations

PLATE, MATTE = "plate", "matte"  # keys of inputs

Values = Mapping[str, Any]


def decompose_spec(
    values: Values, source: InputImages, colorspace: str, fps: float, plate_colorspace: str
) -> DecomposeSpec:
    """Return the request to take ``source`` apart, whose pixels are in ``colorspace``."""
    is_part = values["footage_range"]
    numbers = footage_knobs.subject_numbers(values)
    plate = Plate(PLATE, plate_colorspace, alpha="opaque", fit="fit")
    spec = DecomposeSpec(
        subjects=tuple(_subject(values, number, source.height) for number in numbers),
        footage=Footage(colorspace=colorspace, alpha="opaque", fps=fps),
        plate=plate if values["footage_plate"] else None,
        first=int(values["footage_first"]) if is_part else source.first,
        last=int(values["footage_last"]) if is_part else source.last,
        handles=int(values["footage_handles"]) if is_part else 0,
        scale=float(values["footage_scale"]),
        name=source.name,
        compression=chosen_compression(values),
        ignore_cuts=bool(values.get("footage_ignore_cuts", False)),  # not of nodes of before
    )
    raise_violations(validate_decompose(spec))
    return spec


def refine_spec(
    values: Values, stack: Stack, layer: str, points: tuple[Point, ...] = ()
) -> RefineSpec:
    """Return the request to give a foreground of the state ``stack`` another matte.

    With ``points`` that is its own one, corrected around them.
    """
    spec = RefineSpec(
        layer,
        "" if points else MATTE,
        at=stack.state,
        compression=chosen_compression(values),
        points=points,
    )
    raise_violations(validate_refine(spec, stack))
    return spec


def correction_points(values: Values, stack: Stack, layer: str) -> tuple[Point, ...]:
    """Return where a foreground is said to be wrong. Raises ``BadRequest`` for nowhere."""
    points = _points(values, layer, stack.height)
    if not points:
        raise BadRequest(
            "NO_POINTS",
            f"No point of {layer} is on.",
            "Move one in the viewer to where its matte is wrong.",
        )
    return points


def subjects_of(values: Values) -> dict[int, dict[str, Any]]:
    """Return what the knobs of each subject hold, by its number, the nearest first."""
    numbers = footage_knobs.subject_numbers(values)
    return {number: footage_knobs.subject_values(values, number) for number in numbers}


def footage_frames(spec: DecomposeSpec, source: InputImages) -> range:
    """Return the frames of ``source`` that the request reads, with their handles."""
    first = source.first if spec.first is None else spec.first
    last = source.last if spec.last is None else spec.last
    low = max(first - spec.handles, min(first, source.first))
    return range(low, min(last + spec.handles, max(last, source.last)) + 1)


def matte_frames(subject: Values, frames: range) -> range:
    """Return the frames on which a subject has a matte: all, or the one where it is a hint."""
    if subject["matte_all"]:
        return frames
    return range(int(subject["matte_frame"]), int(subject["matte_frame"]) + 1)


def matte_key(number: int) -> str:
    """Return the key of the matte of a subject."""
    return f"{MATTE}_{number}"


def _subject(values: Values, number: int, height: int) -> SubjectSpec:
    knobs = footage_knobs.subject_values(values, number)
    boxes: tuple[Box, ...] = ()
    if knobs["has_box"]:
        x, y, right, top = knobs["box"]
        boxes = (Box(int(knobs["box_frame"]), x, height - top, right - x, top - y),)
    return SubjectSpec(
        words=knobs["words"].strip(),
        boxes=boxes,
        points=_points(values, f"subject_{number}", height),
        matte=matte_key(number) if knobs["matte"] != NO_MATTE else "",
    )


def _points(values: Values, owner: str, height: int) -> tuple[Point, ...]:
    """Return the points of a subject or a layer that are on."""
    return tuple(
        Point(
            int(values[f"{name}_frame"]),
            values[name][0],
            height - values[name][1],
            values[f"{name}_is"] == INSIDE,
        )
        for name in point_names(owner)
        if values.get(f"{name}_is", OFF) != OFF  # layers have none in nodes of before
    )
