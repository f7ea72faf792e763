"""The requests of this Blender, and the sessions with servers that carry them out.

The client works in a thread of its own and never touches ``bpy``; here its events are read, on the
main thread, by ``pump``: from a timer in the interface, from a script's own loop in background.
Requests live outside the scenes, so that an undo cannot turn back what a server has done; a scene
only gets a record of its open requests, to follow them again when it is opened another day.
"""

from __future__ import annotations

import contextlib
import json
import logging
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from layert2v.decompose import decompose_from_json, refine_from_json
from layert2v.rerender import rerender_from_json
from layert2v.spec import spec_from_json

from . import model_cache, preview_icons, render_plate
from .settings import offline_reason, preferences, session_settings

if TYPE_CHECKING:
    from layert2v_client.session import (
        AccountUpdated,
        Connected,
        Disconnected,
        Event,
        RequestUpdated,
        Session,
        SessionSettings,
    )

BUSY_INTERVAL_S, IDLE_INTERVAL_S = 0.1, 0.5
PUMP_BUDGET_S = 0.02  # of the interface's time for one pump, after its first import

# Fields of ``Request`` -> keys of its record, which is saved in .blend files.
_RECORD_KEYS = {
    "kind": "kind", "title": "title", "folder": "folder", "server": "server", "spec": "wish",
    "inputs": "inputs", "stack": "stack", "target": "target", "id": "id", "job": "job",
}  # fmt: skip

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Request:
    """A request of a scene. ``spec`` and ``inputs`` are JSON values of the contract.

    ``stack`` is the uid of the stack that a change belongs to, ``target`` where to open a new
    one. ``scene`` is the session_uid of its scene; it and what follows are not saved.
    """

    kind: str  # generate, decompose, rerender or refine
    title: str
    folder: str
    server: str
    spec: dict[str, Any]
    inputs: dict[str, list[str]] = field(default_factory=dict)
    stack: str = ""
    target: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    job: str = ""
    scene: int = 0
    last_update: RequestUpdated | None = None
    end: Event | None = None  # the event that ended it
    disconnected_reason: str = ""  # why no session follows it
    import_error: str = ""  # why its stack cannot be opened

    @property
    def is_open(self) -> bool:
        """Whether it has not ended."""
        return self.end is None

    @property
    def outcome(self) -> str:
        """The name of the event that ended it; empty before."""
        return "" if self.end is None else type(self.end).__name__

    @property
    def has_failed(self) -> bool:
        """Whether it ended without a stack, and not because the artist cancelled it."""
        return self.outcome in ("RequestFailed", "RequestLost") or bool(self.import_error)

    def to_record(self) -> str:
        """Return what is saved with the scene."""
        return json.dumps({key: getattr(self, name) for name, key in _RECORD_KEYS.items()})

    @classmethod
    def from_record(cls, record: str) -> Request | None:
        """Return the request that was saved; None if the record cannot be read."""
        try:
            values = json.loads(record)
            return cls(**{name: values[key] for name, key in _RECORD_KEYS.items()})
        except (ValueError, KeyError, TypeError):
            _log.warning("a saved request cannot be read and is left out")
            return None


@dataclass
class ServerSession:
    """A session with one server, the last event about the connection, and about the user."""

    session: Session
    status: Connected | Disconnected | None = None
    account: AccountUpdated | None = None


