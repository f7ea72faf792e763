"""Strict reading of JSON documents: every key is asked for by name and type, the rest is refused.

Knows JSON values and where they stand in the document, not what they mean.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any, TypeVar

from layert2v.errors import ContractError
from layert2v.limits import MAX_JSON_DEPTH, MAX_JSON_VALUES, MAX_TEXT_CHARS

T = TypeVar("T")

_MAX_INTEGER = 2**63 - 1
_SHOWN_CHARS = 80  # of a key or an error that quotes the document


def parse(text: str, error_type: type[ContractError]) -> Any:
    """Parse JSON without its dialects: no repeated keys, no NaN, no Infinity.

    Raises ``error_type`` with reason ``JSON_INVALID``, or ``JSON_TOO_LARGE`` before anything is
    built of a text that holds too many values.
    """
    if text.count(",") + text.count("[") + text.count("{") > MAX_JSON_VALUES:
        raise error_type("JSON_TOO_LARGE", f"The text holds more than {MAX_JSON_VALUES} values.")

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
        message = f"The text is not valid JSON: {_shorten(str(error))}."
        raise error_type("JSON_INVALID", message) from error


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
        key = _shorten(key)
        return f"{self._where}.{key}" if self._where else key

    def value_error(self, key: str, expected: str) -> ContractError:
        """Return the error that says what ``key`` must be."""
        return self._error_type("FIELD_VALUE", f"{self.path(key)} must be {expected}.")

    def value(self, key: str) -> Any:
        """Return the value as it stands."""
        if key not in self._left:
            raise self._error_type("FIELD_MISSING", f"{self.path(key)} is missing.")
        return self._left.pop(key)

    def has(self, key: str) -> bool:
        """Tell whether the key is there and was not asked for yet."""
        return key in self._left

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
        """Return an object with free keys, of plain values that JSON can hold again."""
        value = self.value(key)
        if not isinstance(value, dict):
            raise self._error_type("FIELD_TYPE", f"{self.path(key)} must be an object.")
        self._check_free(key, value)
        return value

    def integer_map(self, key: str) -> dict[str, int]:
        """Return an object whose values are whole numbers."""
        where = self.path(key)
        return {k: self._integer(f"{where}.{_shorten(k)}", v) for k, v in self.mapping(key).items()}

    def text_list_map(self, key: str) -> dict[str, tuple[str, ...]]:
        """Return an object whose values are lists of strings."""
        inner = JsonObject(self.mapping(key), self.path(key), self._error_type)
        return {k: inner.texts(k) for k in list(inner._left)}

    def text_map(self, key: str) -> dict[str, str]:
        """Return an object whose values are strings."""
        where = self.path(key)
        return {k: self._text(f"{where}.{_shorten(k)}", v) for k, v in self.mapping(key).items()}

    def boolean(self, key: str) -> bool:
        """Return true or false."""
        value = self.value(key)
        if not isinstance(value, bool):
            raise self._error_type("FIELD_TYPE", f"{self.path(key)} must be true or false.")
        return value

    def objects(self, key: str, read: Callable[[JsonObject], T]) -> tuple[T, ...]:
        """Return a list of objects, each read strictly by ``read``."""
        return tuple(self._object(where, item, read) for where, item in self._items(key))

    def object(self, key: str, read: Callable[[JsonObject], T]) -> T:
        """Return one object, read strictly by ``read``."""
        return self._object(self.path(key), self.value(key), read)

    def optional_object(self, key: str, read: Callable[[JsonObject], T]) -> T | None:
        """Return one object, read strictly by ``read``, or None for null."""
        value = self.value(key)
        return None if value is None else self._object(self.path(key), value, read)

    def refuse_unknown(self) -> None:
        """Raise the error if the object has a key that was not asked for."""
        if self._left:
            known = _shorten(", ".join(sorted(self.path(key) for key in self._left)))
            raise self._error_type(
                "FIELD_UNKNOWN",
                f"Unknown field: {known}.",
                "The document was edited by hand or written by another version.",
            )

    def _check_free(self, key: str, value: dict[str, Any]) -> None:
        """Raise the error if a value of free shape is nested too deeply or cannot be written."""
        where = self.path(key)
        left: list[tuple[Any, int]] = [(value, 1)]
        while left:
            item, depth = left.pop()
            if isinstance(item, str):
                self._text(where, item)
            elif isinstance(item, float):
                self._number(where, item)
            elif isinstance(item, int) and not isinstance(item, bool):
                self._integer(where, item)
            elif isinstance(item, (dict, list)):
                if depth > MAX_JSON_DEPTH:
                    raise self.value_error(key, f"nested at most {MAX_JSON_DEPTH} deep")
                inner = item if isinstance(item, list) else [*item, *item.values()]
                left += [(each, depth + 1) for each in inner]

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
        if len(value) > MAX_TEXT_CHARS:
            message = f"{where} must be at most {MAX_TEXT_CHARS} characters, not {len(value)}."
            raise self._error_type("FIELD_VALUE", message)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            message = f"{where} holds text that is not Unicode."
            raise self._error_type("FIELD_VALUE", message) from error
        return value

    def _integer(self, where: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._error_type("FIELD_TYPE", f"{where} must be a whole number.")
        if abs(value) > _MAX_INTEGER:
            raise self._error_type("FIELD_VALUE", f"{where} must fit 64 bits.")
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


def _shorten(text: str) -> str:
    """Return a text of the document as an error may quote it."""
    plain = text.encode(errors="replace").decode()
    return plain if len(plain) <= _SHOWN_CHARS else f"{plain[:_SHOWN_CHARS]}..."
