"""Previews of running requests, as icons for the panel."""

from __future__ import annotations

import bpy.utils.previews

_icons: bpy.utils.previews.ImagePreviewCollection | None = None


def load_icon(name: str, path: str) -> None:
    """Load the image at ``path`` as the newest preview of ``name``."""
    if _icons is not None:
        _icons.pop(name, None)
        _icons.load(name, path, "IMAGE", True)  # from disk, even if the name was known


def icon_id(name: str) -> int:
    """Return the icon of the newest preview; 0 if there is none."""
    return _icons[name].icon_id if _icons is not None and name in _icons else 0


def register() -> None:
    global _icons
    _icons = bpy.utils.previews.new()


def unregister() -> None:
    global _icons
    bpy.utils.previews.remove(_icons)
    _icons = None