class RequestManager:
    """All sessions and requests of this Blender."""

    def __init__(self) -> None:
        self.requests: dict[str, Request] = {}
        self._sessions: dict[SessionSettings, ServerSession] = {}
        self._finished: list[str] = []  # ids of requests whose stacks wait for their import

    def connect(self) -> None:
        """Connect to the server of the preferences; ``server_status`` tells the result."""
        current = self._current_session()
        current.status = None
        current.session.connect()
        for request in self.requests.values():
            if request.disconnected_reason:
                self._attach(request)

    @property
    def server_status(self) -> Connected | Disconnected | None:
        """The last status of the server of the preferences; None while it is unknown."""
        current = self._sessions.get(session_settings()) if self._sessions else None
        return None if current is None else current.status

    @property
    def account(self) -> AccountUpdated | None:
        """What the user has on the server of the preferences; None while it is unknown."""
        current = self._sessions.get(session_settings()) if self._sessions else None
        return None if current is None else current.account

    @property
    def has_session(self) -> bool:
        """Whether there is a session with the server of the preferences."""
        return bool(self._sessions) and session_settings() in self._sessions

    def submit(self, request: Request, scene: bpy.types.Scene) -> None:
        """Send a request. Raises ``ContractError`` if its spec is not one."""
        session = self._current_session().session
        folder = Path(request.folder)
        sending = {"request_id": request.id, "priority": scene.layert2v.priority}
        if request.kind == "generate":
            session.generate(spec_from_json(request.spec), folder=folder, **sending)
        elif request.kind == "decompose":
            session.decompose(
                decompose_from_json(request.spec),
                request.inputs,
                folder=folder,
                **sending,
            )
        elif request.kind == "refine":
            refinement = refine_from_json(request.spec)
            session.refine(folder, refinement, request.inputs, **sending)
        else:
            spec = rerender_from_json(request.spec)
            session.rerender(folder, spec, request.inputs, **sending)
        request.scene = scene.session_uid
        self.requests[request.id] = request
        self.save_records()

    def resume(self, scene: bpy.types.Scene) -> None:
        """Follow the requests again that were open when the scene was saved."""
        for saved in scene.layert2v.requests:
            request = self.requests.get(saved.request_id) or Request.from_record(saved.record)
            if request is None:
                continue
            request.scene = scene.session_uid
            if request.id not in self.requests:
                self.requests[request.id] = request
                self._attach(request)
            elif request.outcome == "RequestSucceeded":
                self._finished.append(request.id)

    def cancel(self, request_id: str) -> None:
        """Cancel a request."""
        for current in self._sessions.values():
            current.session.cancel(request_id)

    def dismiss(self, request_id: str) -> None:
        """Remove a request that has ended."""
        self.requests.pop(request_id, None)
        self.save_records()

    def scene_requests(self, scene: bpy.types.Scene) -> list[Request]:
        """Return the requests of a scene, oldest first."""
        uid = scene.session_uid
        return [request for request in self.requests.values() if request.scene == uid]

    @property
    def busy(self) -> bool:
        """Whether events or imports are still expected."""
        followed = (
            request.is_open and not request.disconnected_reason
            for request in self.requests.values()
        )
        return bool(self._finished) or any(followed)

    def pump(self) -> float:
        """Read events and bring results to the scenes; return seconds to the next call."""
        deadline = time.monotonic() + PUMP_BUDGET_S
        events = 0
        for settings, current in list(self._sessions.items()):
            for event in current.session.events():
                events += 1
                self._handle_event(settings, current, event)
        while self._finished and not bpy.app.is_job_running("RENDER"):
            self._import_result(self.requests[self._finished.pop(0)])
            events += 1
            if time.monotonic() > deadline:
                break
        if events:
            _redraw_areas()
        self._close_unused_sessions()
        return BUSY_INTERVAL_S if self.busy else IDLE_INTERVAL_S

    def save_records(self) -> None:
        """Write the open requests into their scenes."""
        for scene in bpy.data.scenes:
            requests = [request for request in self.scene_requests(scene) if request.is_open]
            saved = scene.layert2v.requests
            if not requests and not saved:
                continue
            saved.clear()
            for request in requests:
                row = saved.add()
                row.request_id, row.job, row.record = request.id, request.job, request.to_record()

    def close(self) -> None:
        """End all sessions; jobs go on as long as their server does."""
        for current in self._sessions.values():
            current.session.close()
        self._sessions.clear()

    def _current_session(self) -> ServerSession:
        from layert2v_client.session import Session

        settings = session_settings()
        if settings not in self._sessions:
            self._sessions[settings] = ServerSession(Session(settings))
        return self._sessions[settings]

    def _attach(self, request: Request) -> None:
        # The token is for the server of the preferences, not for one that a .blend names.
        if request.server != preferences().server:
            server = request.server or "a server on its own machine"
            request.disconnected_reason = f"It belongs to {server}."
        else:
            request.disconnected_reason = offline_reason()
        if request.disconnected_reason:
            return
        if request.job:
            session = self._current_session().session
            session.attach(request.id, request.job, Path(request.folder))
        else:  # closed before the server had given it a name; nothing is sent without the artist
            request.end = _lost_event(request)

    def _handle_event(
        self, settings: SessionSettings, current: ServerSession, event: Event
    ) -> None:
        from layert2v_client import session  # only here: it loads gRPC

        if isinstance(event, session.AccountUpdated):
            current.account = event
            return
        if isinstance(event, (session.Connected, session.Disconnected)):
            current.status = event
            if isinstance(event, session.Connected):
                model_cache.save_models(settings.server, event.models)
            return
        request = self.requests.get(event.request_id)
        if request is None:
            return
        if isinstance(event, session.PreviewUpdated):
            preview_icons.load_icon(request.id, event.path)
        elif isinstance(event, session.RequestUpdated):
            known_job, request.job = request.job, event.job or request.job
            request.last_update = event
            if request.job != known_job:
                self.save_records()
        else:
            request.end = event
            render_plate.delete_plate(request.id)
            if isinstance(event, session.RequestSucceeded):
                self._finished.append(request.id)
            self.save_records()

    def _import_result(self, request: Request) -> None:
        """Bring a stack into its scene, as one step that can be undone."""
        try:
            with _window_context():
                operator = bpy.ops.layert2v.import_result
                if operator("EXEC_DEFAULT", True, request_id=request.id) == {"FINISHED"}:
                    self.dismiss(request.id)
        except RuntimeError as error:  # what an operator reports as an error
            request.import_error = str(error)

    def _close_unused_sessions(self) -> None:
        """Close sessions of settings that have since been changed, once nothing waits on them."""
        if len(self._sessions) > 1 and not self.busy:
            current = session_settings()
            for settings in [other for other in self._sessions if other != current]:
                self._sessions.pop(settings).session.close()


