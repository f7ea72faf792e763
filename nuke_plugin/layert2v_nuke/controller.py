"""Buttons in, requests out, and what the server answers onto the nodes.

Runs on the main thread alone and never waits: a timer calls ``pump``, which does what can be done
now. The nodes' knobs are the memory: a request has an id before it is sent, so the same request
sent again is the same job, and a node that was closed with its script goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from layert2v.errors import ContractError
from layert2v.priorities import PRIORITIES
from layert2v.spec import ModelInfo, model_from_json
from layert2v_nuke import actions, edits, status_text
from layert2v_nuke.actions import Action
from layert2v_nuke.errors import BadRequest, PluginError
from layert2v_nuke.graph import node
from layert2v_nuke.host import Host
from layert2v_nuke.session import renders
from layert2v_nuke.session.connection import Connection, is_final
from layert2v_nuke.session.renders import Rendering
from layert2v_nuke.session.saved_request import SavedRequest


class Controller:
    """The requests of all LayerT2V nodes of one Nuke.

    ``stacks_folder`` says where results go, ``start_timer`` makes somebody call ``pump``.
    """

    def __init__(
        self,
        host: Host,
        connection: Connection,
        stacks_folder: Callable[[], Path],
        *,
        new_id: Callable[[], str],
        start_timer: Callable[[], None] = lambda: None,
    ) -> None:
        self.host, self._connection = host, connection
        self._stacks_folder, self._new_id, self._start_timer = stacks_folder, new_id, start_timer
        self._models: dict[str, ModelInfo] = {}
        self._priorities: tuple[str, ...] = PRIORITIES  # that the server lets this user give
        self._uuid_by_message: dict[int, str] = {}  # id of a message to the bridge: node
        self._pending_actions: dict[str, str] = {}  # node: action that needs the server's models
        self._active_requests: dict[str, str] = {}  # request id: node
        self._renders: dict[str, tuple[Action, Rendering]] = {}
        self._scan_scheduled = False

    # Buttons and menus

    def on_button(self, uuid: str, action: str) -> None:
        """Run a button of the node, such as ``rerender fg_01``; errors appear on the node."""
        verb, _, subject = action.partition(" ")
        try:
            if verb in edits.SUBJECT_EDITS:
                edits.change_subjects(self.host, uuid, verb, subject)
            elif verb == "reroll":
                with self.host.undo("LayerT2V: re-roll"):
                    self.host.set_knobs(uuid, {"seed": str(int(self._new_id()[:7], 16))})
            elif verb == "draw_place":
                edits.draw_place(self.host, uuid, int(subject))
            elif verb == "explode":
                edits.explode(self.host, uuid)
            elif verb == "cancel":
                self.cancel(uuid)
            else:
                self._start_action(uuid, action)
        except (PluginError, ContractError) as error:
            self._show_error(uuid, error)

    def create(self, *, of_selection: bool = False) -> str:
        """Create a LayerT2V node and return its uuid; ``of_selection`` takes that as footage."""
        models = tuple(self._models)
        return edits.create_node(self.host, self._new_id(), models, of_selection=of_selection)

    def import_stack(self, folder: Path) -> str:
        """Create a LayerT2V node that shows a stack and return its uuid.

        Raises ``PluginError`` and ``ManifestError``.
        """
        return edits.import_stack(self.host, self._new_id(), folder)

    def set_version(self, uuid: str, layer: str) -> None:
        """Show the version that the layer's knob names; errors appear on the node."""
        try:
            edits.show_chosen_version(self.host, uuid, layer)
        except (PluginError, ContractError) as error:
            self._show_error(uuid, error)

    def cancel(self, uuid: str) -> None:
        """Stop what the node waits for."""
        values = self.host.knob_values(uuid)
        if uuid in self._pending_actions or self._renders.pop(uuid, None) is not None:
            self._pending_actions.pop(uuid, None)
            self._update(uuid, status_text.cancellation(), save=True)
        elif values[node.STATUS_KNOB] in node.PENDING:
            self._send(uuid, "cancel", request_id=values[node.REQUEST_KNOB])
            self._update(uuid, status_text.status("cancelling", "Cancelling"))

    def refresh(self) -> None:
        """Send every pending request again, at once."""
        self._active_requests.clear()
        self._connection.retry_now()
        self.schedule_scan()

    def schedule_scan(self) -> None:
        """Look for new and deleted nodes at the next ``pump``."""
        self._scan_scheduled = True
        self._start_timer()

    def close(self) -> None:
        """End the bridge; jobs on the server go on."""
        self._connection.close()
        self._models = {}
        self._active_requests.clear()
        self._uuid_by_message.clear()
        self._pending_actions.clear()
        self._renders.clear()

    @property
    def busy(self) -> bool:
        """Whether ``pump`` has to be called again."""
        waiting = self._pending_actions or self._active_requests or self._renders
        return bool(waiting or self._scan_scheduled or self._connection.is_open)

    # The timer

    def pump(self) -> None:
        """Do what can be done now, and return soon."""
        if self._scan_scheduled:
            self._scan_scheduled = False
            self._resume_all()
        for uuid in list(self._renders):
            self._render(uuid)
        try:
            if (self._pending_actions or self._active_requests) and self._connection.open():
                for uuid in list(self._active_requests.values()):
                    self._resume(uuid)
            messages = self._connection.drain()
        except PluginError as error:
            self._on_bridge_failure(error)
            return
        for message in messages:
            try:
                self._handle_message(message)
            except (PluginError, ContractError) as error:
                self._report_invalid_message(message, error)

    def _start_action(self, uuid: str, action: str) -> None:
        values = self.host.knob_values(uuid)
        is_waiting = uuid in self._renders or uuid in self._pending_actions
        if is_waiting or values[node.STATUS_KNOB] in node.PENDING:
            raise BadRequest("BUSY", "This node is waiting already.", "Cancel that first.")
        if actions.needs_stack(action.partition(" ")[0]):
            edits.stack_folder(values)  # raises where there is none
        self._pending_actions[uuid] = action
        self._update(uuid, status_text.status(node.CONNECTING, "Looking for the server"))
        self._run_pending_actions()
        self._start_timer()

    def _run_pending_actions(self) -> None:
        for uuid, pressed in list(self._pending_actions.items()):
            if not self._models:
                return
            self._pending_actions.pop(uuid)
            stacks = self._stacks_folder()
            folder = stacks / renders.FOLDER / self._new_id()[:8]
            scope = actions.Scope(self.host, uuid, self._models, stacks, folder)
            verb, _, layer = pressed.partition(" ")
            try:
                priority = actions.chosen_priority(scope, self._priorities)
                action = actions.prepare(scope, verb, layer, priority)
                self._update(uuid, action.shown)
                if action.frames:
                    self._renders[uuid] = (action, renders.start(action.frames))
                else:
                    self._submit(uuid, action.request)
            except (PluginError, ContractError) as error:
                self._show_error(uuid, error)

    def _submit(self, uuid: str, saved: SavedRequest) -> None:
        """Save a new request in the node and send it."""
        request = self._new_id()
        values = {
            node.REQUEST_KNOB: request,
            node.JOB_KNOB: "",
            node.REQUEST_JSON_KNOB: saved.to_json(),
            **status_text.status(node.SENDING, "Sending"),
        }
        self._update(uuid, values, save=True)
        self._active_requests[request] = uuid
        self._send(uuid, saved.method, **saved.params, request_id=request)

    def _send(self, uuid: str, method: str, **params: Any) -> None:
        self._uuid_by_message[self._connection.send(method, **params)] = uuid

    def _render(self, uuid: str) -> None:
        """Render a frame for the action of a node, and send it after the last one."""
        action, rendering = self._renders[uuid]
        try:
            if renders.render_next_frame(self.host, uuid, rendering):
                done = rendering.total - len(rendering.left)
                self._update(uuid, status_text.render_progress(done, rendering.total))
                return
            del self._renders[uuid]
            self._submit(uuid, action.request)
        except (PluginError, ContractError) as error:
            self._renders.pop(uuid, None)
            self._show_error(uuid, error)

    def _remove_renders(self, uuid: str) -> None:
        """Remove what was rendered for the node's request, which is in its stack now."""
        open_nodes = filter(self.host.exists, set(self._active_requests.values()))
        others = [saved.inputs for saved in map(self._saved_request, open_nodes) if saved]
        saved = self._saved_request(uuid)
        if saved is not None:
            renders.remove(saved.inputs, self._stacks_folder(), others)

    def _saved_request(self, uuid: str) -> SavedRequest | None:
        return SavedRequest.from_json(self.host.knob_values(uuid)[node.REQUEST_JSON_KNOB])

    # The bridge

    def _on_bridge_failure(self, error: PluginError) -> None:
        """Wait for another bridge, or give up where starting one again is of no use."""
        self._models = {}
        self._uuid_by_message.clear()
        for uuid in {*self._pending_actions, *self._active_requests.values()}:
            if not self.host.exists(uuid):
                continue
            if is_final(error):
                self._pending_actions.pop(uuid, None)
                self._finish(uuid, status_text.failure(vars(error)))
            else:
                self._update(uuid, status_text.waiting_for(error.message))

    def _resume_all(self) -> None:
        for uuid, names in self.host.node_names().items():
            known = self.host.last_known_name(uuid)
            first = known if known in names else names[0]
            for name in names:
                if name != first or not uuid:  # a copy, or a node written without Nuke
                    self.host.assign_uuid(name, self._new_id())
            if not uuid:
                continue
            values = self.host.knob_values(uuid)
            pending = values[node.STATUS_KNOB] in node.PENDING and values[node.REQUEST_KNOB]
            if pending and values[node.REQUEST_KNOB] not in self._active_requests:
                self._active_requests[values[node.REQUEST_KNOB]] = uuid
                if self._connection.is_open:
                    self._resume(uuid)

    def _resume(self, uuid: str) -> None:
        """Attach to the job of the node's request, or send the same request again."""
        if not self.host.exists(uuid):
            return
        values = self.host.knob_values(uuid)
        saved = self._saved_request(uuid)
        if saved is None:
            self._finish(uuid, status_text.lost_job())
            return
        request, job = values[node.REQUEST_KNOB], values[node.JOB_KNOB]
        if job:
            self._send(uuid, "attach", request_id=request, job=job, folder=saved.params["folder"])
        else:
            self._send(uuid, saved.method, **saved.params, request_id=request)
        if values[node.STATUS_KNOB] == "cancelling":  # pressed while no bridge was running
            self._send(uuid, "cancel", request_id=request)

    def _handle_message(self, message: Mapping[str, Any]) -> None:
        if "id" in message:
            uuid = self._uuid_by_message.pop(message["id"], "")
            if "error" in message and uuid:
                self._finish(uuid, status_text.failure(message["error"]))
            return
        name = message["event"]
        if name == "Connected":
            self._on_connected(message)
        elif name == "AccountUpdated":
            self._on_account(message)
        elif name == "Disconnected":
            self._on_disconnected(message)
        elif message.get("request_id") in self._active_requests:
            uuid = self._active_requests[message["request_id"]]
            if not self.host.exists(uuid):
                del self._active_requests[message["request_id"]]  # its job goes on without us
                return
            self._on_job_event(uuid, name, message)

    def _report_invalid_message(
        self, message: Mapping[str, Any], error: PluginError | ContractError
    ) -> None:
        """Show the error on the node the message was for, or on all that wait for the server."""
        owner = self._active_requests.get(message.get("request_id", ""))
        for uuid in [owner] if owner is not None else list(self._pending_actions):
            self._pending_actions.pop(uuid, None)
            self._finish(uuid, status_text.failure(vars(error)))

    def _on_connected(self, message: Mapping[str, Any]) -> None:
        self._connection.reset_backoff()
        models = [model_from_json(model) for model in message["models"]]
        self._models = {model.name: model for model in models}
        if models:
            for uuid in self.host.node_names():
                if self.host.exists(uuid):
                    self.host.set_model_items(uuid, list(self._models))
        self._run_pending_actions()

    def _on_account(self, message: Mapping[str, Any]) -> None:
        self._priorities = tuple(message["priorities"])
        for uuid in self.host.node_names():
            if self.host.exists(uuid):
                self.host.show_account(uuid, status_text.account(message))

    def _on_disconnected(self, message: Mapping[str, Any]) -> None:
        final = message["retry_in_s"] is None
        for uuid in list({*self._pending_actions, *self._active_requests.values()}):
            if not self.host.exists(uuid):
                continue
            if final and uuid in self._pending_actions:
                del self._pending_actions[uuid]
                self._finish(uuid, status_text.failure(message))
            else:
                reason = f"{message['message']} {message['hint']}".strip()
                self._update(uuid, status_text.waiting_for(reason))

    def _on_job_event(self, uuid: str, name: str, message: Mapping[str, Any]) -> None:
        if name == "RequestUpdated":
            values = self.host.knob_values(uuid)
            if message["job"] not in ("", values[node.JOB_KNOB]):
                self._update(uuid, {node.JOB_KNOB: message["job"]}, save=True)
            progress = status_text.job_progress(message)
            self._update(uuid, {node.STATUS_KNOB: message["state"], **progress})
        elif name == "PreviewUpdated":
            self._update(uuid, status_text.preview_image(message["path"]))
        elif name == "RequestSucceeded":
            self._show_result(uuid, Path(message["folder"]))
        elif name == "RequestFailed":
            self._finish(uuid, status_text.failure(message))
            self._submit_shots(uuid, message)
        elif name == "RequestCancelled":
            self._finish(uuid, status_text.cancellation())
        elif name == "RequestLost":
            self._finish(uuid, status_text.lost_job())

    def _show_result(self, uuid: str, folder: Path) -> None:
        stack = edits.show_newest_state(self.host, uuid, folder)
        saved = self._saved_request(uuid)
        self._finish(uuid, status_text.stack_summary(stack, "" if saved is None else saved.note))
        self._remove_renders(uuid)

    def _submit_shots(self, uuid: str, message: Mapping[str, Any]) -> None:
        """Ask for each shot of footage with cuts, where that is wanted: the first in this node."""
        saved = self._saved_request(uuid)
        shots = saved.shot_requests(message["reason"], message["hint"]) if saved else ()
        new = [self._new_id() for _ in shots[1:]]
        nodes = edits.create_shot_nodes(self.host, uuid, new, tuple(self._models))
        for owner, shot in zip((uuid, *nodes), shots):
            edits.set_range(self.host, owner, shot.params["spec"])
            self._submit(owner, shot)

    def _finish(self, uuid: str, values: Mapping[str, Any]) -> None:
        for request in [one for one, owner in self._active_requests.items() if owner == uuid]:
            del self._active_requests[request]
        if self.host.exists(uuid):
            self._update(uuid, values, save=True)

    def _update(self, uuid: str, values: Mapping[str, Any], *, save: bool = False) -> None:
        """Show progress on the node; with ``save`` the project has to be saved for it."""
        self.host.set_knobs_without_undo(uuid, values, mark_modified=save)

    def _show_error(self, uuid: str, error: PluginError | ContractError) -> None:
        """Show why nothing was sent; a request that is active already goes on."""
        if not self.host.exists(uuid):
            return
        pending = uuid in self._active_requests.values()
        values = status_text.error_message(error) if pending else status_text.failure(vars(error))
        self._update(uuid, values)
