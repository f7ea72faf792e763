"""Requests that turn footage into a layer stack, and that refine one of its layers."""

from layert2v.decompose.json_form import (
    decompose_from_json,
    decompose_to_json,
    refine_from_json,
    refine_to_json,
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
    "SubjectSpec",
    "decompose_from_json",
    "decompose_to_json",
    "refine_files",
    "refine_from_json",
    "refine_to_json",
    "resolve_refine",
    "validate_decompose",
    "validate_refine",
]
