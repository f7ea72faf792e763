"""Text in Nuke's language: prompts stay prompts, whatever is in them.

Scripts are TCL, and labels and file paths are expanded by Nuke, so that ``[python ...]`` in them
would run. Three ways out, and no fourth: quote (scripts), replace (labels), refuse (paths).
"""

from __future__ import annotations

import re
from pathlib import Path

from layert2v_nuke.errors import BadPath

_BARE = re.compile(r"[A-Za-z0-9_./:%+-]+")
_ESCAPES = {**{c: f"\\{c}" for c in '\\"[]{}$'}, "\n": "\\n", "\t": "\\t"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LOOKALIKES = str.maketrans(
    {"[": "(", "]": ")", "{": "(", "}": ")", "<": "(", ">": ")",
     "$": "S", "\\": "/", '"': "'", "&": "+", "\n": " ", "\t": " "}
)  # fmt: skip
_CODE_IN_PATHS = re.compile(r"[\[\]{}$\\\"#%`;<>|*?\x00-\x1f\x7f]")


def clean(text: str) -> str:
    """The text without control characters; line ends become newlines."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def word(text: str) -> str:
    """One TCL word that reads back as ``clean(text)`` and substitutes nothing."""
    if _BARE.fullmatch(text):
        return text
    return '"' + "".join(_ESCAPES.get(c, c) for c in clean(text)) + '"'


def label(text: str, limit: int = 300) -> str:
    """The text for a label or a status line, which Nuke expands as TCL and draws as HTML."""
    shown = _CONTROL.sub("", text).translate(_LOOKALIKES)
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def path(place: Path) -> str:
    """The path with forward slashes. Raises ``BadPath`` where Nuke would read code in it."""
    text = place.as_posix()
    found = _CODE_IN_PATHS.search(text)
    if found:
        raise BadPath(
            "PATH_HAS_CODE",
            f"Nuke reads the character {found[0]!r} in the path {text} as code.",
            "Move the stack to a folder whose name has letters, digits, spaces, dots and dashes.",
        )
    return text
