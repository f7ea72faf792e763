"""Saving and loading projects of the fake: only what differs from the defaults, as Nuke does it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fakes import nk_reader
from fakes.fake_nuke.app import FakeNuke
from fakes.fake_nuke.knobs import SEVERAL, definition, user_knob
from fakes.fake_nuke.nodes import NodeState
from fakes.fake_nuke.rules import FLAGS, TYPE_IDS, USER_TYPES, Forbidden

ESCAPED = {c: f"\\{c}" for c in '"\\[]{}$'} | {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
CONSTRUCTORS = {TYPE_IDS[kind]: name for name, (kind, _, _) in USER_TYPES.items()}
NUMBERS = ("int", "rgba32", "float", "wh", "color4")


def save(app: FakeNuke) -> str:
    """Return the project as a script."""
    lines = ["version 15.0 v4"]
    lines += [
        f"add_layer {{{name} {' '.join(f'{name}.{c}' for c in channels)}}}"
        for name, channels in app.layers.items()
        if name != "rgba"
    ]
    return "\n".join([*lines, *_nodes(app._root.children, "N0_")]) + "\n"


def load(app: FakeNuke, text: str) -> None:
    """Read a script into the project; strict about classes, knobs and values."""
    script = nk_reader.read(text)
    for name, channels in script.layers.items():
        app.Layer(name, list(channels))
    app.Undo.disable()
    _load_nodes(app, [node for node in script.nodes if node.cls != "Root"])
    app.Undo.enable()
    app.modified = False


def reopen(app: FakeNuke, text: str) -> None:
    """Open a script in a running session, as an artist does."""
    app.close_script()
    load(app, text)
    app.script_loaded()


def _load_nodes(app: FakeNuke, nodes: list[nk_reader.Node]) -> None:
    made: dict[int, Any] = {}
    for node in nodes:
        handle = made[id(node)] = app.make(node.cls, node.name, call_back=False)
        state: NodeState = handle._state
        for user in node.user_knobs:
            _add_user_knob(app, handle, user)
        if node.cls == "Read" and "file_type" in node.knobs:
            _set(app, state, "file_type", node.knobs["file_type"])
        for name, word in node.knobs.items():
            if name != "name":
                _set(app, state, name, word)
        if node.nodes:
            with handle:
                _load_nodes(app, node.nodes)
        for number, source in enumerate(node.inputs):
            if source is not None:
                handle.setInput(number, made[id(source)])
        app.call_back("create", state)


def _add_user_knob(app: FakeNuke, handle: Any, user: nk_reader.UserKnob) -> None:
    constructor = CONSTRUCTORS[user.type_id]
    extra: Any = None
    if constructor == "Enumeration_Knob":
        extra = list(user.items)
    elif constructor in ("PyScript_Knob", "Text_Knob"):
        extra = user.code
    knob = user_knob(app, constructor)(user.name, user.label, extra)
    for flag in user.flags:
        knob.setFlag(FLAGS[flag])
    handle.addKnob(knob)


def _set(app: FakeNuke, state: NodeState, name: str, word: nk_reader.Word) -> None:
    knob = state.knob(name)
    if knob is None:
        raise RuntimeError(f"{state.cls}: no such knob {name}")
    if knob.kind == "matrix3":
        knob.put(tuple(map(float, word.text.replace("{", " ").replace("}", " ").split())))
        return
    if word.kind == "braced" and word.text.startswith("{"):
        knob.put(knob.value, word.text.strip("{}"))
        return
    text: Any = word.text
    if knob.kind in SEVERAL or (knob.kind == "color4" and word.kind == "braced"):
        knob.put(tuple(map(float, word.text.split())))
        return
    if knob.kind == "bool":
        text = {"true": True, "false": False}[text]
    elif knob.kind in ("int", "rgba32"):
        text = int(text, 0)
    elif knob.kind in ("float", "wh", "color4"):
        text = float(text)
    if knob.kind == "format":
        knob.put(text)
        return
    from fakes.fake_nuke.knobs import Knob

    Knob(knob).setValue(text)


def _nodes(states: list[NodeState], prefix: str) -> Iterator[str]:
    living = [state for state in states if state.alive]
    order = sorted(living, key=lambda one: _depth(one, set()))
    number = {id(state): index for index, state in enumerate(order)}
    for state in order:
        for source in reversed(state.inputs):
            gone = source is None or not source.alive
            yield "push 0" if gone else f"push ${prefix}{number[id(source)]}"
        yield f"{state.cls} {{"
        yield f" inputs {len(state.inputs)}"
        yield f" name {state.name}"
        yield from _user_knobs(state)
        for knob in state.knobs.values():
            if knob.kind == "none" or (knob.constructor == "Text_Knob"):
                continue
            if knob.expression:
                yield f" {knob.name} {{{{{knob.expression}}}}}"
            elif knob.value != knob.default:
                yield f" {knob.name} {_text(knob.kind, knob.value)}"
        yield "}"
        if state.cls == "Group":
            yield from _nodes(state.children, f"N{int(prefix[1:-1]) + 1}_")
            yield "end_group"
        yield f"set {prefix}{number[id(state)]} [stack 0]"


def _user_knobs(state: NodeState) -> Iterator[str]:
    for knob in state.user_knobs():
        type_id, name, label, code, items, flags = definition(knob)
        parts = [str(type_id), name] + (["l", _quote(label)] if label else [])
        parts += [f"+{flag}" for flag in sorted(flags)]
        parts += ["M", "{" + " ".join(map(_quote, items)) + "}"] if items else []
        text = knob.value if knob.constructor == "Text_Knob" else code
        parts += ["T", _quote(text)] if text else []
        yield f" addUserKnob {{{' '.join(parts)}}}"


def _depth(state: NodeState, seen: set[int]) -> int:
    if id(state) in seen:
        raise Forbidden("the graph has a circle")
    sources = [one for one in state.inputs if one is not None and one.alive]
    return 1 + max((_depth(one, {*seen, id(state)}) for one in sources), default=0)


def _text(kind: str, value: Any) -> str:
    if kind == "bool":
        return "true" if value else "false"
    if kind == "matrix3":
        rows = (" ".join(map(repr, value[k : k + 3])) for k in (0, 3, 6))
        return "{{" + "} {".join(rows) + "}}"
    if isinstance(value, tuple):
        return "{" + " ".join(map(repr, value)) + "}"
    if kind in NUMBERS:
        return repr(value)
    return _quote(value)


def _quote(text: str) -> str:
    return '"' + "".join(ESCAPED.get(c, c) for c in text) + '"'
