"""Requests that turn footage into a layer stack, and that refine one of its layers."""

from layert2v.decompose.json_form import (
    decompose_from_json,
    decompose_to_json,
    refine_from_json,
    refine_to_json,
)
from layert2v.decompose.shots import (
    CUT_INSIDE,
    Shot,
    shot_name,
    shots_from_text,
    shots_of_error,
    shots_to_text,
    split_at_cuts,
)
from layert2v.decompose.spec import (
    COLOR_RANGES,
    FOOTAGE,
    MATRICES,
    RECIPES,
    SCRATCH_FOLDER,
    Box,
    DecomposeSpec,
    Footage,
    Point,
    RefineSpec,
    SubjectSpec,
)
from layert2v.decompose.validation import (
    REFINE_ACTION,
    refine_files,
    resolve_refine,
    validate_decompose,
    validate_refine,
)

__all__ = [
    "COLOR_RANGES",
    "CUT_INSIDE",
    "FOOTAGE",
    "MATRICES",
    "RECIPES",
    "REFINE_ACTION",
    "SCRATCH_FOLDER",
    "Box",
    "DecomposeSpec",
    "Footage",
    "Point",
    "RefineSpec",
    "Shot",
    "SubjectSpec",
    "decompose_from_json",
    "decompose_to_json",
    "refine_files",
    "refine_from_json",
    "refine_to_json",
    "resolve_refine",
    "shot_name",
    "shots_from_text",
    "shots_of_error",
    "shots_to_text",
    "split_at_cuts",
    "validate_decompose",
    "validate_refine",
]
