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


def parse(text: str, error_type: type[ContractError]) -> Any:
    """Parse JSON without its dialects: no repeated keys, no NaN, no Infinity.

    Raises ``error_type`` with reason ``JSON_INVALID``.
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
    except (ValueError, RecursionError) as error:
        raise error_type("JSON_INVALID", f"The text is not valid JSON: {error}.") from error


class JsonObject:
    """One JSON object under strict reading.

    Ask for every key, then call ``refuse_unknown``. ``where`` is the object's place in the
    document, such as ``layers[0]``; whatever is wrong is raised as ``error_type``, with reason
    ``FIELD_MISSING``, ``FIELD_TYPE``, ``FIELD_VALUE`` or ``FIELD_UNKNOWN``.
    """

    def __init__(self, value: Any, where: str, error_type: type[ContractError]) -> None:
        self._where = where
        self._error_type = error_type
        if not isinstance(value, dict):
            raise error_type("FIELD_TYPE", f"{where or 'The document'} must be an object.")
        self._left: dict[str, Any] = dict(value)

    def path(self, key: str) -> str:
        """Return the key with its place in the document."""
        return f"{self._where}.{key}" if self._where else key

    def value_error(self, key: str, expected: str) -> ContractError:
        """Return the error that says what ``key`` must be."""
        return self._error_type("FIELD_VALUE", f"{self.path(key)} must be {expected}.")

    def value(self, key: str) -> Any:
        """Return the value as it stands."""
        if key not in self._left:
            raise self._error_type("FIELD_MISSING", f"{self.path(key)} is missing.")
        return self._left.pop(key)

    def text(self, key: str) -> str:
        """Return a string that UTF-8 can hold."""
        return self._text(self.path(key), self.value(key))

    def optional_text(self, key: str) -> str | None:
        """Return a string or None for null."""
        value = self.value(key)
        return None if value is None else self._text(self.path(key), value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings."""
        return tuple(self._text(where, item) for where, item in self._items(key))

    def integer(self, key: str) -> int:
        """Return a whole number; true and false are not numbers here."""
        return self._integer(self.path(key), self.value(key))

    def optional_integer(self, key: str) -> int | None:
        """Return a whole number or None for null."""
        value = self.value(key)
        return None if value is None else self._integer(self.path(key), value)

    def number(self, key: str) -> float:
        """Return a finite number."""
        return self._number(self.path(key), self.value(key))

    def integer_pair(self, key: str) -> tuple[int, int]:
        """Return a pair from a list of two whole numbers."""
        first, second = self._pair(key)
        return self._integer(*first), self._integer(*second)

    def number_pair(self, key: str) -> tuple[float, float]:
        """Return a pair from a list of two finite numbers."""
        first, second = self._pair(key)
        return self._number(*first), self._number(*second)

    def mapping(self, key: str) -> dict[str, Any]:
        """Return an object with free keys."""
        value = self.value(key)
        if not isinstance(value, dict):
            raise self._error_type("FIELD_TYPE", f"{self.path(key)} must be an object.")
        return value

    def integer_map(self, key: str) -> dict[str, int]:
        """Return an object whose values are whole numbers."""
        where = self.path(key)
        return {k: self._integer(f"{where}.{k}", v) for k, v in self.mapping(key).items()}

    def text_list_map(self, key: str) -> dict[str, tuple[str, ...]]:
        """Return an object whose values are lists of strings."""
        inner = JsonObject(self.mapping(key), self.path(key), self._error_type)
        return {k: inner.texts(k) for k in list(inner._left)}

    def text_map(self, key: str) -> dict[str, str]:
        """Return an object whose values are strings."""
        where = self.path(key)
        return {k: self._text(f"{where}.{k}", v) for k, v in self.mapping(key).items()}

    def boolean(self, key: str) -> bool:
        """Return true or false."""
        value = self.value(key)
        if not isinstance(value, bool):
            raise self._error_type("FIELD_TYPE", f"{self.path(key)} must be true or false.")
        return value

    def objects(self, key: str, read: Callable[[JsonObject], T]) -> tuple[T, ...]:
        """Return a list of objects, each read strictly by ``read``."""
        return tuple(self._object(where, item, read) for where, item in self._items(key))

    def optional_object(self, key: str, read: Callable[[JsonObject], T]) -> T | None:
        """Return one object, read strictly by ``read``, or None for null."""
        value = self.value(key)
        return None if value is None else self._object(self.path(key), value, read)

    def refuse_unknown(self) -> None:
        """Raise the error if the object has a key that was not asked for."""
        if self._left:
            known = ", ".join(sorted(self.path(key) for key in self._left))
            raise self._error_type(
                "FIELD_UNKNOWN",
                f"Unknown field: {known}.",
                "The document was edited by hand or written by another version.",
            )

    def _object(self, where: str, value: Any, read: Callable[[JsonObject], T]) -> T:
        inner = JsonObject(value, where, self._error_type)
        result = read(inner)
        inner.refuse_unknown()
        return result

    def _items(self, key: str) -> list[tuple[str, Any]]:
        value = self.value(key)
        if not isinstance(value, list):
            raise self._error_type("FIELD_TYPE", f"{self.path(key)} must be a list.")
        return [(f"{self.path(key)}[{index}]", item) for index, item in enumerate(value)]

    def _pair(self, key: str) -> list[tuple[str, Any]]:
        items = self._items(key)
        if len(items) != 2:
            raise self.value_error(key, "a list of two numbers")
        return items

    def _text(self, where: str, value: Any) -> str:
        if not isinstance(value, str):
            raise self._error_type("FIELD_TYPE", f"{where} must be text.")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            message = f"{where} holds text that is not Unicode."
            raise self._error_type("FIELD_VALUE", message) from error
        return value

    def _integer(self, where: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._error_type("FIELD_TYPE", f"{where} must be a whole number.")
        return value

    def _number(self, where: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._error_type("FIELD_TYPE", f"{where} must be a number.")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self._error_type("FIELD_VALUE", f"{where} must be a finite number.")
        return number
