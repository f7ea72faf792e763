"""The panel's subjects as a request of the contract. Pure: it only reads properties."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layert2v.decompose import Box, DecomposeSpec, Footage, Point, SubjectSpec

if TYPE_CHECKING:
    from ..model import LAYERT2V_Scene, LAYERT2V_Subject
    from .sources import FootageFiles


def decompose_spec(
    panel: LAYERT2V_Scene, found: FootageFiles, footage: Footage, name: str
) -> DecomposeSpec:
    """Return the request; subjects with a mask name the key of its matte."""
    first, last = found.first, found.last
    if panel.footage_range:
        first, last = panel.footage_first, panel.footage_last
    return DecomposeSpec(
        subjects=tuple(_subject(each, matte_key(k)) for k, each in enumerate(panel.subjects)),
        footage=footage,
        first=first,
        last=last,
        handles=panel.footage_handles if panel.footage_range else 0,
        scale=panel.footage_scale,
        name=name,
        compression=panel.compression,
        ignore_cuts=panel.footage_ignore_cuts,
    )


def files_as_footage(panel: LAYERT2V_Scene) -> Footage:
    """Return how files are read; what is rendered in Blender needs no such choice."""
    return Footage(
        matrix=panel.footage_matrix,
        color_range=panel.footage_color_range,
        deinterlace=panel.footage_deinterlace,
    )


def matte_key(index: int) -> str:
    """Return the key of the matte of a subject."""
    return f"matte_{index + 1}"


def _subject(item: LAYERT2V_Subject, key: str) -> SubjectSpec:
    boxes: tuple[Box, ...] = ()
    if item.has_box:
        x, y, width, height = item.box
        boxes = (Box(item.frame, x, y, width, height),)
    return SubjectSpec(
        words=item.name.strip(),
        boxes=boxes,
        points=tuple(
            Point(point.frame, point.place[0], point.place[1], not point.outside)
            for point in item.points
        ),
        matte=key if item.mask is not None else "",
    )
