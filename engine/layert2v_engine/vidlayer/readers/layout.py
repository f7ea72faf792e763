"""Any other set of layered video, by a small file that says where its layers lie.

``layout.toml`` in the set's folder has a pattern per layer, in which ``{clip}`` stands for the name
of a clip, which may have slashes::

    full = "composite/{clip}.mp4"
    background = "source/{clip}.mp4"
    matte = "alpha/{clip}.mp4"
    color = "edit/{clip}.mp4"                # optional; straight color
    shadow = "shadow/{clip}.mp4"             # optional
    light = "light/{clip}.mp4"               # optional; what it adds to the background
    caption = "prompt/{clip}.txt"            # optional, and so are the two others
    foreground_caption = "prompt/{clip}.fg.txt"
    background_caption = "prompt/{clip}.bg.txt"

Every file that fits the pattern of ``full`` is a clip. It has one foreground.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from layert2v_engine.vidlayer.readers.sample import DataSetError, LayerFiles, SampleFiles

LAYOUT = "layout.toml"
_CLIP = "{clip}"
_NEEDED = ("full", "background", "matte")
_OPTIONAL = ("color", "shadow", "light", "caption", "foreground_caption", "background_caption")


class LayoutDataSet:
    """The clips below a folder with ``layout.toml``. Raises ``DataSetError``."""

    def __init__(self, root: Path) -> None:
        self._root, self._patterns = root, _read_patterns(root / LAYOUT)
        before, _, after = self._patterns["full"].partition(_CLIP)
        name_of = re.compile(re.escape(before) + "(.+)" + re.escape(after))
        matches = (
            name_of.fullmatch(path.relative_to(root).as_posix())
            for path in sorted(root.rglob("*"))
            if path.is_file()
        )
        self.samples = tuple(self._sample(match[1]) for match in matches if match)

    def _sample(self, clip: str) -> SampleFiles:
        matte = self._path("matte", clip)
        assert matte is not None  # noqa: S101 - _read_patterns requires it
        layer = LayerFiles(
            matte=matte,
            caption=self._text("foreground_caption", clip),
            color=self._path("color", clip),
            shadow=self._path("shadow", clip),
            light=self._path("light", clip),
        )
        return SampleFiles(
            name=clip,
            full=self._root / self._patterns["full"].replace(_CLIP, clip),
            background=self._root / self._patterns["background"].replace(_CLIP, clip),
            foregrounds=(layer,),
            caption=self._text("caption", clip),
            background_caption=self._text("background_caption", clip),
        )

    def _path(self, key: str, clip: str) -> Path | None:
        pattern = self._patterns.get(key)
        return self._root / pattern.replace(_CLIP, clip) if pattern else None

    def _text(self, key: str, clip: str) -> str:
        path = self._path(key, clip)
        if path is None:
            return ""
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DataSetError(
                f"Clip {clip} has no {key}: {path} cannot be read.",
                f"Write the file, or take {key} out of {LAYOUT}.",
                reason="CAPTION_MISSING",
            ) from error


def _read_patterns(path: Path) -> dict[str, str]:
    try:
        patterns = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataSetError(f"{path} cannot be read: {error}.", "Correct the file.") from error
    for key in _NEEDED:
        if key not in patterns:
            raise DataSetError(
                f"{path} does not say where {key} is.", f'Add {key} = "...{_CLIP}..."'
            )
    for key, pattern in patterns.items():
        if key not in (*_NEEDED, *_OPTIONAL):
            raise DataSetError(
                f"{path} has {key}, which is no layer.",
                f"There are {', '.join((*_NEEDED, *_OPTIONAL))}.",
            )
        if not isinstance(pattern, str) or pattern.count(_CLIP) != 1:
            raise DataSetError(f"{path}: {key} is no pattern with {_CLIP} once.", "Correct it.")
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise DataSetError(f"{path}: {key} leads out of the folder.", "Correct it.")
    return patterns
