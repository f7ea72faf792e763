"""Text in Nuke's language: what an artist types stays text and is never run.

Scripts are TCL, and labels and file paths are expanded by Nuke, so that ``[python ...]`` in them
would run. Three ways out, and no fourth: quote (scripts), replace (labels), refuse (paths).
"""

from __future__ import annotations

import re
from pathlib import Path

from layert2v.plain_text import plain_text
from layert2v_nuke.errors import BadPath

_BARE = re.compile(r"[A-Za-z0-9_./:%+-]+")
_ESCAPES = {**{c: f"\\{c}" for c in '\\"[]{}$'}, "\n": "\\n", "\t": "\\t"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LOOKALIKES = str.maketrans(
    {"[": "(", "]": ")", "{": "(", "}": ")", "<": "(", ">": ")",
     "$": "S", "\\": "/", '"': "'", "&": "+", "\n": " ", "\t": " "}
)  # fmt: skip
_UNSAFE_IN_PATHS = re.compile(r"[\[\]{}$\\\"#%`;<>|*?\x00-\x1f\x7f]")


def strip_controls(text: str) -> str:
    """Return the text without control characters; line ends become newlines."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def quote(text: str) -> str:
    """Return one TCL word that reads back as ``strip_controls(text)`` and substitutes nothing."""
    if _BARE.fullmatch(text):
        return text
    return '"' + "".join(_ESCAPES.get(c, c) for c in strip_controls(text)) + '"'


def safe_label(text: str, limit: int = 300) -> str:
    """Return the text for a label or status line, which Nuke expands as TCL and draws as HTML."""
    escaped = plain_text(_CONTROL.sub("", text)).translate(_LOOKALIKES)
    return escaped if len(escaped) <= limit else escaped[: limit - 3] + "..."


def safe_path(path: Path) -> str:
    """Return the path with forward slashes. Raises ``BadPath`` where Nuke would run parts of it."""
    text = path.as_posix()
    found = _UNSAFE_IN_PATHS.search(text)
    if found:
        raise BadPath(
            "PATH_HAS_CODE",
            f"Nuke reads the character {found[0]!r} in the path {text} as code.",
            "Move the stack to a folder whose name has letters, digits, spaces, dots and dashes.",
        )
    return text
