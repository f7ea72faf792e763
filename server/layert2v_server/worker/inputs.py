"""The inputs of a job on disk: ``inputs/KEY`` of its source folder, by their keys."""

from __future__ import annotations

from pathlib import Path

from layert2v.image_sequence import is_movie


def input_folders(source: Path) -> dict[str, Path]:
    """Return the folders of the inputs."""
    return {path.name: path for path in source.glob("inputs/*")}


def footage_paths(source: Path) -> dict[str, Path]:
    """Return the inputs as footage: the movie that is alone in a folder, else the folder."""
    return {key: _movie_in(folder) or folder for key, folder in input_folders(source).items()}


def _movie_in(folder: Path) -> Path | None:
    files = [*folder.iterdir()]
    return files[0] if len(files) == 1 and is_movie(files[0]) else None
