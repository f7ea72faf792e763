"""For pipeline code, for the buttons of the node and for Nuke's callbacks.

    from layert2v_nuke import api
    node = api.create(prompt="a red fox in the snow")
    api.generate(node)
    api.wait(node)                  # nuke -t: nobody else does the work; in the interface, do not

A node is named by its uuid, which outlives renaming. Call everything on the main thread.
"""

from __future__ import annotations

import os
import time
import traceback
import uuid as uuids
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from layert2v import stack as manifest
from layert2v.errors import ContractError
from layert2v_nuke import preferences, ui
from layert2v_nuke.controller import Controller
from layert2v_nuke.errors import PluginError
from layert2v_nuke.graph import node as nodes
from layert2v_nuke.graph.colorspaces import unconverted
from layert2v_nuke.graph.model import open_comp
from layert2v_nuke.graph.script import project, script, write
from layert2v_nuke.host import Host
from layert2v_nuke.preferences import Preferences
from layert2v_nuke.selfcheck import checks
from layert2v_nuke.session import bridge
from layert2v_nuke.session.connection import Connection

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Session:
    """What one Nuke has of this plug-in."""

    host: Host
    controller: Controller
    timer: ui.Timer
    preferences: Preferences


@lru_cache(maxsize=1)
def session() -> Session:
    """The session of this Nuke, made at first use."""
    host = Host.running()
    try:
        chosen = preferences.load(preferences.folder() / preferences.NAME)
    except PluginError as problem:  # Nuke starts and has its menu, to set them right
        host.print(problem.sentence())
        chosen = Preferences()
    return start(host, chosen)


def start(host: Host, chosen: Preferences) -> Session:
    """A session; no bridge yet."""
    log = preferences.folder() / "layert2v_bridge.log"

    def open_line() -> bridge.Bridge:
        started = bridge.command(made.preferences, ROOT)
        return bridge.Bridge(started, log if log.parent.is_dir() else None)

    connection = Connection(open_line, lambda: made.preferences.session(), time.monotonic)
    controller = Controller(
        host,
        connection,
        lambda: _stacks(host, made.preferences),
        new_id=lambda: str(uuids.uuid4()),
        wake=lambda: made.timer.start(),
    )
    timer = ui.Timer(host.nuke, lambda: _tick(host, controller), lambda: controller.busy)
    made = Session(host, controller, timer, chosen)
    return made


def create(**knobs: Any) -> str:
    """A new LayerT2V node with these knobs set; its uuid."""
    made = session().controller.create()
    session().host.write(made, knobs)
    return made


def generate(node: str) -> None:
    """Ask for a new stack; what is wrong appears on the node."""
    session().controller.press(node, "generate")


def rerender(node: str, layer: str = "") -> None:
    """Draw one layer again, or all that are not frozen."""
    session().controller.press(node, f"rerender {layer}".strip())


def use_input(node: str, layer: str) -> None:
    """Put what is connected to the input for this layer in its place."""
    session().controller.press(node, f"plate {layer}")


def cancel(node: str) -> None:
    """Stop what the node waits for."""
    session().controller.press(node, "cancel")


def set_version(node: str, layer: str, version: int) -> None:
    """Show another version of a layer."""
    session().host.write(node, {f"{layer}_version": version})
    session().controller.set_version(node, layer)


def import_stack(folder: str | os.PathLike[str]) -> str:
    """A new node that shows a stack; its uuid. Raises ``PluginError`` and ``ManifestError``."""
    return session().controller.import_stack(Path(folder).resolve())


def explode(node: str) -> None:
    """The node's stack as open nodes."""
    session().controller.press(node, "explode")


def refresh() -> None:
    """Ask for everything that is pending, again."""
    session().controller.refresh()


def state(node: str) -> str:
    """Where the node's request stands: ``done``, ``failed``, ``running``, ..."""
    return str(session().host.values(node)["l2v_life"])


