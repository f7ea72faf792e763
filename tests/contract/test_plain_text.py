"""Text of others: what controls a terminal is replaced, letters stay."""

from __future__ import annotations

import pytest

from layert2v.plain_text import is_unicode, plain_line, plain_text


@pytest.mark.parametrize(
    "text", ["a fox", "ein Fuchs läuft, 狐が走る", "شجرة", "two\nlines\tand a tab", "👩‍🚀 ❤️", ""]
)
def test_letters_stay(text: str) -> None:
    assert plain_text(text) == text


@pytest.mark.parametrize(
    "char", ["\x1b", "\x07", "\r", "\x00", "\x9b", "\u202e", "\u2066", "\u200f", "\ud800", "\u2028"]
)
def test_control_characters_are_replaced(char: str) -> None:
    assert plain_text(f"a{char}b") == "a\ufffdb"


def test_lines_are_joined() -> None:
    assert plain_line(" a\nfox\x1b[2J\t runs ") == "a fox\ufffd[2J runs"


def test_what_utf8_cannot_hold() -> None:
    assert is_unicode("狐")
    assert not is_unicode("\udcff")
