"""Text that somebody else wrote, as a terminal or a host may show it."""

from __future__ import annotations

import unicodedata

_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_KEPT = frozenset("\n\t\u200d\ufe0f")  # line ends, and what joins emoji


def plain_text(text: str) -> str:
    """Return ``text`` with characters that control a terminal or the order of letters replaced.

    Escape sequences could clear a screen or retitle a window, and marks of direction make one word
    look like another. Letters of every script stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        "\ufffd" if char not in _KEPT and unicodedata.category(char) in _HIDDEN else char
        for char in text
    )


def plain_line(text: str) -> str:
    """Return ``plain_text`` in one line."""
    return " ".join(plain_text(text).split())


def is_unicode(text: str) -> bool:
    """Return whether UTF-8 can hold ``text``: arguments of a command may come as other bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
