"""Strict reading of JSON documents: every key is asked for by name and type, the rest is refused.

Knows JSON values and where they stand in the document, not what they mean.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

from layert2v.errors import ContractError

T = TypeVar("T")


def parse(text: str, error: type[ContractError]) -> Any:
    """Parse JSON without its dialects: no repeated keys, no NaN, no Infinity.

    Raises ``error`` with reason ``JSON_INVALID``.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a key appears twice in one object")
        return found

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is not a JSON number")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as problem:
        raise error("JSON_INVALID", f"The text is not valid JSON: {problem}.") from problem


class Fields:
    """One JSON object under strict reading.

    Ask for every key, then call ``done``. ``where`` names the object in messages, such as
    ``layers[0]``; every complaint is raised as ``error``.
    """

    def __init__(self, value: Any, where: str, error: type[ContractError]) -> None:
        self._where = where
        self._error = error
        if not isinstance(value, dict):
            raise error("FIELD_TYPE", f"{where or 'The document'} must be an object.")
        self._left: dict[str, Any] = dict(value)

    def name(self, key: str) -> str:
        """The key with its place in the document."""
        return f"{self._where}.{key}" if self._where else key

    def wrong(self, key: str, expected: str) -> ContractError:
        """The error that says what ``key`` must be."""
        return self._error("FIELD_VALUE", f"{self.name(key)} must be {expected}.")

    def raw(self, key: str) -> Any:
        """The value as it stands."""
        if key not in self._left:
            raise self._error("FIELD_MISSING", f"{self.name(key)} is missing.")
        return self._left.pop(key)

    def text(self, key: str) -> str:
        """A string that UTF-8 can hold."""
        return self._text(self.name(key), self.raw(key))

    def optional_text(self, key: str) -> str | None:
        """A string or null."""
        value = self.raw(key)
        return None if value is None else self._text(self.name(key), value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(self._text(where, item) for where, item in self._items(key))

    def integer(self, key: str) -> int:
        """A whole number; true and false are not numbers here."""
        return self._integer(self.name(key), self.raw(key))

    def optional_integer(self, key: str) -> int | None:
        """A whole number or null."""
        value = self.raw(key)
        return None if value is None else self._integer(self.name(key), value)

    def number(self, key: str) -> float:
        """A finite number."""
        return self._number(self.name(key), self.raw(key))

    def integer_pair(self, key: str) -> tuple[int, int]:
        """A list of two whole numbers."""
        first, second = self._pair(key)
        return self._integer(*first), self._integer(*second)

    def number_pair(self, key: str) -> tuple[float, float]:
        """A list of two finite numbers."""
        first, second = self._pair(key)
        return self._number(*first), self._number(*second)

    def mapping(self, key: str) -> dict[str, Any]:
        """An object with free keys."""
        value = self.raw(key)
        if not isinstance(value, dict):
            raise self._error("FIELD_TYPE", f"{self.name(key)} must be an object.")
        return value

    def integers_by_name(self, key: str) -> dict[str, int]:
        """An object whose values are whole numbers."""
        where = self.name(key)
        return {k: self._integer(f"{where}.{k}", v) for k, v in self.mapping(key).items()}

    def texts_by_name(self, key: str) -> dict[str, tuple[str, ...]]:
        """An object whose values are lists of strings."""
        inner = Fields(self.mapping(key), self.name(key), self._error)
        return {k: inner.texts(k) for k in list(inner._left)}

    def text_by_name(self, key: str) -> dict[str, str]:
        """An object whose values are strings."""
        where = self.name(key)
        return {k: self._text(f"{where}.{k}", v) for k, v in self.mapping(key).items()}

    def truth(self, key: str) -> bool:
        """True or false."""
        value = self.raw(key)
        if not isinstance(value, bool):
            raise self._error("FIELD_TYPE", f"{self.name(key)} must be true or false.")
        return value

    def records(self, key: str, read: Callable[[Fields], T]) -> tuple[T, ...]:
        """A list of objects, each read strictly by ``read``."""
        return tuple(self._record(where, item, read) for where, item in self._items(key))

    def optional_record(self, key: str, read: Callable[[Fields], T]) -> T | None:
        """One object or null."""
        value = self.raw(key)
        return None if value is None else self._record(self.name(key), value, read)

    def done(self) -> None:
        """Refuse whatever was not asked for."""
        if self._left:
            known = ", ".join(sorted(self.name(key) for key in self._left))
            raise self._error(
                "FIELD_UNKNOWN",
                f"Unknown field: {known}.",
                "The document was edited by hand or written by another version.",
            )

    def _record(self, where: str, value: Any, read: Callable[[Fields], T]) -> T:
        inner = Fields(value, where, self._error)
        result = read(inner)
        inner.done()
        return result

    def _items(self, key: str) -> list[tuple[str, Any]]:
        value = self.raw(key)
        if not isinstance(value, list):
            raise self._error("FIELD_TYPE", f"{self.name(key)} must be a list.")
        return [(f"{self.name(key)}[{index}]", item) for index, item in enumerate(value)]

    def _pair(self, key: str) -> list[tuple[str, Any]]:
        items = self._items(key)
        if len(items) != 2:
            raise self.wrong(key, "a list of two numbers")
        return items

    def _text(self, where: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self._error("FIELD_TYPE", f"{where} must be text.")
        try:
            value.encode()
        except UnicodeEncodeError as problem:
            message = f"{where} holds text that is not Unicode."
            raise self._error("FIELD_VALUE", message) from problem
        return value

    def _integer(self, where: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._error("FIELD_TYPE", f"{where} must be a whole number.")
        return value

    def _number(self, where: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._error("FIELD_TYPE", f"{where} must be a number.")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._error("FIELD_VALUE", f"{where} must be a finite number.")
        return number
