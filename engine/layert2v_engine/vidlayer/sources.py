"""Where clips come from: the files of a source, its licence, and who says so."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from layert2v import image_sequence
from layert2v_engine.errors import EngineError
from layert2v_engine.image.footage.stills import find_images

SOURCES_FILE = "sources.toml"
_FEWEST = 2  # images that are a sequence; one alone is a poster or a thumbnail


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A video, with what ``sources.toml`` says of it: a file, or a folder of numbered images."""

    path: Path
    group: str  # clips of one group are never in two splits
    licence: str = ""
    provenance: str = ""


def find_sources(
    places: list[Path], *, allow_unlicensed: bool, without: Path | None = None
) -> list[Source]:
    """Return all videos at ``places``, in a fixed order, but for those in the folder ``without``.

    A place is a file, a folder, or a pattern of images such as ``shot.####.png``. A folder with
    several images is one video. A folder's ``sources.toml`` has a table per file or sub-folder with
    ``licence`` and ``provenance``; ``["."]`` is for all that has no table of its own. Raises
    ``EngineError`` where a place does not exist or there is no video, and where one has no licence
    unless ``allow_unlicensed``.
    """
    found: dict[Path, Source] = {}
    for place in places:
        root = place if place.is_dir() else place.parent
        tables = _read_tables(root)
        for path in _videos(place, without):
            name = path.relative_to(root)
            group, table = _find_table(tables, name)
            found[path] = Source(
                path=path,
                group=f"{root.name}/{group}" if group else path.stem,
                licence=str(table.get("licence", "")),
                provenance=str(table.get("provenance", "")),
            )
    if not found:
        raise EngineError(
            "There is no video in " + ", ".join(map(str, places)) + ".",
            "Give movies, folders of movies or of numbered images, or a pattern such as "
            "shot.####.png.",
            reason="NO_SOURCES",
        )
    unlicensed = [source.path for source in found.values() if not source.licence]
    if unlicensed and not allow_unlicensed:
        raise EngineError(
            f"{len(unlicensed)} of {len(found)} videos have no licence, such as {unlicensed[0]}.",
            f"Write {SOURCES_FILE} beside them, or give --allow-unlicensed.",
            reason="UNLICENSED",
        )
    return [found[path] for path in sorted(found)]


def _videos(place: Path, without: Path | None) -> list[Path]:
    if place.is_file() or (image_sequence.is_pattern(place) and find_images(place)):
        return [place]
    if not place.is_dir():
        raise EngineError(
            f"There is no {place}.", "Correct the name of the video or folder.", reason="NO_SOURCES"
        )
    within = [place, *place.rglob("*")]
    if without is not None:
        within = [each for each in within if not each.resolve().is_relative_to(without.resolve())]
    return sorted(each for each in within if _is_video(each))


def _is_video(path: Path) -> bool:
    if path.is_dir():
        return len(find_images(path)) >= _FEWEST
    return image_sequence.is_movie(path)


def _read_tables(root: Path) -> dict[str, dict[str, object]]:
    path = root / SOURCES_FILE
    if not path.exists():
        return {}
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EngineError(f"{path} cannot be read: {error}.", "Correct the file.") from error
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise EngineError(
                f"{path}: {name} stands in no table.",
                'Write ["."] above it for all videos, or the name of a file or folder.',
                reason="BAD_SOURCES",
            )
        if not (root / name).exists() and not image_sequence.is_pattern(Path(name)):
            raise EngineError(
                f"{path} has a table for {name}, which is not beside it.",
                "Correct the name, or remove the table.",
                reason="BAD_SOURCES",
            )
    return tables


def _find_table(tables: dict[str, dict[str, object]], name: Path) -> tuple[str, dict[str, object]]:
    """Return the table of the file or of the nearest folder above it, and its name."""
    for each in (name, *name.parents):
        if (key := each.as_posix()) in tables:
            return ("" if key == "." else key), tables[key]
    return "", {}
