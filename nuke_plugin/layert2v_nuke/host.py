"""Nuke's functions for the plug-in: the only file that imports nuke, on the main thread alone.

Nodes are named by the uuid in their knobs, and looked up each time: undo and delete leave dead
handles behind. Progress is written outside of undo and leaves the project as saved as it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from layert2v.stack import Stack
from layert2v_nuke import inputs
from layert2v_nuke.errors import BadRequest, HostRefused
from layert2v_nuke.graph import build, footage_knobs, node, place_knobs, tcl
from layert2v_nuke.graph.colorspaces import choose_colorspace, working_space
from layert2v_nuke.graph.model import (
    INPUTS,
    LAYER_KNOB,
    OWNER_KNOB,
    Graph,
    Node,
    ReadColorspace,
    UserKnob,
    inner_nodes,
    nuke_layers,
    read_name,
    read_path,
)
from layert2v_nuke.inputs import InputFrame, InputImages
from layert2v_nuke.project import ProjectSettings


class Host:
    """A running Nuke, given as the module ``nuke``."""

    def __init__(self, nuke: Any) -> None:
        self.nuke = nuke
        self.takes_nearest_colorspace = False  # where a project lacks that of a stack
        self._names: dict[str, str] = {}

    @classmethod
    def current(cls) -> Host:
        """Return the Nuke that this runs in."""
        import nuke

        return cls(nuke)

    @property
    def gui(self) -> bool:
        """Whether there is an interface, and an event loop."""
        return bool(self.nuke.GUI)

    def project(self) -> ProjectSettings:
        """Return size, range and working space of the project."""
        root = self.nuke.root()
        size = root["format"].value()
        config = root.knob("OCIO_config") or root.knob("OCIOConfig")
        return ProjectSettings(
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
        """Return the folder of the saved script; None before it is saved."""
        name = self.nuke.root()["name"].value()
        return Path(name).parent if name else None

    def node_names(self) -> dict[str, list[str]]:
        """Return the full names of all LayerT2V nodes by uuid; copies share a uuid."""
        found: dict[str, list[str]] = {}
        for group in self._groups(None):
            found.setdefault(group[node.UUID_KNOB].value(), []).append(group.fullName())
        return found

    def assign_uuid(self, name: str, uuid: str) -> None:
        """Give the node with a full name a uuid of its own, and no request."""
        with self._without_undo(mark_modified=True):
            values = {
                node.UUID_KNOB: uuid,
                node.REQUEST_KNOB: "",
                node.JOB_KNOB: "",
                node.STATUS_KNOB: node.IDLE,
            }
            self._set(self.nuke.toNode(name), values)

    def last_known_name(self, uuid: str) -> str:
        """Return the full name under which a node was last seen; "" for none."""
        return self._names.get(uuid, "")

    def this_node(self) -> str:
        """Return the uuid of the node whose button was pressed."""
        return str(self.nuke.thisNode()[node.UUID_KNOB].value())

    def this_knob(self) -> str:
        """Return the name of the knob that was changed."""
        return str(self.nuke.thisKnob().name())

    def selected_nodes(self) -> list[str]:
        """Return the uuids of the selected LayerT2V nodes."""
        return [
            str(one[node.UUID_KNOB].value())
            for one in self.nuke.selectedNodes()
            if _is_layert2v_node(one)
        ]

    def exists(self, uuid: str) -> bool:
        """Return whether the node exists."""
        return self._find(uuid) is not None

    def name(self, uuid: str) -> str:
        """Return the node's name."""
        return str(self._get(uuid).name())

    def knob_values(self, uuid: str) -> dict[str, Any]:
        """Return the values of the node's own knobs, without buttons and tabs."""
        knobs = self._get(uuid).knobs()
        wanted = {knob.name for knob in node.node_knobs("") if node.holds_value(knob)}
        for layer in node.layers_with_tab(knobs):
            wanted.update(node.layer_knob_names(layer, values=True))
        wanted.update(filter(footage_knobs.holds_subject_value, knobs))
        wanted.update(filter(place_knobs.place_number, knobs))
        return {name: _knob_value(knob) for name, knob in knobs.items() if name in wanted}

    def frame(self) -> int:
        """Return the frame that is shown."""
        return int(self.nuke.root()["frame"].value())

    @contextmanager
    def undo(self, name: str) -> Iterator[None]:
        """Make one undo step of what is done inside; an error takes it back."""
        self.nuke.Undo.begin(name)
        try:
            yield
        except BaseException:
            self.nuke.Undo.cancel()
            raise
        self.nuke.Undo.end()

    def set_knobs(self, uuid: str, values: Mapping[str, Any]) -> None:
        """Set knobs as an artist would, with undo."""
        self._set(self._get(uuid), values)

    def set_knobs_without_undo(
        self, uuid: str, values: Mapping[str, Any], *, mark_modified: bool = False
    ) -> None:
        """Set knobs outside of undo; ``mark_modified`` says that the project has to be saved."""
        with self._without_undo(mark_modified=mark_modified):
            self._set(self._get(uuid), values)

    def set_model_items(self, uuid: str, names: Sequence[str]) -> None:
        """Set the items of the node's model menu; the chosen one stays if it is among them."""
        with self._without_undo(mark_modified=False):
            self._get(uuid)["model"].setValues(list(names))

    def show_account(self, uuid: str, values: Mapping[str, Any]) -> None:
        """Show what the user has on the server; nodes of before have no knob for that."""
        knobs = self._get(uuid).knobs()
        known = {name: value for name, value in values.items() if name in knobs}
        self.set_knobs_without_undo(uuid, known)

    def create(self, wanted: Node, connected: int | None = None) -> str:
        """Create a LayerT2V node below the selection and return its uuid.

        ``connected`` is the input that gets what is selected, None for none.
        """
        selected = self.nuke.selectedNodes()
        created = build.build(self.nuke, Graph((wanted,)))[wanted.name]
        if selected:
            created.setXYpos(selected[-1].xpos(), selected[-1].ypos() + 100)
            if connected is not None:
                created.setInput(connected, selected[-1])
        return str(created[node.UUID_KNOB].value())

    def create_beside(self, uuid: str, wanted: Node, place: int) -> str:
        """Create a LayerT2V node with the inputs of another one, ``place`` columns beside it."""
        group = self._get(uuid)
        created = build.build(self.nuke, Graph((wanted,)))[wanted.name]
        created.setXYpos(int(group.xpos()) + 110 * place, int(group.ypos()))
        for number in range(len(INPUTS)):
            created.setInput(number, group.input(number))
        return str(created[node.UUID_KNOB].value())

    def read_colorspace(self, space: str) -> ReadColorspace:
        """Return how a Read of this project names a color space. Not within ``undo``."""
        with self._without_undo(mark_modified=False):
            probe = self.nuke.nodes.Read()
            offered = self.nuke.getColorspaceList(probe["colorspace"])
            self.nuke.delete(probe)
        return choose_colorspace(
            space,
            offered,
            working=self.project().working_space,
            nearest=self.takes_nearest_colorspace,
        )

    def show_stack(self, uuid: str, stack: Stack, folder: Path, colorspace: ReadColorspace) -> None:
        """Make the node show these versions: by new paths, or by new inner nodes."""
        group = self._get(uuid)
        wanted = {layer.name: read_path(folder, layer.pattern) for layer in stack.layers}
        reads = {name: group.node(read_name(name)) for name in wanted}
        existing = [one for one in group.nodes() if one.Class() == "Read"]
        is_same_stack = group["folder"].value() == folder.as_posix()
        if (
            is_same_stack
            and len(existing) == len(wanted)
            and all(read is not None for read in reads.values())
        ):
            for name, read in reads.items():
                self._update_open_reads(uuid, name, read["file"].value(), wanted[name])
                _set_if_changed(read["file"], wanted[name])
        else:
            self._rebuild(group, stack, folder, colorspace)
        values: dict[str, Any] = {"folder": folder.as_posix()}
        for layer in stack.layers:
            if group[f"{layer.name}_version"].value() != layer.version:
                values.update(node.new_version_values(layer, group.knobs()))
            values[f"{layer.name}_version"] = layer.version
            values[f"{layer.name}_made"] = node.describe_source(layer)
            values[f"{layer.name}_prompt"] = node.shown_prompt(layer)
        self._set(group, values)

    def add_nodes(self, graph: Graph) -> None:
        """Create open nodes in the root."""
        build.build(self.nuke, graph)

    def position_below(self, uuid: str) -> tuple[int, int]:
        """Return where the open nodes of a LayerT2V node go."""
        group = self._get(uuid)
        return int(group.xpos()), int(group.ypos()) + 200

    def add_knobs(self, uuid: str, knobs: Iterable[UserKnob]) -> None:
        """Add knobs to the node."""
        build.add_knobs(self.nuke, self._get(uuid), knobs)

    def remove_subject(self, uuid: str, number: int) -> None:
        """Remove the tab of a subject."""
        group = self._get(uuid)
        for name in footage_knobs.subject_knobs(group.knobs(), number):
            group.removeKnob(group[name])

    def describe_input(self, uuid: str, number: int) -> InputImages:
        """Return what is connected to an input. Raises ``BadRequest`` for nothing."""
        return inputs.describe(self._get(uuid), number)

    def footage_size(self, uuid: str) -> tuple[int, int]:
        """Return the size of the footage, or of the project where none is connected."""
        try:
            found = self.describe_input(uuid, INPUTS.index("footage"))
            return found.width, found.height
        except BadRequest:
            project = self.project()
            return project.width, project.height

    def render_frame(self, uuid: str, wanted: InputFrame) -> None:
        """Render one frame of an input as it is in the working space. Raises ``HostRefused``."""
        with self._without_undo(mark_modified=False):
            inputs.render(self.nuke, self._get(uuid), wanted)

    def status(self, uuid: str) -> str:
        """Return the status text of the node."""
        return str(self._get(uuid)["status"].value())

    def open_panel(self, uuid: str) -> None:
        """Open the node's panel."""
        self._get(uuid).showControlPanel()

    def ask_file(self, title: str, pattern: str) -> str:
        """Let the artist choose a file and return its path; "" for none."""
        return str(self.nuke.getFilename(title, pattern) or "")

    def show_message(self, sentence: str) -> None:
        """Show a sentence in a dialog, or print it without an interface.

        Not from a dispatched call: a dialog there freezes Nuke.
        """
        if self.gui:
            self.nuke.message(tcl.safe_label(sentence, 2000))
        else:
            self.print(sentence)

    def print(self, text: str) -> None:
        """Print a line in the Script Editor, or on the terminal."""
        self.nuke.tprint(text)

    def _rebuild(self, group: Any, stack: Stack, folder: Path, colorspace: ReadColorspace) -> None:
        reused = {one.name(): one for one in group.nodes() if one.Class() in ("Input", "Output")}
        artist_values = self._artist_values(group)
        for one in group.nodes():
            if one.name() not in reused:
                self.nuke.delete(one)
        build.declare_layers(self.nuke, nuke_layers(stack))
        with group:
            build.create_nodes(self.nuke, inner_nodes(stack, folder, colorspace), reused)
        for layer in node.layers_with_tab(group.knobs()):
            for name in node.layer_knob_names(layer):
                if group.knob(name) is not None:
                    group.removeKnob(group[name])
        build.add_knobs(self.nuke, group, node.layer_knobs(stack))
        self._set(group, {name: value for name, value in artist_values.items() if group.knob(name)})

    def _artist_values(self, group: Any) -> dict[str, Any]:
        """Return what an artist has set on the tabs of layers, which outlives another stack."""
        names = (
            f"{layer}{end}"
            for layer in node.layers_with_tab(group.knobs())
            for end in ("_freeze", "_mute", "_strength")
        )
        return {name: group[name].value() for name in names}

    def _update_open_reads(self, uuid: str, layer: str, before: str, after: str) -> None:
        """Update the open Reads of a layer, unless the artist has set them to another version."""
        if before == after:
            return
        for read in self.nuke.allNodes("Read", self.nuke.root()):
            owner, of = read.knob(OWNER_KNOB), read.knob(LAYER_KNOB)
            ours = owner is not None and of is not None and owner.value() == uuid
            if ours and of.value() == layer and read["file"].value() == before:
                read["file"].setValue(after)

    def _groups(self, within: Any) -> Iterator[Any]:
        for group in self.nuke.allNodes("Group", within or self.nuke.root()):
            if _is_layert2v_node(group):
                yield group
            else:
                yield from self._groups(group)

    def _find(self, uuid: str) -> Any:
        known = self.nuke.toNode(self._names.get(uuid, "")) if uuid in self._names else None
        if known is not None and _is_layert2v_node(known) and known[node.UUID_KNOB].value() == uuid:
            return known
        for group in self._groups(None):
            if group[node.UUID_KNOB].value() == uuid:
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
            _set_if_changed(one[name], value)

    @contextmanager
    def _without_undo(self, *, mark_modified: bool) -> Iterator[None]:
        root = self.nuke.root()
        modified = root.modified()
        self.nuke.Undo.disable()
        try:
            yield
        finally:
            self.nuke.Undo.enable()
            root.setModified(modified or mark_modified)


def _is_layert2v_node(one: Any) -> bool:
    return one.Class() == "Group" and one.knob(node.UUID_KNOB) is not None


def _knob_value(knob: Any) -> Any:
    """Return what a knob holds; text as it is written, where ``value`` may expand brackets."""
    if footage_knobs.is_position(knob.name()):
        return tuple(knob.array())
    written = getattr(knob, "getText", None)
    return knob.value() if written is None else written()


def _set_if_changed(knob: Any, value: Any) -> None:
    if _knob_value(knob) != value:
        build.set_value(knob, value)
