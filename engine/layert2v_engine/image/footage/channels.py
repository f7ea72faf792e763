"""Which part and which channels of an image file are its picture.

Multi-part and multi-layer files are told apart by their names, as other tools write them: Nuke
``red``, Blender ``ViewLayer.Combined.R``, parts called ``rgba``. Knows names, not pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_LETTERS = {"red": "r", "green": "g", "blue": "b", "alpha": "a"}
# Layers and parts that are the picture itself and no pass of it.
_MAIN = ("", "rgba", "rgb", "beauty", "combined", "composite", "main", "image", "color")
_VIEWS = ("left", "right")
_GREYS = ("y", "l", "i", "gray", "grey", "luma")


class Picture(NamedTuple):
    """The channels of a picture in their file: part number, color (1 or 3), alpha or None.

    ``layer`` is its name, ``others`` are the names of further pictures in the file. ``view`` is its
    view where there are several, such as left, ``views`` are the others. Without ``color`` it is a
    matte held in alpha.
    """

    part: int
    color: tuple[int, ...]
    alpha: int | None
    layer: str = ""
    others: tuple[str, ...] = ()
    view: str = ""
    views: tuple[str, ...] = ()


def find_picture(
    parts: Sequence[tuple[str, Sequence[str]]], views: Sequence[str] = ()
) -> Picture | str:
    """Return the picture among ``parts``, each a name and its channels; else what is there instead.

    The main picture goes before passes. A file with several passes and no main picture has none.
    ``views`` are those that the file states, the main one first; of several the first is taken.
    """
    known_views = tuple(dict.fromkeys((*map(str.lower, views), *_VIEWS)))
    found: list[Picture] = []
    for number, (part, channels) in enumerate(parts):
        layers: dict[str, dict[str, int]] = {}
        for index, channel in enumerate(channels):
            prefix, _, last = channel.rpartition(".")
            layer = prefix or (part if len(parts) > 1 else "")
            letter = _LETTERS.get(last.lower(), last.lower())
            layers.setdefault(layer, {}).setdefault(letter, index)
        found += [
            picture
            for layer, letters in layers.items()
            if (picture := _to_picture(number, layer, letters, len(channels))) is not None
        ]
    found = [each._replace(view=_view(each.layer, known_views)) for each in found]
    main = [each for each in found if _is_main(each)]
    # The view that has no name in its channels is the main one.
    main.sort(key=lambda each: known_views.index(each.view) if each.view else -1)
    candidates = main or found
    if len(candidates) == 1 or main:
        chosen = candidates[0]
        others = [each for each in found if each is not chosen]
        seen = [each.view for each in others if each.view and _is_main(each)]
        return chosen._replace(others=tuple(each.layer for each in others), views=tuple(seen))
    names = ", ".join(each.layer for each in found) if found else _list_channels(parts)
    return names or "nothing"


def _view(layer: str, views: Sequence[str]) -> str:
    """Return the view that a layer's name begins or ends with, "" for none."""
    words = layer.lower().split(".")
    return next((word for word in (words[-1], words[0]) if word in views), "")


def _is_main(picture: Picture) -> bool:
    words = picture.layer.lower().split(".")
    if picture.view and len(words) > 1 and words[0] == picture.view:
        words = words[1:]
    elif picture.view:
        words = words[:-1]
    return (words[-1] if words else "") in _MAIN


def _to_picture(part: int, layer: str, letters: dict[str, int], count: int) -> Picture | None:
    alpha = letters.get("a")
    if {"r", "g", "b"} <= letters.keys():
        return Picture(part, tuple(letters[each] for each in "rgb"), alpha, layer)
    greys = [letters[each] for each in _GREYS if each in letters]
    if greys and len(letters) - ("a" in letters) == 1 and count <= 2:
        return Picture(part, (greys[0],), alpha, layer)
    if alpha is not None and count == 1:
        return Picture(part, (), alpha, layer)
    return None


def _list_channels(parts: Sequence[tuple[str, Sequence[str]]]) -> str:
    return ", ".join(channel for _, channels in parts for channel in channels)
