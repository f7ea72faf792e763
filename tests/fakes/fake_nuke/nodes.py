"""Nodes of the fake: known classes and inputs only, and no handle outlives its node."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fakes.fake_nuke.knobs import Knob, KnobState, class_knob, definition, exr_size
from fakes.fake_nuke.rules import INPUTS, Forbidden


class NodeState:
    """What a node is."""

    def __init__(self, app: Any, cls: str, name: str, parent: NodeState | None) -> None:
        self.app, self.cls, self.name, self.parent = app, cls, name, parent
        self.alive, self.selected, self.place = True, False, (0, 0)
        self.knobs: dict[str, KnobState] = {}
        self.inputs: list[NodeState | None] = []
        self.children: list[NodeState] = []

    def knob(self, name: str) -> KnobState | None:
        if name not in self.knobs:
            known = class_knob(self.app, self, name)
            if known is None or (name in ("name", "selected") and self.cls != "Root"):
                return None
            self.knobs[name] = known
        return self.knobs[name]

    def user_knobs(self) -> list[KnobState]:
        return [knob for knob in self.knobs.values() if knob.constructor]

    def read_first_file(self, path: str, first: int, last: int) -> None:
        """Set range and format from the first file, as a Read does."""
        values: dict[str, Any] = {
            "first": first, "last": last, "origfirst": first, "origlast": last, "origset": True,
            "file_type": Path(path).suffix.removeprefix("."),
        }  # fmt: skip
        opened = Path(path % first)
        size = exr_size(opened) if opened.exists() else None
        if size is not None:
            width, height, aspect = size
            values["format"] = f"{width} {height} 0 0 {width} {height} {aspect:g} "
        for name, value in values.items():
            knob = self.knob(name)
            assert knob is not None
            knob.put(value)

    def full_name(self) -> str:
        above = self.parent
        return (
            self.name
            if above is None or above.cls == "Root"
            else f"{above.full_name()}.{self.name}"
        )

    def max_inputs(self) -> int:
        if self.cls != "Group":
            return INPUTS[self.cls]
        return sum(child.alive and child.cls == "Input" for child in self.children)

    def dump(self) -> dict[str, Any]:
        """Return everything that a script keeps, in a form to compare."""
        knobs = {
            knob.name: f"={knob.expression}" if knob.expression else knob.value
            for knob in self.knobs.values()
            if knob.expression or (knob.kind != "none" and knob.value != knob.default)
        }
        return {
            "class": self.cls,
            "knobs": knobs,
            "user knobs": [definition(knob) for knob in self.user_knobs()],
            "inputs": self.input_names(),
            "nodes": {child.name: child.dump() for child in self.children if child.alive},
        }

    def input_names(self) -> list[str | None]:
        """Return the names by input number, without open inputs at the end."""
        names = [one.name if one is not None and one.alive else None for one in self.inputs]
        while names and names[-1] is None:
            names.pop()
        return names


class Node:
    """A handle on a node, as scripts have it."""

    def __init__(self, state: NodeState) -> None:
        self._state = state
        self._generation = state.app.generations.get(id(state), 0)

    def _live(self) -> NodeState:
        state = self._state
        state.app.require_main_thread(f"node {state.name}")
        if not state.alive or self._generation != state.app.generations.get(id(state), 0):
            raise Forbidden(f"{state.cls} {state.name} is gone; a handle must not be kept")
        return state

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node) and self._state is other._state

    def __hash__(self) -> int:
        return id(self._state)

    def __getitem__(self, name: str) -> Knob:
        found = self.knob(name)
        if found is None:
            raise NameError(f"knob {name} does not exist")
        return found

    def knob(self, name: str) -> Knob | None:
        state = self._live().knob(name)
        return None if state is None else Knob(state)

    def knobs(self) -> dict[str, Knob]:
        return {name: Knob(state) for name, state in self._live().knobs.items()}

    def Class(self) -> str:
        return self._live().cls

    def name(self) -> str:
        return self._live().name

    def fullName(self) -> str:
        return self._live().full_name()

    def setName(self, name: str, uncollide: bool = True) -> None:
        state = self._live()
        if not name.isidentifier():
            raise ValueError(f"{name!r} is no name for a node")
        before, wanted = state.name, state.app.unique_name(name, state.parent, state)
        if wanted != name and not uncollide:
            raise ValueError(f"{name} is taken")
        state.app.do(
            lambda: setattr(state, "name", wanted), lambda: setattr(state, "name", before), "name"
        )

    def addKnob(self, knob: Knob) -> None:
        state, added = self._live(), knob._state
        if added.owner is not None or not added.constructor:
            raise Forbidden(f"{added.name} has a node already")
        if state.cls in ("Root", "Viewer") or state.knob(added.name) is not None:
            raise Forbidden(f"{state.cls} has a knob {added.name} already")
        added.owner = state
        state.app.do(
            lambda: state.knobs.__setitem__(added.name, added),
            lambda: state.knobs.pop(added.name),
            "add knob",
        )

    def removeKnob(self, knob: Knob) -> None:
        state, gone = self._live(), knob._state
        if gone.owner is not state or not gone.constructor:
            raise Forbidden(f"{gone.name} is no user knob of {state.name}")
        before = dict(state.knobs)

        def put_back() -> None:
            state.knobs = dict(before)

        state.app.do(lambda: state.knobs.pop(gone.name), put_back, "remove knob")

    def setInput(self, number: int, node: Node | None) -> bool:
        state = self._live()
        if not 0 <= number < state.max_inputs():
            raise Forbidden(f"{state.cls} has no input {number}")
        source = None if node is None else node._live()
        if source is not None and source.parent is not state.parent:
            raise Forbidden(f"{state.name} and {source.name} are not in the same group")
        before = list(state.inputs)
        after = before + [None] * (number + 1 - len(before))
        after[number] = source
        state.app.do(
            lambda: setattr(state, "inputs", list(after)),
            lambda: setattr(state, "inputs", list(before)),
            "input",
        )
        return True

    def input(self, number: int) -> Node | None:
        state = self._live()
        source = state.inputs[number] if number < len(state.inputs) else None
        return None if source is None or not source.alive else Node(source)

    def format(self) -> Any:
        """Return the format: a Read's own, the input's, or the project's."""
        state = self._live()
        if state.cls == "Read":
            width, height = (int(part) for part in str(self["format"]._state.value).split()[:2])
            return SimpleNamespace(width=lambda: width, height=lambda: height)
        return self._of_source(lambda source: source.format(), state.app.root_format)

    def firstFrame(self) -> int:
        return int(self._frame("first"))

    def lastFrame(self) -> int:
        return int(self._frame("last"))

    def _frame(self, end: str) -> Any:
        state = self._live()
        if state.cls == "Read":
            return self[end]._state.value
        of_project = state.app.root()[f"{end}_frame"].value()
        return self._of_source(lambda source: source._frame(end), of_project)

    def _of_source(self, ask: Callable[[Node], Any], otherwise: Any) -> Any:
        source = self.input(0)
        return otherwise if source is None else ask(source)

    def xpos(self) -> int:
        return self._position("xpos")

    def ypos(self) -> int:
        return self._position("ypos")

    def setXYpos(self, x: int, y: int) -> None:
        self["xpos"].setValue(x)
        self["ypos"].setValue(y)

    def showControlPanel(self) -> None:
        self._live().app.require_dialogs("showControlPanel")

    def sample(self, channel: str, x: float, y: float) -> float:
        """Return a pixel of what the node shows, rendered by the evaluator."""
        state = self._live()
        if state.app.sampler is None:
            raise Forbidden("this session renders nothing")
        return float(state.app.sampler(self, channel, x, y))

    def _position(self, name: str) -> int:
        knob = self._live().knob(name)
        assert knob is not None
        return int(knob.value)

    def setSelected(self, selected: bool) -> None:
        self._live().selected = selected

    def metadata(self, key: str) -> Any:
        raise Forbidden("the plug-in reads manifests, not metadata")


class Group(Node):
    """A group: the context in which nodes are made."""

    def nodes(self) -> list[Node]:
        return [self._live().app.handle(child) for child in self._live().children if child.alive]

    def node(self, name: str) -> Node | None:
        return next((child for child in self.nodes() if child.name() == name), None)

    def __enter__(self) -> Group:
        state = self._live()
        state.app.contexts.append(state)
        return self

    def __exit__(self, *error: object) -> None:
        self._state.app.contexts.pop()


class Root(Group):
    """The project, which the plug-in reads and leaves as it is."""

    def modified(self) -> bool:
        return bool(self._live().app.modified)

    def setModified(self, modified: bool) -> None:
        self._live().app.modified = modified