request_manager = RequestManager()  # lives as long as the add-on is enabled


def pump() -> float:
    """Call ``RequestManager.pump`` once; for scripts in background mode, where no timer runs."""
    return request_manager.pump()


def _lost_event(request: Request) -> Event:
    from layert2v_client.session import RequestLost

    return RequestLost(request.id, request.job)


@contextlib.contextmanager
def _window_context() -> Iterator[None]:
    """Give a timer a window, which it lacks and an undo step is better made with."""
    windows = bpy.context.window_manager.windows
    if bpy.context.window is not None or not windows:
        yield
    else:
        with bpy.context.temp_override(window=windows[0]):
            yield


def _redraw_areas() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in {"NODE_EDITOR", "SEQUENCE_EDITOR", "VIEW_3D", "PREFERENCES"}:
                area.tag_redraw()


def _on_timer() -> float:
    try:
        return request_manager.pump()
    except Exception:  # an error must not stop the timer for good
        _log.exception("a turn of the pump failed")
        return IDLE_INTERVAL_S


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _on_load(*_: Any) -> None:
    for scene in bpy.data.scenes:
        request_manager.resume(scene)


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _on_save_or_undo(*_: Any) -> None:
    request_manager.save_records()


_HANDLERS = (
    ("load_post", _on_load),
    ("save_pre", _on_save_or_undo),
    ("undo_post", _on_save_or_undo),
    ("redo_post", _on_save_or_undo),
)


def register() -> None:
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    bpy.app.timers.register(_on_timer, first_interval=IDLE_INTERVAL_S, persistent=True)


def unregister() -> None:
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).remove(handler)
    request_manager.close()
    request_manager.requests.clear()
