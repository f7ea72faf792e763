"""Knobs of the fake: typed, strict, undoable, and dead with their node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakes.fake_nuke.rules import (
    CHANNEL_NAMES,
    FLAGS,
    TYPE_IDS,
    USER_TYPES,
    WRITTEN_FLAGS,
    Forbidden,
    check_value,
    knob_fact,
    runs_code,
)

if TYPE_CHECKING:
    from fakes.fake_nuke.nodes import NodeState


SEVERAL = {"xy": "xy", "bbox": "xyrt"}  # kinds that hold several numbers


class KnobState:
    """What a knob is and holds."""

    def __init__(
        self, app: Any, name: str, kind: str, default: Any, enum: list[str] | None
    ) -> None:
        self.app, self.name, self.kind, self.default, self.enum = app, name, kind, default, enum
        self.value, self.expression, self.owner = default, "", None
        self.constructor, self.label, self.tooltip, self.code = "", "", "", ""
        self.flags = 0

    owner: NodeState | None
    value: Any

    @property
    def where(self) -> str:
        return f"{self.owner.cls if self.owner else '?'}.{self.name}"

    def put(self, value: Any, expression: str = "") -> None:
        """Set with undo."""
        before = (self.value, self.expression)

        def assign(value: Any, expression: str) -> None:
            self.value, self.expression = value, expression

        after = (value, expression)
        self.app.do(lambda: assign(*after), lambda: assign(*before), self.where)


class Knob:
    """A handle on a knob, as scripts have it."""

    def __init__(self, state: KnobState) -> None:
        self._state = state

    def _live(self) -> KnobState:
        self._state.app.require_main_thread(f"knob {self._state.where}")
        if self._state.owner is not None and not self._state.owner.alive:
            raise Forbidden(f"{self._state.where}: the node is gone")
        return self._state

    def name(self) -> str:
        return self._live().name

    def value(self) -> Any:
        state = self._live()
        if state.constructor == "String_Knob" and runs_code(state.value):
            state.app.executed.append(f"{state.where}: {state.value}")
        if state.kind in SEVERAL:  # one number where all are the same, as documented
            return state.value[0] if len(set(state.value)) == 1 else list(state.value)
        return state.app.root_format if state.kind == "format" else state.value

    @property
    def array(self) -> Callable[[], list[float]]:
        """Only several numbers have it here: each of them, where ``value`` may give one."""
        state = self._live()
        if state.kind not in SEVERAL:
            raise AttributeError("array")
        return lambda: list(state.value)

    @property
    def getText(self) -> Callable[[], str]:
        """Only text has it: what is written, where ``value`` gives what Nuke makes of it."""
        state = self._live()
        if state.kind not in ("string", "file"):
            raise AttributeError("getText")
        return lambda: str(state.value)

    def setValue(self, value: Any, index: int | None = None) -> bool:
        state = self._live()
        if (index is not None) != (state.kind in SEVERAL):
            raise Forbidden(f"{state.where} holds {len(SEVERAL.get(state.kind, '1'))} numbers")
        if index is not None:
            numbers = list(state.value)
            numbers[index] = check_value("float", value, None, state.where)
            state.app.changed_knobs.add((state.owner.cls if state.owner else "", state.name))
            state.put(tuple(numbers))
            return True
        if state.owner is not None and state.owner.cls == "Root":
            raise Forbidden(f"the plug-in sets {state.where}")
        state.app.changed_knobs.add((state.owner.cls if state.owner else "", state.name))
        value = check_value(state.kind, value, state.enum, state.where)
        if state.kind in ("channelset", "channel"):
            _check_channel(state, value)
        if state.name in ("label", "file") and runs_code(value):
            state.app.executed.append(f"{state.where}: {value}")
        if state.name in ("label", "file") and state.constructor:
            raise Forbidden(f"{state.where} hides a knob of Nuke")
        if state.name == "colorspace" and state.owner is not None and not state.constructor:
            value = state.app.accepted_colorspace(value)
        state.put(value)
        return True

    def setExpression(self, expression: str) -> bool:
        state = self._live()
        if runs_code(expression):
            state.app.executed.append(f"{state.where}: {expression}")
        state.put(state.value, expression)
        return True

    def hasExpression(self) -> bool:
        return bool(self._live().expression)

    def setFlag(self, flag: int) -> None:
        if flag not in FLAGS.values():
            raise Forbidden(f"no flag {flag}")
        self._live().flags |= flag

    def setTooltip(self, text: str) -> None:
        self._live().tooltip = text

    def values(self) -> list[str]:
        """Return the items of an enumeration."""
        state = self._live()
        if state.kind != "enum":
            raise AttributeError("values")
        return list(state.enum or [])

    def setValues(self, items: list[str]) -> None:
        state = self._live()
        if state.kind != "enum" or not state.constructor:
            raise AttributeError("setValues")
        check_items(items, state.where)
        state.enum = list(items)
        if state.value not in items:
            state.put(items[0])

    def fromUserText(self, text: str) -> None:
        """Do what typing a sequence into a Read's file does."""
        state = self._live()
        if state.owner is None or state.owner.cls != "Read" or state.name != "file":
            raise Forbidden("only a Read's file takes a range")
        path, _, wanted = text.rpartition(" ")
        first, _, last = wanted.partition("-")
        self.setValue(path)
        state.owner.read_first_file(path, int(first), int(last))


