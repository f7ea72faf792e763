"""The shots of footage with cuts: how they are told, and one request for each of them.

Use it through ``layert2v.decompose``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from layert2v.decompose.spec import DecomposeSpec, SubjectSpec

CUT_INSIDE = "CUT_INSIDE"  # the reason of the error about footage with cuts
_SHOT = re.compile(r"\b([0-9]{1,7})-([0-9]{1,7})\b")
_LEAST = 2  # frames that a stack is made of


class Shot(NamedTuple):
    """Frames without a cut between them, by their numbers, both ends among them."""

    first: int
    last: int

    @property
    def frames(self) -> int:
        """The number of frames."""
        return self.last - self.first + 1


def shots_to_text(shots: Sequence[Shot]) -> str:
    """Return shots as people write them: ``1001-1048, 1049-1090``."""
    return ", ".join(f"{shot.first}-{shot.last}" for shot in shots)


def shots_from_text(text: str) -> tuple[Shot, ...]:
    """Return the shots that a sentence with what ``shots_to_text`` wrote names, in their order."""
    return tuple(Shot(int(first), int(last)) for first, last in _SHOT.findall(text))


def shots_of_error(reason: str, hint: str) -> tuple[Shot, ...]:
    """Return the shots that the error of a request names; none where it is about something else."""
    return shots_from_text(hint) if reason == CUT_INSIDE else ()


def split_at_cuts(
    spec: DecomposeSpec, shots: Sequence[Shot]
) -> tuple[tuple[DecomposeSpec, ...], str]:
    """Return a request for each shot, and what is to be said of shots that are left out.

    Boxes and points go to the shot of their frame, words to all; there are no handles, since
    behind a cut is another shot. A shot of a single frame is left out, and so is one of handles
    alone.
    """
    wanted = [shot for shot in shots if _has_wanted(spec, shot)]
    single = [shot for shot in wanted if shot.frames < _LEAST]
    name = spec.name or "footage"
    specs = [
        replace(
            spec,
            subjects=tuple(_hints_of(subject, shot) for subject in spec.subjects),
            first=shot.first,
            last=shot.last,
            handles=0,
            name=f"{name}_{shot_name(number)}",
        )
        for number, shot in enumerate((each for each in wanted if each not in single), 1)
    ]
    left_out = ", ".join(str(shot.first) for shot in single)
    note = f"Left out, since a shot of one frame shows nothing behind it: {left_out}."
    return tuple(specs), note if single else ""


def shot_name(number: int) -> str:
    """Return the name of the folder of a shot, from 1."""
    return f"shot_{number:02d}"


def _has_wanted(spec: DecomposeSpec, shot: Shot) -> bool:
    """Tell whether a shot has a frame that was asked for, and not handles alone."""
    first = shot.first if spec.first is None else spec.first
    last = shot.last if spec.last is None else spec.last
    return shot.first <= last and shot.last >= first


def _hints_of(subject: SubjectSpec, shot: Shot) -> SubjectSpec:
    return replace(
        subject,
        boxes=tuple(box for box in subject.boxes if shot.first <= box.frame <= shot.last),
        points=tuple(point for point in subject.points if shot.first <= point.frame <= shot.last),
    )
