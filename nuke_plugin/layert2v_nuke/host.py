"""What the plug-in asks of Nuke. The only file that imports nuke; all of it on the main thread.

Nodes are named by the uuid in their knobs, and looked up each time: undo and delete leave dead
handles behind. Progress is written outside of undo and without touching the project's state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from layert2v.stack import Stack
from layert2v_nuke.errors import HostRefused
from layert2v_nuke.graph import build, node, tcl
from layert2v_nuke.graph.colorspaces import choose, working_space
from layert2v_nuke.graph.model import (
    LAYER,
    OWNER,
    Colour,
    Graph,
    Node,
    inside,
    nuke_layers,
    read_name,
    read_path,
)
from layert2v_nuke.session.requests import Project


class Host:
    """A session of Nuke, given as the module ``nuke``."""

    def __init__(self, nuke: Any) -> None:
        self.nuke = nuke
        self._names: dict[str, str] = {}

    @classmethod
    def running(cls) -> Host:
        """The Nuke that this runs in."""
        import nuke

        return cls(nuke)

    @property
    def gui(self) -> bool:
        """Whether there is an interface, and an event loop."""
        return bool(self.nuke.GUI)

    def project(self) -> Project:
        """Size, range and working space of the project."""
        root = self.nuke.root()
        size = root["format"].value()
        config = root.knob("OCIO_config") or root.knob("OCIOConfig")
        return Project(
            width=size.width(),
            height=size.height(),
            first=int(root["first_frame"].value()),
            last=int(root["last_frame"].value()),
            fps=float(root["fps"].value()),
            working_space=working_space(
                root["colorManagement"].value(),
                config.value() if config is not None else "",
                root["workingSpaceLUT"].value(),
            ),
        )

    def script_folder(self) -> Path | None:
        """The folder of the saved script; None before it is saved."""
        name = self.nuke.root()["name"].value()
        return Path(name).parent if name else None

    def nodes(self) -> dict[str, list[str]]:
        """All LayerT2V nodes: uuid to full names; more than one is a node and its copies."""
        found: dict[str, list[str]] = {}
        for group in self._groups(None):
            found.setdefault(group["l2v_uuid"].value(), []).append(group.fullName())
        return found

    def adopt(self, name: str, uuid: str) -> None:
        """Give the node with a full name a uuid of its own, and no request."""
        with self._unnoticed(keep=True):
            values = {"l2v_uuid": uuid, "l2v_request": "", "l2v_job": "", "l2v_life": node.IDLE}
            self._set(self.nuke.toNode(name), values)

    def known_as(self, uuid: str) -> str:
        """The full name under which a node was last seen; "" for none."""
        return self._names.get(uuid, "")

    def this(self) -> str:
        """The uuid of the node whose button was pressed."""
        return str(self.nuke.thisNode()["l2v_uuid"].value())

    def this_knob(self) -> str:
        """The name of the knob that was changed."""
        return str(self.nuke.thisKnob().name())

    def selected(self) -> list[str]:
        """The uuids of the selected LayerT2V nodes."""
        return [str(one["l2v_uuid"].value()) for one in self.nuke.selectedNodes() if _is_ours(one)]

    def there(self, uuid: str) -> bool:
        """Whether the node exists."""
        return self._find(uuid) is not None

    def name(self, uuid: str) -> str:
        """The node's name."""
        return str(self._get(uuid).name())

    def values(self, uuid: str) -> dict[str, Any]:
        """The values of the node's own knobs, buttons and tabs left out."""
        knobs = self._get(uuid).knobs()
        wanted = {knob.name for knob in node.main_knobs("") if node.holds_value(knob)}
        for layer in node.layers_of(knobs):
            wanted.update(node.layer_knob_names(layer, values=True))
        return {name: _read(knob) for name, knob in knobs.items() if name in wanted}

    @contextmanager
    def undo(self, name: str) -> Iterator[None]:
        """One undo step; what fails in it is taken back."""
        self.nuke.Undo.begin(name)
        try:
            yield
        except BaseException:
            self.nuke.Undo.cancel()
            raise
        self.nuke.Undo.end()

    def write(self, uuid: str, values: Mapping[str, Any]) -> None:
        """Set knobs as an artist would."""
        self._set(self._get(uuid), values)

    def note(self, uuid: str, values: Mapping[str, Any], *, keep: bool = False) -> None:
        """Set knobs outside of undo; with ``keep`` the project has to be saved for them."""
        with self._unnoticed(keep=keep):
            self._set(self._get(uuid), values)

    def offer_models(self, uuid: str, names: Sequence[str]) -> None:
        """The items of the node's model menu; the chosen one stays where it can."""
        with self._unnoticed(keep=False):
            self._get(uuid)["model"].setValues(list(names))

    def create(self, wanted: Node) -> str:
        """Make a LayerT2V node below the selection; its uuid."""
        selected = self.nuke.selectedNodes()
        made = build.build(self.nuke, Graph((wanted,)))[wanted.name]
        if selected:
            made.setXYpos(selected[-1].xpos(), selected[-1].ypos() + 100)
        return str(made["l2v_uuid"].value())

    def colour(self, space: str) -> Colour:
        """How a Read of this project names a colour space. Not within ``undo``."""
        with self._unnoticed(keep=False):
            probe = self.nuke.nodes.Read()
            offered = self.nuke.getColorspaceList(probe["colorspace"])
            self.nuke.delete(probe)
        return choose(space, offered)

    def show(self, uuid: str, stack: Stack, folder: Path, colour: Colour) -> None:
        """Make the node show these versions: by other paths, or by another inside."""
        group = self._get(uuid)
        wanted = {layer.name: read_path(folder, layer.pattern) for layer in stack.layers}
        reads = {name: group.node(read_name(name)) for name in wanted}
        shown = [one for one in group.nodes() if one.Class() == "Read"]
        same = group["folder"].value() == folder.as_posix() and len(shown) == len(wanted)
        if same and all(read is not None for read in reads.values()):
            for name, read in reads.items():
                self._follow(uuid, name, read["file"].value(), wanted[name])
                _put(read["file"], wanted[name])
        else:
            self._rebuild(group, stack, folder, colour)
        values: dict[str, Any] = {"folder": folder.as_posix()}
        for layer in stack.layers:
            if node.is_plate(layer) and group[f"{layer.name}_version"].value() != layer.version:
                values[f"{layer.name}_freeze"] = True
            values[f"{layer.name}_version"] = layer.version
            values[f"{layer.name}_made"] = node.made_with(layer)
            values[f"{layer.name}_prompt"] = layer.prompt
        self._set(group, values)

    def add(self, graph: Graph) -> None:
        """Make open nodes in the root."""
        build.build(self.nuke, graph)

    def below(self, uuid: str) -> tuple[int, int]:
        """Where open nodes of a node go."""
        group = self._get(uuid)
        return int(group.xpos()), int(group.ypos()) + 200

    def has_input(self, uuid: str, number: int) -> bool:
        """Whether something is connected."""
        return self._get(uuid).input(number) is not None

    def render(self, uuid: str, number: int, path: str, frame: int) -> None:
        """Render one frame of an input as it is in the working space. Raises ``HostRefused``."""
        source = self._get(uuid).input(number)
        with self._unnoticed(keep=False):
            write = self.nuke.nodes.Write()
            try:
                values = {"file_type": "exr", "file": path, "channels": "rgba", "raw": True}
                self._set(write, values)
                write.setInput(0, source)
                self.nuke.execute(write, frame, frame, 1)
            except RuntimeError as problem:
                raise HostRefused(
                    "RENDER_FAILED", f"The input cannot be rendered at frame {frame}: {problem}."
                ) from problem
            finally:
                self.nuke.delete(write)

    def status(self, uuid: str) -> str:
        """What the node says."""
        return str(self._get(uuid)["status"].value())

    def open_panel(self, uuid: str) -> None:
        """Show the node's knobs."""
        self._get(uuid).showControlPanel()

    def ask_file(self, title: str, pattern: str) -> str:
        """A file of the artist's choice; "" for none."""
        return str(self.nuke.getFilename(title, pattern) or "")

    def say(self, sentence: str) -> None:
        """A sentence for whoever sits there. Not from a dispatched call."""
        if self.gui:
            self.nuke.message(tcl.label(sentence, 2000))
        else:
            self.print(sentence)

    def print(self, text: str) -> None:
        """A line in the Script Editor, or on the terminal."""
        self.nuke.tprint(text)

    def _rebuild(self, group: Any, stack: Stack, folder: Path, colour: Colour) -> None:
        kept = {one.name(): one for one in group.nodes() if one.Class() in ("Input", "Output")}
        held = self._held(group)
        for one in group.nodes():
            if one.name() not in kept:
                self.nuke.delete(one)
        build.declare(self.nuke, nuke_layers(stack))
        with group:
            build.fill(self.nuke, inside(stack, folder, colour), kept)
        for layer in node.layers_of(group.knobs()):
            for name in node.layer_knob_names(layer):
                if group.knob(name) is not None:
                    group.removeKnob(group[name])
        build.add_knobs(self.nuke, group, node.layer_knobs(stack))
        self._set(group, {name: value for name, value in held.items() if group.knob(name)})

    def _held(self, group: Any) -> dict[str, Any]:
        """What an artist has set on layers' tabs and is not the layers' own."""
        names = (
            f"{layer}{end}"
            for layer in node.layers_of(group.knobs())
            for end in ("_freeze", "_mute", "_strength")
        )
        return {name: group[name].value() for name in names}

    def _follow(self, uuid: str, layer: str, before: str, after: str) -> None:
        """Open Reads of the layer go along, unless the artist has set them to another version."""
        if before == after:
            return
        for read in self.nuke.allNodes("Read", self.nuke.root()):
            owner, of = read.knob(OWNER), read.knob(LAYER)
            ours = owner is not None and of is not None and owner.value() == uuid
            if ours and of.value() == layer and read["file"].value() == before:
                read["file"].setValue(after)

    def _groups(self, within: Any) -> Iterator[Any]:
        for group in self.nuke.allNodes("Group", within or self.nuke.root()):
            if _is_ours(group):
                yield group
            else:
                yield from self._groups(group)

    def _find(self, uuid: str) -> Any:
        known = self.nuke.toNode(self._names.get(uuid, "")) if uuid in self._names else None
        if known is not None and _is_ours(known) and known["l2v_uuid"].value() == uuid:
            return known
        for group in self._groups(None):
            if group["l2v_uuid"].value() == uuid:
                self._names[uuid] = group.fullName()
                return group
        return None

    def _get(self, uuid: str) -> Any:
        found = self._find(uuid)
        if found is None:
            raise HostRefused("NODE_GONE", "The LayerT2V node is gone.")
        return found

    def _set(self, one: Any, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            _put(one[name], value)

    @contextmanager
    def _unnoticed(self, *, keep: bool) -> Iterator[None]:
        root = self.nuke.root()
        modified = root.modified()
        self.nuke.Undo.disable()
        try:
            yield
        finally:
            self.nuke.Undo.enable()
            root.setModified(modified or keep)


def _is_ours(one: Any) -> bool:
    return one.Class() == "Group" and one.knob("l2v_uuid") is not None


def _read(knob: Any) -> Any:
    """What a knob holds: text as it is written, where ``value`` may be what brackets in it did."""
    written = getattr(knob, "getText", None)
    return knob.value() if written is None else written()


def _put(knob: Any, value: Any) -> None:
    if _read(knob) != value:
        knob.setValue(value)