def message(node: str) -> str:
    """What the node says."""
    return session().host.status(node)


def wait(node: str, timeout_s: float = 3600.0) -> str:
    """Do the work until the request has ended; its state. For ``nuke -t`` and farms."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        session().controller.pump()
        if state(node) not in (*nodes.PENDING, nodes.LOOKING, nodes.RENDERING):
            break
        time.sleep(0.02)
    return state(node)


def write_script(folder: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """A stack as a script of open nodes. Raises ``PluginError``, ``ManifestError``, ``OSError``."""
    place = Path(folder).resolve()
    stack = manifest.read(place)
    graph = open_comp(stack, place, unconverted(stack.colorspace))
    write(script(graph, project(stack)), Path(path))


# Buttons, menus and callbacks: the borders where an unexpected error is shown and goes no further


def press(action: str) -> None:
    """A button of the node that Nuke says it is."""
    _shown(lambda: session().controller.press(session().host.this(), action))


def knob_changed() -> None:
    """Nuke says that a knob of a node has changed."""
    _shown(_knob_changed)


def install() -> None:
    """Menus, toolbar and callbacks. For ``menu.py``."""
    nuke = session().host.nuke
    ui.menus(nuke, {label: _command(act) for label, act in _COMMANDS.items()})
    for kind in (nuke.addOnCreate, nuke.addOnDestroy):
        kind(_nodes_changed, nodeClass="Group")
    nuke.addOnScriptLoad(_nodes_changed)
    nuke.addOnScriptClose(lambda: _shown(session().controller.close))


def _knob_changed() -> None:
    host, name = session().host, session().host.this_knob()
    if name.endswith("_version"):
        session().controller.set_version(host.this(), name[: -len("_version")])


def _nodes_changed() -> None:
    _shown(session().controller.look)


def _stacks(host: Host, chosen: Preferences) -> Path:
    if chosen.stacks:
        return Path(chosen.stacks)
    beside = host.script_folder()
    return Path.home() / ".layert2v" / "nuke" if beside is None else beside / "layert2v"


def _command(act: Callable[[], None]) -> Callable[[], None]:
    return lambda: _shown(act)


def _tick(host: Host, controller: Controller) -> None:
    """The timer's border: a dialog at every tick would be the end of Nuke, so only a print."""
    try:
        controller.pump()
    except Exception:
        host.print(traceback.format_exc())


def _shown(act: Callable[[], None]) -> None:
    try:
        act()
    except (PluginError, ContractError) as problem:
        session().host.say(f"{problem.message} {problem.hint}".strip())
    except Exception:  # the border: Nuke would print it and go on, too
        session().host.print(traceback.format_exc())
        session().host.say("LayerT2V has failed; the Script Editor shows where.")


def _new() -> None:
    session().host.open_panel(session().controller.create())


def _import() -> None:
    chosen = session().host.ask_file("Choose stack.json of a layer stack", "stack.json")
    if chosen:
        import_stack(Path(chosen).parent if Path(chosen).suffix else chosen)


def _explode() -> None:
    for node in session().host.selected():
        explode(node)


def _preferences() -> None:
    chosen = ui.ask_preferences(session().host.nuke, session().preferences)
    if chosen is not None:
        preferences.save(chosen, preferences.folder() / preferences.NAME)
        session().preferences = chosen
        session().controller.close()
        session().controller.refresh()


def _self_check() -> None:
    report = checks.run(session().host.nuke)
    wrong = [check["what"] for check in report["checks"] if not check["right"]]
    said = f"Wrong: {', '.join(wrong)}" if wrong else f"All {len(report['checks'])} checks hold."
    session().host.say(said)


_COMMANDS: dict[str, Callable[[], None]] = {
    "Generate": _new,
    "Import stack": _import,
    "Explode": _explode,
    "Refresh pending": refresh,
    "Preferences": _preferences,
    "Self-check": _self_check,
}
