"""The requests of this Blender, and the sessions with servers that carry them out.

The client works in a thread of its own and never touches ``bpy``; here its events are read, on the
main thread, by ``pump``: from a timer in the interface, from a script's own loop in background.
Requests live outside the scenes, so that an undo cannot turn back what a server has done; a scene
only gets a record of its open requests, to follow them again when it is opened another day.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bpy

from layert2v.decompose import decompose_from_json, refine_from_json
from layert2v.rerender import rerender_from_json
from layert2v.spec import spec_from_json

from . import model_cache, preview_icons, render_plate
from .job_request import Request
from .settings import offline_reason, preferences, session_settings

if TYPE_CHECKING:
    from layert2v_client.session import (
        AccountUpdated,
        Connected,
        Disconnected,
        Event,
        Session,
        SessionSettings,
    )

BUSY_INTERVAL_S, IDLE_INTERVAL_S = 0.1, 0.5
PUMP_BUDGET_S = 0.02  # of the interface's time for one pump, after its first import

_log = logging.getLogger(__name__)


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
        request.scene, request.priority = scene.session_uid, scene.layert2v.priority
        self._send(request, self._current_session().session)
        self.save_records()

    def _send(self, request: Request, session: Session) -> None:
        folder = Path(request.folder)
        sending = {"request_id": request.id, "priority": request.priority}
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
        self.requests[request.id] = request

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
            self._end_request(request, event, current)

    def _end_request(self, request: Request, event: Event, current: ServerSession) -> None:
        """Note how a request ended; footage with cuts goes on as a request for each shot."""
        request.end = event
        if request.outcome == "RequestSucceeded":
            self._finished.append(request.id)
        parts, note = request.shot_requests()
        if parts and all(scene.session_uid != request.scene for scene in bpy.data.scenes):
            del self.requests[request.id]  # its file was closed, and takes it up again later
            return
        for part in parts:
            self._send(part, current.session)
        if parts and note:
            request.note = note
        elif parts:
            del self.requests[request.id]
        self._delete_plates(request)
        self.save_records()

    def _delete_plates(self, ended: Request) -> None:
        """Delete what was rendered for a request that has ended, unless others still need it."""
        others = [each for each in self.requests.values() if each.is_open]
        in_use = {plate for each in others for plate in render_plate.plates_of(each.inputs)}
        for plate in {ended.id, *render_plate.plates_of(ended.inputs)} - in_use:
            render_plate.delete_plate(plate)

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
