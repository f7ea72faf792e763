"""For pipeline code, for the buttons of the node and for Nuke's callbacks.

    from layert2v_nuke import api
    node = api.create(prompt="a red fox in the snow")
    api.generate(node)
    api.wait(node)                  # in nuke -t, where no timer runs; not in the interface

A node is named by its uuid, which outlives renaming. Call everything on the main thread.
"""

from __future__ import annotations

import os
import time
import traceback
import uuid as uuids
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from layert2v import stack as manifest
from layert2v.atomic_write import atomic_write
from layert2v.errors import ContractError
from layert2v.labels import LABELS
from layert2v_nuke import edits, preferences, ui
from layert2v_nuke.controller import Controller
from layert2v_nuke.errors import PluginError
from layert2v_nuke.graph import footage_knobs, place_knobs
from layert2v_nuke.graph import node as nodes
from layert2v_nuke.graph.colorspaces import raw_default
from layert2v_nuke.graph.open_nodes import open_comp
from layert2v_nuke.graph.script import root_node, to_script
from layert2v_nuke.host import Host
from layert2v_nuke.preferences import Preferences
from layert2v_nuke.selfcheck import checks
from layert2v_nuke.session.bridge import BridgeProcess, bridge_command
from layert2v_nuke.session.connection import Connection

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class PluginState:
    """The plug-in in one running Nuke."""

    host: Host
    controller: Controller
    timer: ui.Timer
    preferences: Preferences


@lru_cache(maxsize=1)
def plugin_state() -> PluginState:
    """Return the state of the plug-in in this Nuke, created at first use."""
    host = Host.current()
    try:
        loaded = preferences.load(preferences.nuke_folder() / preferences.FILE_NAME)
    except PluginError as error:  # Nuke starts with its menu, where they can be corrected
        host.print(error.sentence())
        loaded = Preferences()
    return start(host, loaded)


def start(host: Host, loaded: Preferences) -> PluginState:
    """Return a new plug-in state; the bridge is started when it is needed."""
    host.takes_nearest_colorspace = loaded.nearest_colorspace
    log = preferences.nuke_folder() / "layert2v_bridge.log"

    def start_bridge() -> BridgeProcess:
        command = bridge_command(plugin.preferences, ROOT)
        return BridgeProcess(command, log if log.parent.is_dir() else None)

    connection = Connection(
        start_bridge, lambda: plugin.preferences.bridge_settings(), time.monotonic
    )
    controller = Controller(
        host,
        connection,
        lambda: _stacks_folder(host, plugin.preferences),
        new_id=lambda: str(uuids.uuid4()),
        start_timer=lambda: plugin.timer.start(),
    )
    timer = ui.Timer(host.nuke, lambda: _tick(host, controller), lambda: controller.busy)
    plugin = PluginState(host, controller, timer, loaded)
    return plugin


def create(*, of_selection: bool = False, **knobs: Any) -> str:
    """Create a LayerT2V node with these knobs set and return its uuid.

    ``of_selection`` connects what is selected as its footage.
    """
    uuid = plugin_state().controller.create(of_selection=of_selection)
    plugin_state().host.set_knobs(uuid, knobs)
    return uuid


def generate(node: str) -> None:
    """Submit a request for a new stack; errors appear on the node."""
    plugin_state().controller.on_button(node, "generate")


def add_subject(node: str, **knobs: Any) -> None:
    """Add a subject of the footage behind those there are, with these knobs set.

    The knobs are named without what they begin with, such as ``words`` or ``box``.
    """
    plugin_state().controller.on_button(node, "subject_add")
    number = footage_knobs.subject_numbers(plugin_state().host.knob_values(node))[-1]
    _set_knobs_of(node, f"subject_{number}", knobs)


def decompose(node: str) -> None:
    """Take the footage at the node's input apart; errors appear on the node."""
    plugin_state().controller.on_button(node, "decompose")


def refine(node: str, layer: str) -> None:
    """Give a foreground the matte at the input for it, and solve it again."""
    plugin_state().controller.on_button(node, f"refine {layer}")


def refine_points(node: str, layer: str, **knobs: Any) -> None:
    """Correct a foreground around its points, with these knobs set, and solve it again.

    The knobs are named without the layer, such as ``point_1``, ``point_1_is`` or ``point_1_frame``.
    """
    _set_knobs_of(node, layer, knobs)
    plugin_state().controller.on_button(node, f"refine_points {layer}")


def rerender(node: str, layer: str = "") -> None:
    """Generate one layer again, or all that are not frozen."""
    plugin_state().controller.on_button(node, f"rerender {layer}".strip())


def match_lighting(node: str) -> None:
    """Draw the full video around the layers as they are: ``ref``."""
    plugin_state().controller.on_button(node, "match_lighting")


def use_input(node: str, layer: str) -> None:
    """Replace a layer by what is connected to the input for it."""
    plugin_state().controller.on_button(node, f"plate {layer}")


def cancel(node: str) -> None:
    """Stop what the node waits for."""
    plugin_state().controller.on_button(node, "cancel")


def set_version(node: str, layer: str, version: int) -> None:
    """Show another version of a layer."""
    plugin_state().host.set_knobs(node, {f"{layer}_version": version})
    plugin_state().controller.set_version(node, layer)


def import_stack(folder: str | os.PathLike[str]) -> str:
    """Create a node that shows a stack and return its uuid.

    Raises ``PluginError`` and ``ManifestError``.
    """
    return plugin_state().controller.import_stack(Path(folder).resolve())


def explode(node: str) -> None:
    """Build the node's stack as open nodes."""
    plugin_state().controller.on_button(node, "explode")


