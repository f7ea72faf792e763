"""The functions of the ``nuke`` module, and what an artist does to it in a test."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from fakes.fake_nuke.gui import Menu, Panel
from fakes.fake_nuke.knobs import Knob, user_knob
from fakes.fake_nuke.nodes import Group, Node, NodeState, Root
from fakes.fake_nuke.rules import CHANNEL_NAMES, CLASSES, FLAGS, USER_TYPES, Forbidden
from fakes.fake_nuke.undo import History, Undo

OCIO_SPACES = ("scene_linear\tscene_linear (ACES - ACEScg)", "ACES - ACEScg",
               "Utility - Linear - sRGB", "Output - sRGB")  # fmt: skip
NUKE_SPACES = ("linear", "sRGB", "rec709", "Cineon")


class FakeNuke:
    """One session. ``spaces`` are what the project's color management offers to Reads."""

    def __init__(
        self, *, major: int = 15, gui: bool = True, spaces: tuple[str, ...] = NUKE_SPACES
    ) -> None:
        self.GUI = gui
        self.NUKE_VERSION_MAJOR, self.NUKE_VERSION_STRING = major, f"{major}.0v4"
        self.spaces, self.messages, self.executed = spaces, [], []
        self.changed_knobs: set[tuple[str, str]] = set()
        self.layers = {"rgba": list(CHANNEL_NAMES)}
        self.generations: dict[int, int] = {}
        self.history, self.modified = History(self), False
        self.Undo = Undo(self.history)
        self.dialog_answers: dict[str, Any] = {}
        self.sampler: Callable[[Node, str, float, float], float] | None = None
        self.renderer: Callable[[Node, str, int], None] | None = None
        self._thread, self._dispatched, self._dispatching = threading.current_thread(), [], False
        self._callbacks: dict[str, list[tuple[Callable[[], None], str]]] = {
            kind: [] for kind in ("load", "close", "create", "destroy")
        }
        self._menus = {"Nuke": Menu(self, "Nuke"), "Nodes": Menu(self, "Nodes")}
        self._this: list[tuple[NodeState | None, str]] = []
        self.nodes = _Makers(self)
        for name in USER_TYPES:
            setattr(self, name, user_knob(self, name))
        for name, value in FLAGS.items():
            setattr(self, name, value)
        self._new_project()

    executed: list[str]
    messages: list[str]
    _dispatched: list[Callable[[], None]]

    # What scripts call

    def createNode(self, cls: str, knobs: str = "", inpanel: bool = True) -> Node:
        if knobs:
            raise Forbidden("knobs of createNode are TCL")
        if inpanel and self._dispatching:
            raise Forbidden("a panel must not open in a dispatched call")
        selected = [one for one in self.contexts[-1].children if one.alive and one.selected]
        made = self.make(cls)
        if selected and made._state.max_inputs() > 0:
            made.setInput(0, self.handle(selected[-1]))
        for one in self.contexts[-1].children:
            one.selected = one is made._state
        return made

    def toNode(self, name: str) -> Node | None:
        self.require_main_thread("toNode")
        state = self._root
        for part in name.split("."):
            found = [one for one in state.children if one.alive and one.name == part]
            if not found:
                return None
            state = found[0]
        return self.handle(state)

    def allNodes(self, filter: str = "", group: Group | None = None) -> list[Node]:
        self.require_main_thread("allNodes")
        within = self.contexts[-1] if group is None else group._live()
        return [
            self.handle(one) for one in within.children if one.alive and filter in ("", one.cls)
        ]

    def selectedNodes(self) -> list[Node]:
        self.require_main_thread("selectedNodes")
        return [self.handle(one) for one in self._root.children if one.alive and one.selected]

    def delete(self, node: Node) -> None:
        state = node._live()
        self.call_back("destroy", state)
        self.do(lambda: self._remove_state(state), lambda: self._restore_state(state), "delete")

    def root(self) -> Root:
        self.require_main_thread("root")
        return Root(self._root)

    def thisNode(self) -> Node:
        self.require_main_thread("thisNode")
        state = self._this[-1][0]
        assert state is not None
        return self.handle(state)

    def thisKnob(self) -> Knob:
        node = self.thisNode()
        return node[self._this[-1][1]]

    def Layer(self, name: str, channels: list[str]) -> None:
        """Declare a layer; one that is declared already must be the same."""
        self.require_main_thread("Layer")
        short = [channel.removeprefix(f"{name}.") for channel in channels]
        if self.layers.setdefault(name, short) != short:
            raise Forbidden(f"the layer {name} has other channels")
        if sum(map(len, self.layers.values())) > 1024:
            raise RuntimeError("too many channels")

    def getColorspaceList(self, knob: Knob) -> list[str]:
        if knob.name() != "colorspace":
            raise Forbidden("only colorspace knobs have such a list")
        return list(self.spaces)

    def execute(self, node: Node, first: int, last: int, step: int = 1) -> None:
        if self.contexts[-1] is not self._root or node.Class() != "Write":
            raise Forbidden("only a Write of the root is executed")
        if self.renderer is None:
            raise RuntimeError("Read error: no such file")
        for frame in range(first, last + 1, step):
            self.renderer(node, str(node["file"].value()) % frame, frame)

    def executeInMainThread(
        self, call: Callable[..., Any], args: Any = (), kwargs: Any = None
    ) -> None:
        if threading.current_thread() is self._thread:
            raise RuntimeError("executeInMainThread must not be called from the main thread")
        if not self.GUI:
            raise Forbidden("without an interface nobody serves dispatched calls")
        self._dispatched.append(lambda: call(*args, **(kwargs or {})))

    def message(self, text: str) -> None:
        self.require_dialogs("message")
        self.messages.append(text)

    def getFilename(self, message: str, pattern: str = "", default: str = "") -> str | None:
        self.require_dialogs("getFilename")
        return self.dialog_answers.get(message)

    def Panel(self, title: str) -> Panel:
        self.require_dialogs("Panel")
        return Panel(self, title)

    def menu(self, name: str) -> Menu:
        self.require_main_thread("menu")
        if not self.GUI:
            raise RuntimeError("there are no menus without an interface")
        return self._menus[name]

    toolbar = menu

    def tprint(self, text: str) -> None:
        self.messages.append(text)

    def addOnScriptLoad(self, call: Callable[[], None]) -> None:
        self._callbacks["load"].append((call, "*"))

    def addOnScriptClose(self, call: Callable[[], None]) -> None:
        self._callbacks["close"].append((call, "*"))

    def addOnCreate(
        self, call: Callable[[], None], args: Any = (), kwargs: Any = None, nodeClass: str = "*"
    ) -> None:
        self._callbacks["create"].append((call, nodeClass))

    def addOnDestroy(
        self, call: Callable[[], None], args: Any = (), kwargs: Any = None, nodeClass: str = "*"
    ) -> None:
        self._callbacks["destroy"].append((call, nodeClass))

    # What the fake and the tests do

    def require_main_thread(self, what: str) -> None:
        if threading.current_thread() is not self._thread:
            raise Forbidden(f"{what} off the main thread")

    def require_dialogs(self, what: str) -> None:
        self.require_main_thread(what)
        if self._dispatching:
            raise Forbidden(f"{what} in a dispatched call freezes Nuke")
        if not self.GUI:
            raise Forbidden(f"{what} without an interface")

    def do(self, forward: Callable[[], Any], backward: Callable[[], Any], what: str) -> None:
        forward()
        self.modified = True
        self.history.record(forward, backward, what)

    def make(self, cls: str, name: str = "", *, call_back: bool = True) -> Node:
        self.require_main_thread(cls)
        if cls not in CLASSES or cls == "Root":
            raise RuntimeError(f"{cls}: Unknown command")
        parent = self.contexts[-1]
        state = NodeState(self, cls, self.unique_name(name or f"{cls}1", parent), parent)
        state.alive = False
        if state.cls == "Input":
            knob = state.knob("number")
            assert knob is not None
            knob.value = sum(one.alive and one.cls == "Input" for one in parent.children)
        parent.children.append(state)
        self.do(lambda: self._restore_state(state), lambda: self._remove_state(state), "create")
        if call_back:
            self.call_back("create", state)
        return self.handle(state)

    def all_states(self) -> Iterator[NodeState]:
        """Yield all nodes that are not deleted, those in groups too."""
        waiting = [self._root]
        while waiting:
            state = waiting.pop()
            living = [one for one in state.children if one.alive]
            yield from living
            waiting += living

    def handle(self, state: NodeState) -> Node:
        return Group(state) if state.cls == "Group" else Node(state)

    def unique_name(self, name: str, parent: NodeState | None, own: NodeState | None = None) -> str:
        siblings = parent.children if parent is not None else []
        taken = {one.name for one in siblings if one.alive and one is not own}
        stem, number = name.rstrip("0123456789"), 1
        free = name
        while free in taken:
            free, number = f"{stem}{number}", number + 1
        return free

    def accepted_colorspace(self, name: str) -> str:
        """Return the name where the project offers it, else the default, as a Read does."""
        known = [space.split("\t")[0] for space in self.spaces]
        return name if name in known else "default"

    @property
    def root_format(self) -> SimpleNamespace:
        width, height, aspect = self._format
        return SimpleNamespace(
            width=lambda: width, height=lambda: height, pixelAspect=lambda: aspect
        )

    def set_project(self, **values: Any) -> None:
        """Set knobs of Root as an artist does, and ``format`` as width, height, aspect."""
        self._format = values.pop("format", self._format)
        for name, value in values.items():
            knob = self._root.knob(name)
            assert knob is not None, name
            knob.value = value

    def undo(self) -> str:
        """Undo a step as Ctrl+Z does, and return its name."""
        return self.history.undo()

    def redo(self) -> None:
        self.history.redo()

    def press(self, node: Node, knob: str) -> None:
        """Press a button as an artist does."""
        self._run(node[knob]._state.code, node, knob)

    def change(self, node: Node, knob: str, value: Any) -> None:
        """Change a knob as an artist does while the panel is open."""
        node[knob].setValue(value)
        self._run(node["knobChanged"].value(), node, knob)

    def move_handle(self, node: Node, knob: str, numbers: tuple[float, ...]) -> None:
        """Move a box or a point in the viewer as an artist does while the panel is open."""
        for index, number in enumerate(numbers):
            node[knob].setValue(number, index)
        self._run(node["knobChanged"].value(), node, knob)

    def run_event_loop(self) -> None:
        """Run what other threads have dispatched."""
        waiting, self._dispatched = self._dispatched, []
        for call in waiting:
            self._dispatching = True
            try:
                call()
            finally:
                self._dispatching = False

    def close_script(self) -> None:
        for call, _ in self._callbacks["close"]:
            call()
        self._new_project()

    def script_loaded(self) -> None:
        for call, _ in self._callbacks["load"]:
            call()

    def dump(self) -> dict[str, Any]:
        """Return the graph of the project."""
        return {one.name: one.dump() for one in self._root.children if one.alive}

    @contextmanager
    def as_module(self) -> Iterator[FakeNuke]:
        """Let ``import nuke`` give this session."""
        before = sys.modules.get("nuke")
        sys.modules["nuke"] = self  # type: ignore[assignment]
        try:
            yield self
        finally:
            sys.modules.pop("nuke")
            if before is not None:
                sys.modules["nuke"] = before

    def _new_project(self) -> None:
        self._root = NodeState(self, "Root", "root", None)
        self.contexts = [self._root]
        self._format = (2048, 1556, 1.0)
        self.history.clear()
        self.modified = False

    def _run(self, code: str, node: Node, knob: str) -> None:
        self._this.append((node._state, knob))
        try:
            with self.as_module():
                exec(compile(code, f"<{knob}>", "exec"), {"nuke": self})  # noqa: S102
        finally:
            self._this.pop()

    def _remove_state(self, state: NodeState) -> None:
        state.alive = False

    def _restore_state(self, state: NodeState) -> None:
        state.alive = True
        self.generations[id(state)] = self.generations.get(id(state), 0) + 1

    def call_back(self, kind: str, state: NodeState) -> None:
        self._this.append((state, ""))
        try:
            for call, cls in self._callbacks[kind]:
                if cls in ("*", state.cls):
                    call()
        finally:
            self._this.pop()


class _Makers:
    """``nuke.nodes``."""

    def __init__(self, app: FakeNuke) -> None:
        self._app = app

    def __getattr__(self, cls: str) -> Callable[[], Node]:
        return lambda: self._app.make(cls)
