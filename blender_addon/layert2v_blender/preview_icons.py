"""First looks at unfinished work, as icons for the panel."""

from __future__ import annotations

import bpy.utils.previews

_icons: bpy.utils.previews.ImagePreviewCollection | None = None


def show(name: str, path: str) -> None:
    """Take the picture at ``path`` as the newest look at ``name``."""
    if _icons is not None:
        _icons.pop(name, None)
        _icons.load(name, path, "IMAGE", True)  # from disk, also where the name was known


def icon(name: str) -> int:
    """The icon of the newest look; 0 where there is none."""
    return _icons[name].icon_id if _icons is not None and name in _icons else 0


def register() -> None:
    global _icons
    _icons = bpy.utils.previews.new()


def unregister() -> None:
    global _icons
    bpy.utils.previews.remove(_icons)
    _icons = None
