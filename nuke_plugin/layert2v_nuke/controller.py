"""What happens when: buttons in, requests out, and what the server says back onto the nodes.

Runs on the main thread alone and never waits: ``pump`` is called by a timer and does what there
is to do. The nodes' knobs are the memory. A request has an id before it is sent, so the same sent
again is the same job, and a node that was closed with its script goes on with it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from layert2v import stack as manifest
from layert2v.errors import ContractError
from layert2v.rerender.validation import RerenderSpec, rerender_to_json
from layert2v.spec import ModelInfo, model_from_json, spec_to_json
from layert2v_nuke import status_text
from layert2v_nuke.errors import BadRequest, PluginError
from layert2v_nuke.graph import node, tcl
from layert2v_nuke.graph.model import Colour, mute_knob, open_comp
from layert2v_nuke.host import Host
from layert2v_nuke.session import plates, requests, versions
from layert2v_nuke.session.connection import Connection, is_final


class Controller:
    """One session. ``stacks`` says where results go, ``wake`` makes somebody call ``pump``."""

    def __init__(
        self,
        host: Host,
        connection: Connection,
        stacks: Callable[[], Path],
        *,
        new_id: Callable[[], str],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.host, self._connection = host, connection
        self._stacks, self._new_id, self._wake = stacks, new_id, wake
        self._models: dict[str, ModelInfo] = {}
        self._asked: dict[int, str] = {}  # the line's message id: uuid
        self._presses: dict[str, str] = {}  # uuid: what waits for the server's models
        self._followed: dict[str, str] = {}  # request id: uuid
        self._plates: dict[str, plates.Plate] = {}
        self._look_around = False

    # What an artist does

    def press(self, uuid: str, action: str) -> None:
        """A button of the node, such as ``rerender fg_01``. Whatever is wrong appears on it."""
        verb, _, layer = action.partition(" ")
        try:
            if verb == "reroll":
                with self.host.undo("LayerT2V: re-roll"):
                    self.host.write(uuid, {"seed": str(int(self._new_id()[:7], 16))})
            elif verb == "explode":
                self.explode(uuid)
            elif verb == "cancel":
                self.cancel(uuid)
            else:
                self._begin(uuid, verb, layer)
        except (PluginError, ContractError) as problem:
            self._fail(uuid, problem)

    def create(self) -> str:
        """A new LayerT2V node; its uuid."""
        with self.host.undo("Create LayerT2V"):
            models = tuple(self._models) or (node.DEFAULT_MODEL,)
            wanted = node.group(self._new_id(), None, Path(), Colour(), models=models)
            return self.host.create(wanted)

    def import_stack(self, folder: Path) -> str:
        """A LayerT2V node with a stack; its uuid. Raises ``PluginError`` and ``ManifestError``."""
        stack = manifest.read(folder)
        tcl.path(folder)
        colour = self.host.colour(stack.colorspace)
        with self.host.undo("Import LayerT2V stack"):
            uuid = self.host.create(node.group(self._new_id(), None, Path(), Colour()))
            self.host.show(uuid, stack, folder, colour)
        self.host.note(uuid, status_text.shown(stack))
        return uuid

    def explode(self, uuid: str) -> None:
        """The node's stack as open nodes. Raises ``PluginError`` and ``ManifestError``."""
        values = self.host.values(uuid)
        folder = _folder(values)
        stack = versions.as_shown(folder, node.shown(values))
        colour = self.host.colour(stack.colorspace)
        muted = [layer.name for layer in stack.layers if values[mute_knob(layer.name)]]
        origin = self.host.below(uuid)
        graph = open_comp(stack, folder, colour, owner=uuid, origin=origin, muted=muted)
        with self.host.undo("Explode LayerT2V"):
            self.host.add(graph)

    def set_version(self, uuid: str, layer: str) -> None:
        """The artist has chosen another version of a layer; its shadow goes along."""
        values = self.host.values(uuid)
        shown = node.shown(values)
        try:
            folder = _folder(values)
            for one in versions.with_shadow(folder, layer, shown[layer]):
                shown[one.name] = one.version
            stack = versions.as_shown(folder, shown)
            colour = self.host.colour(stack.colorspace)
            with self.host.undo(f"LayerT2V: {layer} v{shown[layer]:03d}"):
                self.host.show(uuid, stack, folder, colour)
            if values["l2v_life"] == node.FAILED:  # such as by a version that is not there
                self.host.note(uuid, status_text.shown(stack))
        except (PluginError, ContractError) as problem:
            self._fail(uuid, problem)

    def cancel(self, uuid: str) -> None:
        """Stop what the node waits for."""
        values = self.host.values(uuid)
        if uuid in self._presses or self._plates.pop(uuid, None) is not None:
            self._presses.pop(uuid, None)
            self.host.note(uuid, status_text.cancelled(), keep=True)
        elif values["l2v_life"] in node.PENDING:
            self._send(uuid, "cancel", request_id=values["l2v_request"])
            self.host.note(uuid, status_text.life("cancelling", "Cancelling"))

    def refresh(self) -> None:
        """Ask for everything that is pending, again."""
        self._followed.clear()
        self._connection.hurry()
        self.look()

    def look(self) -> None:
        """Nodes have come or gone: see to them at the next ``pump``."""
        self._look_around = True
        self._wake()

    def close(self) -> None:
        """End the bridge; jobs go on."""
        self._connection.close()
        self._models = {}
        for known in (self._followed, self._asked, self._presses, self._plates):
            known.clear()

    @property
    def busy(self) -> bool:
        """Whether ``pump`` has anything to wait for."""
        waiting = self._presses or self._followed or self._plates or self._look_around
        return bool(waiting or self._connection.is_open)

    # What a timer does

    def pump(self) -> None:
        """Do what there is to do, and return soon."""
        if self._look_around:
            self._look_around = False
            self._resume_all()
        for uuid in list(self._plates):
            self._render_plate(uuid)
        try:
            if (self._presses or self._followed) and self._connection.open():
                for uuid in list(self._followed.values()):
                    self._resume(uuid)
            messages = self._connection.drain()
        except PluginError as problem:
            self._lost(problem)
            return
        for message in messages:
            try:
                self._take(message)
            except (PluginError, ContractError) as problem:
                self._complain(message, problem)

    def _begin(self, uuid: str, verb: str, layer: str) -> None:
        values = self.host.values(uuid)
        if values["l2v_life"] in node.PENDING or uuid in self._plates or uuid in self._presses:
            raise BadRequest("BUSY", "This node is waiting already.", "Cancel that first.")
        if verb != "generate":
            _folder(values)
        self._presses[uuid] = f"{verb} {layer}".strip()
        self.host.note(uuid, status_text.life(node.LOOKING, "Looking for the server"))
        self._send_presses()
        self._wake()

    def _send_presses(self) -> None:
        for uuid, action in list(self._presses.items()):
            if not self._models:
                return
            self._presses.pop(uuid)
            verb, _, layer = action.partition(" ")
            try:
                if verb == "generate":
                    self._generate(uuid)
                elif verb == "plate":
                    self._start_plate(uuid, layer)
                else:
                    self._rerender(uuid, [layer] if layer else [])
            except (PluginError, ContractError) as problem:
                self._fail(uuid, problem)

    def _generate(self, uuid: str) -> None:
        values, project = self.host.values(uuid), self.host.project()
        spec = requests.generate_spec(values, project, self._models)
        folder = _take(self._stacks() / f"{self.host.name(uuid)}_{uuid[:8]}")
        tcl.path(folder)
        self.host.note(uuid, status_text.made_as(spec, project))
        self._ask(uuid, {"do": "generate", "spec": spec_to_json(spec), "folder": str(folder)})

    def _rerender(self, uuid: str, layers: list[str]) -> None:
        values = self.host.values(uuid)
        stack = versions.state_shown(_folder(values), node.shown(values))
        spec = requests.rerender_spec(values, stack, layers, self._models)
        self._ask_rerender(uuid, spec, {})

    def _ask_rerender(self, uuid: str, spec: RerenderSpec, inputs: dict[str, list[str]]) -> None:
        folder = self.host.values(uuid)["folder"]
        asked = {"do": "rerender", "folder": folder, "spec": rerender_to_json(spec)}
        self._ask(uuid, {**asked, "inputs": inputs})

    def _ask(self, uuid: str, asked: dict[str, Any]) -> None:
        request = self._new_id()
        values = {"l2v_request": request, "l2v_job": "", "l2v_asked": json.dumps(asked)}
        self.host.note(uuid, {**values, **status_text.life(node.SENDING, "Sending")}, keep=True)
        self._followed[request] = uuid
        self._send(uuid, **asked, request_id=request)

    def _send(self, uuid: str, do: str, **values: Any) -> None:
        self._asked[self._connection.send(do, **values)] = uuid

    # Plates

    def _start_plate(self, uuid: str, layer: str) -> None:
        values = self.host.values(uuid)
        stack = versions.state_shown(_folder(values), node.shown(values))
        space = requests.plate_colorspace(values, self.host.project())
        requests.plate_spec(values, stack, layer, space, self._models)  # refuse before rendering
        place = self._stacks() / "plates" / self._new_id()[:8]
        self._plates[uuid] = plates.begin(self.host, uuid, stack, layer, space, place)

    def _render_plate(self, uuid: str) -> None:
        plate = self._plates[uuid]
        try:
            if plates.step(self.host, uuid, plate):
                done = plate.total - len(plate.frames)
                self.host.note(uuid, status_text.rendering(done, plate.total))
                return
            del self._plates[uuid]
            values = self.host.values(uuid)
            stack = versions.state_shown(_folder(values), node.shown(values))
            spec = requests.plate_spec(values, stack, plate.layer, plate.colorspace, self._models)
            self._ask_rerender(uuid, spec, {requests.PLATE: [str(plate.folder)]})
        except (PluginError, ContractError) as problem:
            self._plates.pop(uuid, None)
            self._fail(uuid, problem)

    # The bridge

    def _lost(self, problem: PluginError) -> None:
        """The bridge is gone: another is started in a while, unless that is of no use."""
        self._models = {}
        self._asked.clear()
        for uuid in {*self._presses, *self._followed.values()}:
            if not self.host.there(uuid):
                continue
            if is_final(problem):
                self._presses.pop(uuid, None)
                self._end(uuid, status_text.failed(vars(problem)))
            else:
                self.host.note(uuid, status_text.waiting(problem.message))

    def _resume_all(self) -> None:
        for uuid, names in self.host.nodes().items():
            known = self.host.known_as(uuid)
            first = known if known in names else names[0]
            for name in names:
                if name != first or not uuid:  # a copy, or a node written without Nuke
                    self.host.adopt(name, self._new_id())
            if not uuid:
                continue
            values = self.host.values(uuid)
            pending = values["l2v_life"] in node.PENDING and values["l2v_request"]
            if pending and values["l2v_request"] not in self._followed:
                self._followed[values["l2v_request"]] = uuid
                if self._connection.is_open:
                    self._resume(uuid)

    def _resume(self, uuid: str) -> None:
        """Follow the node's request: attach to its job, or ask the same again."""
        if not self.host.there(uuid):
            return
        values = self.host.values(uuid)
        try:
            asked = json.loads(values["l2v_asked"])
        except ValueError:  # somebody has written into a hidden knob
            self._end(uuid, status_text.unknown())
            return
        request, job = values["l2v_request"], values["l2v_job"]
        if job:
            self._send(uuid, "attach", request_id=request, job=job, folder=asked["folder"])
        else:
            self._send(uuid, **asked, request_id=request)
        if values["l2v_life"] == "cancelling":  # asked for when nobody was there to hear it
            self._send(uuid, "cancel", request_id=request)

    def _take(self, message: Mapping[str, Any]) -> None:
        if "id" in message:
            uuid = self._asked.pop(message["id"], "")
            if "error" in message and uuid:
                self._end(uuid, status_text.failed(message["error"]))
            return
        name = message["event"]
        if name == "Connected":
            self._connected(message)
        elif name == "Disconnected":
            self._disconnected(message)
        elif message.get("request_id") in self._followed:
            uuid = self._followed[message["request_id"]]
            if not self.host.there(uuid):
                del self._followed[message["request_id"]]  # deleted: the job goes on without us
                return
            self._job(uuid, name, message)

    def _complain(self, message: Mapping[str, Any], problem: PluginError | ContractError) -> None:
        """What was said cannot be used: tell the node it was for, or all that wait for a server."""
        owner = self._followed.get(message.get("request_id", ""))
        for uuid in [owner] if owner is not None else list(self._presses):
            self._presses.pop(uuid, None)
            self._end(uuid, status_text.failed(vars(problem)))

    def _connected(self, message: Mapping[str, Any]) -> None:
        self._connection.settled()
        models = [model_from_json(model) for model in message["models"]]
        self._models = {model.name: model for model in models}
        if models:
            for uuid in self.host.nodes():
                if self.host.there(uuid):
                    self.host.offer_models(uuid, list(self._models))
        self._send_presses()

    def _disconnected(self, message: Mapping[str, Any]) -> None:
        final = message["retry_in_s"] is None
        for uuid in list({*self._presses, *self._followed.values()}):
            if not self.host.there(uuid):
                continue
            if final and uuid in self._presses:
                del self._presses[uuid]
                self._end(uuid, status_text.failed(message))
            else:
                self.host.note(
                    uuid, status_text.waiting(f"{message['message']} {message['hint']}".strip())
                )

    def _job(self, uuid: str, name: str, message: Mapping[str, Any]) -> None:
        if name == "RequestUpdated":
            values = self.host.values(uuid)
            if message["job"] not in ("", values["l2v_job"]):
                self.host.note(uuid, {"l2v_job": message["job"]}, keep=True)
            self.host.note(uuid, {"l2v_life": message["state"], **status_text.changed(message)})
        elif name == "PreviewUpdated":
            self.host.note(uuid, status_text.preview(message["path"]))
        elif name == "RequestSucceeded":
            self._done(uuid, Path(message["folder"]))
        elif name == "RequestFailed":
            self._end(uuid, status_text.failed(message))
        elif name == "RequestCancelled":
            self._end(uuid, status_text.cancelled())
        elif name == "RequestLost":
            self._end(uuid, status_text.unknown())

    def _done(self, uuid: str, folder: Path) -> None:
        stack = manifest.read(folder)
        colour = self.host.colour(stack.colorspace)
        with self.host.undo(f"LayerT2V: {stack.name} v{stack.state:03d}"):
            self.host.show(uuid, stack, folder, colour)
        self._end(uuid, status_text.shown(stack))

    def _end(self, uuid: str, values: Mapping[str, Any]) -> None:
        for request in [one for one, owner in self._followed.items() if owner == uuid]:
            del self._followed[request]
        if self.host.there(uuid):
            self.host.note(uuid, values, keep=True)

    def _fail(self, uuid: str, problem: PluginError | ContractError) -> None:
        """Nothing was sent; what the node waits for already goes on."""
        if not self.host.there(uuid):
            return
        pending = uuid in self._followed.values()
        values = status_text.told(problem) if pending else status_text.failed(vars(problem))
        self.host.note(uuid, values)


def _folder(values: Mapping[str, Any]) -> Path:
    if not values["folder"]:
        raise BadRequest("NO_STACK", "There is no stack yet.", "Press Generate first.")
    return Path(values["folder"])


def _take(place: Path) -> Path:
    """The next folder that is not there yet."""
    number = 1
    while (place / f"take_{number:03d}").exists():
        number += 1
    return place / f"take_{number:03d}"