def refresh() -> None:
    """Send every pending request again, at once."""
    plugin_state().controller.refresh()


def state(node: str) -> str:
    """Return the state of the node's request: ``done``, ``failed``, ``running``, ..."""
    return str(plugin_state().host.knob_values(node)[nodes.STATUS_KNOB])


def message(node: str) -> str:
    """Return the status text of the node."""
    return plugin_state().host.status(node)


def wait(node: str, timeout_s: float = 3600.0) -> str:
    """Do the work until the request has ended and return its state. For ``nuke -t`` and farms."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        plugin_state().controller.pump()
        if state(node) not in (*nodes.PENDING, nodes.CONNECTING, nodes.RENDERING):
            break
        time.sleep(0.02)
    return state(node)


def write_script(folder: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Write a stack as a script of open nodes.

    Raises ``PluginError``, ``ManifestError`` and ``OSError``.
    """
    resolved = Path(folder).resolve()
    stack = manifest.read(resolved)
    graph = open_comp(stack, resolved, raw_default(stack.colorspace))
    atomic_write(Path(path), to_script(graph, root_node(stack)))


# Buttons, menus and callbacks: an unexpected error is shown here and goes no further. The buttons
# in saved scripts call ``press`` and ``knob_changed`` by these names.


def press(action: str) -> None:
    """Run a button of the node that Nuke calls this for."""

    def run() -> None:
        plugin = plugin_state()
        plugin.controller.on_button(plugin.host.this_node(), action)

    _report_errors(run)


def knob_changed() -> None:
    """Handle the change of a knob of the node that Nuke calls this for."""
    _report_errors(_knob_changed)


def install() -> None:
    """Add menus, toolbar and callbacks. For ``menu.py``."""
    nuke = plugin_state().host.nuke
    ui.add_menus(nuke, {label: _menu_command(action) for label, action in _COMMANDS.items()})
    for add_callback in (nuke.addOnCreate, nuke.addOnDestroy):
        add_callback(_nodes_changed, nodeClass="Group")
    nuke.addOnScriptLoad(_nodes_changed)
    nuke.addOnScriptClose(lambda: _report_errors(plugin_state().controller.close))


def _set_knobs_of(node: str, owner: str, knobs: Mapping[str, Any]) -> None:
    """Set knobs of a subject or a layer, which are named without it.

    In order of their names a place comes before its frame, which a handle that moves sets, too.
    """
    named = {f"{owner}_{name}": knobs[name] for name in sorted(knobs)}
    plugin_state().host.set_knobs(node, named)


def _knob_changed() -> None:
    host, name = plugin_state().host, plugin_state().host.this_knob()
    if name.endswith("_version"):
        plugin_state().controller.set_version(host.this_node(), name[: -len("_version")])
    elif number := place_knobs.place_number(name):
        edits.move_place(host, host.this_node(), number)
    elif footage_knobs.is_position(name):
        edits.move_hint(host, host.this_node(), name)


def _nodes_changed() -> None:
    _report_errors(plugin_state().controller.schedule_scan)


def _stacks_folder(host: Host, current: Preferences) -> Path:
    if current.stacks:
        return Path(current.stacks)
    script_folder = host.script_folder()
    if script_folder is None:
        return Path.home() / ".layert2v" / "nuke"
    return script_folder / "layert2v"


def _menu_command(action: Callable[[], None]) -> Callable[[], None]:
    return lambda: _report_errors(action)


def _tick(host: Host, controller: Controller) -> None:
    """Run the controller; errors are printed, since a dialog at every tick would block Nuke."""
    try:
        controller.pump()
    except Exception:
        host.print(traceback.format_exc())


def _report_errors(action: Callable[[], None]) -> None:
    try:
        action()
    except (PluginError, ContractError) as error:
        plugin_state().host.show_message(f"{error.message} {error.hint}".strip())
    except Exception:  # Nuke itself would print it and go on, too
        plugin_state().host.print(traceback.format_exc())
        plugin_state().host.show_message("LayerT2V has failed; the Script Editor shows where.")


def _create_node() -> None:
    plugin_state().host.open_panel(plugin_state().controller.create())


def _decompose_selection() -> None:
    plugin_state().host.open_panel(plugin_state().controller.create(of_selection=True))


def _import_stack() -> None:
    chosen = plugin_state().host.ask_file("Choose stack.json of a layer stack", "stack.json")
    if chosen:
        import_stack(Path(chosen).parent if Path(chosen).suffix else chosen)


def _explode_selected() -> None:
    for node in plugin_state().host.selected_nodes():
        explode(node)


def _edit_preferences() -> None:
    chosen = ui.ask_preferences(plugin_state().host.nuke, plugin_state().preferences)
    if chosen is not None:
        preferences.save(chosen, preferences.nuke_folder() / preferences.FILE_NAME)
        plugin_state().preferences = chosen
        plugin_state().host.takes_nearest_colorspace = chosen.nearest_colorspace
        plugin_state().controller.close()
        plugin_state().controller.refresh()


def _run_self_check() -> None:
    report = checks.run(plugin_state().host.nuke)
    wrong = [check["what"] for check in report["checks"] if not check["right"]]
    count = len(report["checks"])
    plugin_state().host.show_message(
        f"Wrong: {', '.join(wrong)}" if wrong else f"All {count} checks hold."
    )


_COMMANDS: dict[str, Callable[[], None]] = {
    "Generate": _create_node,
    "Decompose": _decompose_selection,
    "Import stack": _import_stack,
    "Explode": _explode_selected,
    f"{LABELS['retry'].text} pending": refresh,
    "Preferences": _edit_preferences,
    "Self-check": _run_self_check,
}