def _check_channel(state: KnobState, value: str) -> None:
    known = {"all", "none", "rgb", "rgba", "alpha"}
    known |= {f"{layer}.{c}" for layer, cs in state.app.layers.items() for c in cs}
    if value not in known:
        raise ValueError(f"{state.where}: no channel {value!r}")


def check_items(items: list[str], where: str) -> None:
    """Refuse items that menus draw badly: none, brackets, tabs."""
    if not items or any(not item.isascii() or set(item) & set("<>\t\n") for item in items):
        raise Forbidden(f"{where}: not items for a menu: {items!r}")


def user_knob(app: Any, constructor: str) -> Callable[..., Knob]:
    """Return the constructor of one kind of user knob."""

    def construct(name: str, label: str | None = None, extra: Any = None) -> Knob:
        app.require_main_thread(constructor)
        _, kind, default = USER_TYPES[constructor]
        state = KnobState(app, name, kind, default, None)
        state.constructor, state.label = constructor, label or ""
        if constructor == "Enumeration_Knob":
            check_items(list(extra or []), name)
            state.enum, state.value = list(extra), extra[0]
            state.default = extra[0]
        elif constructor == "PyScript_Knob":
            state.code = extra or ""
        elif extra is not None:
            state.value = check_value(kind, extra, None, name)
        return Knob(state)

    return construct


def class_knob(app: Any, owner: NodeState, name: str) -> KnobState | None:
    """Return a knob that the node's class has; None where it has none."""
    file_type = owner.knobs["file_type"].value if "file_type" in owner.knobs else ""
    fact = knob_fact(owner.cls, name, file_type)
    if fact is None:
        return None
    enum = fact.get("enum")
    kind, default = fact["type"], fact["default"]
    if name == "colorspace":
        enum = None  # a list of the project's, see accepted_colorspace
    if kind == "enum" and name == "file_type":
        enum = ["", "exr", "png", "jpeg"]
    if kind == "int" and not isinstance(default, int):
        default = 0
    if kind in ("color4", "float", "wh"):
        default = float(default or 0)
    state = KnobState(app, name, kind, default, enum)
    state.owner = owner
    return state


def definition(state: KnobState) -> tuple[Any, ...]:
    """Return a user knob without its value, as far as a script keeps it."""
    flags = [flag for flag in WRITTEN_FLAGS if state.flags & FLAGS[flag]]
    items = tuple(state.enum or ()) if state.kind == "enum" else ()
    type_id = TYPE_IDS[USER_TYPES[state.constructor][0]]
    return (type_id, state.name, state.label, state.code, items, frozenset(flags))


def exr_size(path: Path) -> tuple[int, int, float] | None:
    """Width, height and pixel aspect from an EXR file's header; None where it is none."""
    import struct

    data = path.read_bytes()[:4096]
    if data[:4] != b"\x76\x2f\x31\x01":
        return None
    data = data[8:]
    found: dict[str, bytes] = {}
    while data[0]:
        name, data = data.split(b"\0", 1)
        _, data = data.split(b"\0", 1)
        size = struct.unpack("<i", data[:4])[0]
        found[name.decode()], data = data[4 : 4 + size], data[4 + size :]
    x, y, right, top = struct.unpack("<4i", found["displayWindow"])
    return right - x + 1, top - y + 1, struct.unpack("<f", found["pixelAspectRatio"])[0]


__all__ = ["CHANNEL_NAMES", "Knob", "KnobState", "class_knob", "definition", "user_knob"]
