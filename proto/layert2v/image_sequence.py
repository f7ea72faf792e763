"""Image sequences: which files of a folder are frames of a plate or a mask, and in which order.

Client and engine follow the same rules. Knows names, not what is in the files.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

IMAGE_SUFFIXES = frozenset((".exr", ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".dpx"))
MOVIE_SUFFIXES = frozenset(
    (".mov", ".mp4", ".m4v", ".mkv", ".webm", ".avi", ".mxf", ".mpg", ".mpeg", ".ts", ".ogv")
) | frozenset((".gif", ".apng", ".dv", ".m2v", ".mts", ".m2ts", ".3gp", ".wmv"))
# The place of the number in a pattern: shot.####.exr, shot.%04d.exr.
_NUMBER_PLACE = re.compile(r"%0?\d*d|#+")

# A minus belongs to a number after a dot or an underscore; elsewhere it is a hyphen.
_NUMBER = re.compile(r"((?:(?<![^._])-)?[0-9]+)")


def is_image(path: PurePath) -> bool:
    """Return whether a name is that of a frame; hidden files are none."""
    return path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")


def is_movie(path: PurePath) -> bool:
    """Return whether a name is that of a movie; hidden files are none."""
    return path.suffix.lower() in MOVIE_SUFFIXES and not path.name.startswith(".")


def is_pattern(path: PurePath) -> bool:
    """Return whether a name has a place for a number, as ``shot.####.exr`` has."""
    return _NUMBER_PLACE.search(path.name) is not None


def find_pattern(pattern: Path) -> list[Path]:
    """Return the visible files that a pattern names, in any order; none where there is no folder.

    Its ending may be in upper or lower case, and letters with accents may be composed (Unicode NFC)
    or not (NFD, as macOS writes them). Raises ``OSError`` for a folder that cannot be read.
    """
    literals = [re.escape(_compose(text)) for text in _NUMBER_PLACE.split(pattern.name)]
    literals[-1] = f"(?i:{literals[-1]})"
    names = re.compile(r"-?[0-9]+".join(literals))
    siblings = pattern.parent.iterdir() if pattern.parent.is_dir() else ()
    return [
        path
        for path in siblings
        if names.fullmatch(_compose(path.name)) and not path.name.startswith(".")
    ]


def find_existing(path: Path) -> Path:
    """Return the file or folder of this name, whichever way its letters are composed.

    ``path`` itself where there is none.
    """
    if path.name.isascii() or path.exists() or not path.parent.is_dir():
        return path
    wanted = _compose(path.name)
    return next((each for each in path.parent.iterdir() if _compose(each.name) == wanted), path)


def sort_naturally(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return paths in the natural order of their names: ``p.9.png`` comes before ``p.10.png``."""
    return tuple(sorted(paths, key=lambda path: (*_split_numbers(path), path.name)))


def sequence_error(paths: Sequence[Path], *, may_have_gaps: bool = False) -> str:
    """Return why files, in natural order, are not one sequence; "" when they are one.

    The names of a sequence differ in one number, which has no gap unless it may.
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
        if step > 1 and not may_have_gaps:
            return f"A frame is missing between {names}."
    return ""


def frame_number(paths: Sequence[Path]) -> int | None:
    """Return the number of the first frame of a sequence, None where its names have none."""
    numbers = frame_numbers((paths[0], paths[-1]))
    return numbers[0] if numbers else None


def frame_numbers(paths: Sequence[Path]) -> tuple[int, ...]:
    """Return the number of each frame of a sequence, nothing where its names have none.

    That is the number that changes, or the last one in the name of a single frame.
    """
    numbers = [_split_numbers(path)[1] for path in paths]
    first, last = numbers[0], numbers[-1]
    if not first:
        return ()
    changing = [place for place, pair in enumerate(zip(first, last)) if pair[0] != pair[1]]
    place = (changing or [len(first) - 1])[-1]
    return tuple(each[place] for each in numbers if place < len(each))


def _split_numbers(path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return the words between the numbers of a name, in lower case, and the numbers."""
    parts = _NUMBER.split(_compose(path.name).lower())
    return tuple(parts[0::2]), tuple(int(part) for part in parts[1::2])


def _compose(name: str) -> str:
    """Return a name with letters and their accents as one character, Unicode's form C."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)
