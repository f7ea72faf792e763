"""Requests about footage as JSON values, read strictly. Use it through ``layert2v.decompose``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from layert2v.decompose.spec import (
    RECIPES,
    Box,
    DecomposeSpec,
    Footage,
    Point,
    RefineSpec,
    SubjectSpec,
)
from layert2v.errors import SpecError
from layert2v.json_reader import JsonObject
from layert2v.rerender import AUTO, Plate, read_plate
from layert2v.spec import COMPRESSIONS


def decompose_to_json(spec: DecomposeSpec) -> dict[str, Any]:
    """Return the request as JSON values."""
    return {**asdict(spec), "subjects": [_subject_to_json(each) for each in spec.subjects]}


def decompose_from_json(value: Any) -> DecomposeSpec:
    """Read what ``decompose_to_json`` wrote. Raises ``SpecError`` for any other shape."""
    fields = JsonObject(_with_later_fields(value), "", SpecError)
    spec = DecomposeSpec(
        subjects=fields.objects("subjects", _read_subject),
        footage=fields.object("footage", _read_footage),
        plate=fields.optional_object("plate", read_plate),
        first=fields.optional_integer("first"),
        last=fields.optional_integer("last"),
        handles=fields.integer("handles"),
        scale=fields.number("scale"),
        colorspace=fields.text("colorspace"),
        name=fields.text("name"),
        compression=fields.text("compression"),
        recipe=fields.text("recipe") if fields.has("recipe") else RECIPES[0],
        ignore_cuts=fields.boolean("ignore_cuts") if fields.has("ignore_cuts") else False,
    )
    fields.refuse_unknown()
    return spec


def refine_to_json(spec: RefineSpec) -> dict[str, Any]:
    """Return the request as JSON values."""
    return {**asdict(spec), "points": [asdict(point) for point in spec.points]}


def refine_from_json(value: Any) -> RefineSpec:
    """Read what ``refine_to_json`` wrote. Raises ``SpecError`` for any other shape."""
    fields = JsonObject(_with_later_fields(value), "", SpecError)
    plate: Plate | None = fields.optional_object("plate", read_plate)
    spec = RefineSpec(
        layer=fields.text("layer"),
        matte=fields.text("matte"),
        plate=plate,
        at=fields.integer("at"),
        compression=fields.text("compression"),
        points=fields.objects("points", _read_point) if fields.has("points") else (),
        **_read_movie_options(fields),
    )
    fields.refuse_unknown()
    return spec


def _with_later_fields(value: Any) -> Any:
    """Return a request with what those of before do not say."""
    return {"compression": COMPRESSIONS[0], **value} if isinstance(value, dict) else value


def _subject_to_json(subject: SubjectSpec) -> dict[str, Any]:
    return {
        **asdict(subject),
        "boxes": [asdict(box) for box in subject.boxes],
        "points": [asdict(point) for point in subject.points],
    }


def _read_subject(fields: JsonObject) -> SubjectSpec:
    return SubjectSpec(
        words=fields.text("words"),
        boxes=fields.objects("boxes", _read_box),
        points=fields.objects("points", _read_point),
        matte=fields.text("matte"),
        scribble=fields.text("scribble"),
    )


def _read_box(fields: JsonObject) -> Box:
    return Box(
        frame=fields.integer("frame"),
        x=fields.number("x"),
        y=fields.number("y"),
        width=fields.number("width"),
        height=fields.number("height"),
    )


def _read_point(fields: JsonObject) -> Point:
    return Point(
        frame=fields.integer("frame"),
        x=fields.number("x"),
        y=fields.number("y"),
        is_subject=fields.boolean("is_subject"),
    )


def _read_footage(fields: JsonObject) -> Footage:
    return Footage(
        input=fields.text("input"),
        colorspace=fields.text("colorspace"),
        alpha=fields.text("alpha"),
        fps=fields.number("fps"),
        start_frame=fields.optional_integer("start_frame"),
        **_read_movie_options(fields),
    )


def _read_movie_options(fields: JsonObject) -> dict[str, Any]:
    """Return how movies are read; requests of before do not say it."""
    return {
        "matrix": fields.text("matrix") if fields.has("matrix") else AUTO,
        "color_range": fields.text("color_range") if fields.has("color_range") else AUTO,
        "deinterlace": fields.boolean("deinterlace") if fields.has("deinterlace") else False,
    }
