"""Image sequences: which files of a folder are frames of a plate or a mask, and in which order.

Client and engine follow the same rules. Knows names, not what is in the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

IMAGE_SUFFIXES = frozenset((".exr", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".dpx"))
MOVIE_SUFFIXES = frozenset(
    (".mov", ".mp4", ".m4v", ".mkv", ".webm", ".avi", ".mxf", ".mpg", ".mpeg", ".ts", ".ogv")
)

# A minus belongs to a number after a dot or an underscore; elsewhere it is a hyphen.
_NUMBER = re.compile(r"((?:(?<![^._])-)?[0-9]+)")


def is_image(path: PurePath) -> bool:
    """Return whether a name is that of a frame; hidden files are none."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def is_movie(path: PurePath) -> bool:
    """Return whether a name is that of a movie; hidden files are none."""
    return path.suffix.lower() in MOVIE_SUFFIXES and not path.name.startswith(".")


def sort_naturally(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return paths in the natural order of their names: ``p.9.png`` comes before ``p.10.png``."""
    return tuple(sorted(paths, key=lambda path: (*_split_numbers(path), path.name)))


def sequence_error(paths: Sequence[Path]) -> str:
    """Return why files, in natural order, are not one sequence; "" when they are one.

    The names of a sequence differ in one number, which has no gap.
    """
    first = paths[0]
    words, start = _split_numbers(first)
    for path in paths:
        if _split_numbers(path)[0] != words:
            return f"{first.name} and {path.name} are not frames of one sequence."
    numbers = [_split_numbers(path)[1] for path in paths]
    changing = [place for place in range(len(start)) if len({each[place] for each in numbers}) > 1]
    if len(paths) > 1 and len(changing) != 1:
        return f"{first.name} and {paths[-1].name} are not frames of one sequence."
    for before, after in zip(range(len(paths)), range(1, len(paths))):
        step = sum(numbers[after]) - sum(numbers[before])
        names = f"{paths[before].name} and {paths[after].name}"
        if step < 1:
            return f"{names} have the same number."
        if step > 1:
            return f"A frame is missing between {names}."
    return ""


def frame_number(paths: Sequence[Path]) -> int | None:
    """Return the number of the first frame of a sequence, None where its names have none.

    That is the number that changes, or the last one in the name of a single frame.
    """
    first, last = (_split_numbers(path)[1] for path in (paths[0], paths[-1]))
    changing = [number for number, other in zip(first, last) if number != other]
    numbers = changing or list(first)
    return numbers[-1] if numbers else None


def _split_numbers(path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the words between the numbers of a name, in lower case, and the numbers."""
    parts = _NUMBER.split(path.name.lower())
    return tuple(parts[0::2]), tuple(int(part) for part in parts[1::2])
