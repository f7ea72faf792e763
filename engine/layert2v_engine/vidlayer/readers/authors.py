"""The two forms that the authors' own training reads, field by field.

A folder per clip with ``full_video.mp4``, ``background.mp4``, ``mask.mp4`` and ``metadata.json``,
whose paths count where a file beside it is missing; or JSON lines with ``vid``, ``entry`` and the
descriptions. A clip has exactly one foreground, and no shadow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layert2v_engine.vidlayer.readers.sample import DataSetError, LayerFiles, SampleFiles

FULL, BACKGROUND, MASK, METADATA = "full_video", "background", "mask", "metadata.json"
_PATH_KEYS = {FULL: "full_video", BACKGROUND: "background_video", MASK: "mask_video"}


class AuthorsFolder:
    """``ROOT/CLIP/{full_video,background,mask}.mp4`` with ``metadata.json``."""

    def __init__(self, root: Path) -> None:
        folders = [each for each in sorted(root.iterdir()) if is_clip_folder(each)]
        self.samples = tuple(_read_folder(folder) for folder in folders)


class AuthorsLines:
    """JSON lines, one clip each; relative paths are seen from the file's folder."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text(encoding="utf-8").splitlines()
        self.samples = tuple(
            _read_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip()
        )


def is_clip_folder(folder: Path) -> bool:
    """Tell whether a folder is a clip of the authors' form."""
    names = (f"{FULL}.mp4", METADATA)
    return folder.is_dir() and any((folder / name).exists() for name in names)


def _read_folder(folder: Path) -> SampleFiles:
    path = folder / METADATA
    metadata = read_object(path, path.read_text(encoding="utf-8")) if path.exists() else {}
    paths, captions = metadata.get("paths") or {}, metadata.get("captions") or {}

    def find(stem: str) -> Path:
        local, stated = folder / f"{stem}.mp4", paths.get(_PATH_KEYS[stem])
        return local if local.exists() or not stated else folder / stated

    return SampleFiles(
        name=folder.name,
        full=find(FULL),
        background=find(BACKGROUND),
        foregrounds=(LayerFiles(matte=find(MASK), caption=captions.get("foreground", "")),),
        caption=captions.get("full", ""),
        background_caption=captions.get("background", ""),
    )


def _read_line(path: Path, number: int, line: str) -> SampleFiles:
    place = f"{path}, line {number}"
    record = read_object(place, line)
    try:
        video, entry = record["vid"], record["entry"]
        matte, background = entry["pha_video_path"], entry["bg_path"]
    except (KeyError, TypeError) as error:
        raise DataSetError(
            f"{place} says no {error}.",
            "A line has vid, entry.pha_video_path and entry.bg_path.",
            reason="LINE_INCOMPLETE",
        ) from error
    caption = record.get("foreground_prompt", "")
    return SampleFiles(
        name=Path(video).stem if Path(video).stem != FULL else Path(video).parent.name,
        full=path.parent / video,
        background=path.parent / background,
        foregrounds=(LayerFiles(matte=path.parent / matte, caption=caption),),
        caption=record.get("overall_description", ""),
        background_caption=record.get("background_prompt", ""),
    )


def read_object(place: object, text: str) -> Mapping[str, Any]:
    """Return the JSON object in ``text``. Raises ``DataSetError``, which names ``place``."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataSetError(f"{place} is no JSON: {error}.", "Write it again.") from error
    if not isinstance(value, dict):
        raise DataSetError(f"{place} is no JSON object.", "Write it again.")
    return value
