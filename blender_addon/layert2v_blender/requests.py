"""What is asked of servers from this Blender, and how it is doing.

The client works in a thread of its own and never touches ``bpy``; here its events are read, on the
main thread, by ``pump``: from a timer in the interface, from a script's own loop in background.
Kept outside the scenes, so that an undo cannot turn back what a server has done; a scene only gets
a record of its open requests, to take them up again when it is opened another day.
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

from layert2v.rerender import rerender_from_json
from layert2v.spec import spec_from_json

from . import model_cache, preferences, preview_icons, render_plate

if TYPE_CHECKING:
    from layert2v_client.session import (
        Connected,
        Disconnected,
        Event,
        RequestUpdated,
        Session,
        SessionSettings,
    )

BUSY_S, IDLE_S = 0.1, 0.5
BUDGET_S = 0.02  # of the interface's time for one pump, after its first import

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Request:
    """One wish on its way. ``wish`` and ``inputs`` are JSON values of the contract.

    ``stack`` is the uid of the stack that a re-render belongs to, ``target`` where to open a new
    one. ``scene`` is the session_uid of its scene; it and what follows are not saved.
    """

    kind: str  # generate or rerender
    title: str
    folder: str
    server: str
    wish: dict[str, Any]
    inputs: dict[str, list[str]] = field(default_factory=dict)
    stack: str = ""
    target: str = ""
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    job: str = ""
    scene: int = 0
    changed: RequestUpdated | None = None
    ended: Event | None = None
    apart: str = ""  # why nobody follows it now
    trouble: str = ""  # why its stack cannot be opened

    @property
    def is_open(self) -> bool:
        """Whether it may still go on."""
        return self.ended is None

    @property
    def outcome(self) -> str:
        """The name of the event that ended it; empty before."""
        return "" if self.ended is None else type(self.ended).__name__

    @property
    def failed(self) -> bool:
        """Whether it ended without a stack, and not because the artist wanted it to."""
        return self.outcome in ("RequestFailed", "RequestLost") or bool(self.trouble)

    def record(self) -> str:
        """What is saved with the scene."""
        return json.dumps({name: getattr(self, name) for name in _SAVED})


_SAVED = (
    "kind", "title", "folder", "server", "wish", "inputs", "stack", "target", "id", "job",
)  # fmt: skip


@dataclass
class Line:
    """A session with one server and what it last said about itself."""

    session: Session
    status: Connected | Disconnected | None = None


class Desk:
    """All sessions and requests of this Blender."""

    def __init__(self) -> None:
        self.requests: dict[str, Request] = {}
        self._lines: dict[SessionSettings, Line] = {}
        self._landed: list[str] = []

    def connect(self) -> None:
        """Look for the server of the preferences; ``status`` tells what came of it."""
        line = self._line()
        line.status = None
        line.session.connect()
        for request in self.requests.values():
            if request.apart:
                self._attach(request)

    @property
    def status(self) -> Connected | Disconnected | None:
        """What is known of the server of the preferences; None before it was asked."""
        line = self._lines.get(preferences.settings()) if self._lines else None
        return None if line is None else line.status

    @property
    def asked(self) -> bool:
        """Whether the server of the preferences has been asked at all."""
        return bool(self._lines) and preferences.settings() in self._lines

    def submit(self, request: Request, scene: bpy.types.Scene) -> None:
        """Send a wish. Raises ``ContractError`` where it is not one."""
        session = self._line().session
        folder = Path(request.folder)
        if request.kind == "generate":
            spec = spec_from_json(request.wish)
            session.generate(spec, folder=folder, request_id=request.id)
        else:
            change = rerender_from_json(request.wish)
            session.rerender(folder, change, request.inputs, request_id=request.id)
        request.scene = scene.session_uid
        self.requests[request.id] = request
        self.save_records()

    def resume(self, scene: bpy.types.Scene) -> None:
        """Take up what the scene was waiting for when it was saved."""
        for saved in scene.layert2v.requests:
            request = self.requests.get(saved.request_id) or _read(saved.record)
            if request is None:
                continue
            request.scene = scene.session_uid
            if request.id not in self.requests:
                self.requests[request.id] = request
                self._attach(request)
            elif request.outcome == "RequestSucceeded":
                self._landed.append(request.id)

    def cancel(self, request_id: str) -> None:
        """Stop a request."""
        for line in self._lines.values():
            line.session.cancel(request_id)

    def dismiss(self, request_id: str) -> None:
        """Forget a request that has ended."""
        self.requests.pop(request_id, None)
        self.save_records()

    def of(self, scene: bpy.types.Scene) -> list[Request]:
        """The requests of a scene, oldest first."""
        return [one for one in self.requests.values() if one.scene == scene.session_uid]

    @property
    def busy(self) -> bool:
        """Whether anything is still to come."""
        followed = (one.is_open and not one.apart for one in self.requests.values())
        return bool(self._landed) or any(followed)

    def pump(self) -> float:
        """Read what has happened and bring it to the scenes; returns seconds to the next call."""
        until = time.monotonic() + BUDGET_S
        events = 0
        for settings, line in list(self._lines.items()):
            for event in line.session.events():
                events += 1
                self._take(settings, line, event)
        while self._landed and not bpy.app.is_job_running("RENDER"):
            self._import(self.requests[self._landed.pop(0)])
            events += 1
            if time.monotonic() > until:
                break
        if events:
            _redraw()
        self._close_unused()
        return BUSY_S if self.busy else IDLE_S

    def save_records(self) -> None:
        """Write the open requests into their scenes."""
        for scene in bpy.data.scenes:
            records = {one.id: one for one in self.of(scene) if one.is_open}
            saved = scene.layert2v.requests
            if not records and not saved:
                continue
            saved.clear()
            for request in records.values():
                row = saved.add()
                row.request_id, row.job, row.record = request.id, request.job, request.record()

    def close(self) -> None:
        """End all lines; jobs go on where the server does."""
        for line in self._lines.values():
            line.session.close()
        self._lines.clear()

    def _line(self) -> Line:
        from layert2v_client.session import Session

        settings = preferences.settings()
        if settings not in self._lines:
            self._lines[settings] = Line(Session(settings))
        return self._lines[settings]

    def _attach(self, request: Request) -> None:
        # The token is for the server of the preferences, not for one that a .blend names.
        if request.server != preferences.get().server:
            request.apart = f"It belongs to {request.server or 'a server on its own machine'}."
        else:
            request.apart = preferences.why_not_connect()
        if request.apart:
            return
        if request.job:
            self._line().session.attach(request.id, request.job, Path(request.folder))
        else:  # closed before the server had given it a name; nothing is sent without the artist
            request.ended = _unknown(request)

    def _take(self, settings: SessionSettings, line: Line, event: Event) -> None:
        from layert2v_client import session  # only here: it loads gRPC

        if isinstance(event, (session.Connected, session.Disconnected)):
            line.status = event
            if isinstance(event, session.Connected):
                model_cache.remember(settings.server, event.models)
            return
        request = self.requests.get(event.request_id)
        if request is None:
            return
        if isinstance(event, session.PreviewUpdated):
            preview_icons.show(request.id, event.path)
        elif isinstance(event, session.RequestUpdated):
            known, request.job = request.job, event.job or request.job
            request.changed = event
            if request.job != known:
                self.save_records()
        else:
            request.ended = event
            render_plate.forget(request.id)
            if isinstance(event, session.RequestSucceeded):
                self._landed.append(request.id)
            self.save_records()

    def _import(self, request: Request) -> None:
        """Bring a stack into its scene, as one step that can be undone."""
        try:
            with _some_window():
                importing = bpy.ops.layert2v.import_result
                if importing("EXEC_DEFAULT", True, request_id=request.id) == {"FINISHED"}:
                    self.dismiss(request.id)
        except RuntimeError as problem:  # what an operator reports as an error
            request.trouble = str(problem)

    def _close_unused(self) -> None:
        """Lines of settings that have since been changed end when nothing waits on them."""
        if len(self._lines) > 1 and not self.busy:
            for settings in [one for one in self._lines if one != preferences.settings()]:
                self._lines.pop(settings).session.close()


def _unknown(request: Request) -> Any:
    from layert2v_client.session import RequestLost

    return RequestLost(request.id, request.job)


def _read(record: str) -> Request | None:
    try:
        values = json.loads(record)
        return Request(**{name: values[name] for name in _SAVED})
    except (ValueError, KeyError, TypeError):
        _log.warning("a saved request cannot be read and is left out")
        return None


@contextlib.contextmanager
def _some_window() -> Iterator[None]:
    """A timer has no window of its own, and an undo step is better made with one."""
    windows = bpy.context.window_manager.windows
    if bpy.context.window is not None or not windows:
        yield
    else:
        with bpy.context.temp_override(window=windows[0]):
            yield


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in {"NODE_EDITOR", "SEQUENCE_EDITOR", "VIEW_3D", "PREFERENCES"}:
                area.tag_redraw()


desk = Desk()  # the one thing here that lives as long as the add-on is enabled


def pump() -> float:
    """One turn of ``Desk.pump``, for scripts in background mode, where no timer runs."""
    return desk.pump()


def _tick() -> float:
    try:
        return desk.pump()
    except Exception:  # an error must not stop the timer for good
        _log.exception("a turn of the pump failed")
        return IDLE_S


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _on_load(*_: Any) -> None:
    for scene in bpy.data.scenes:
        desk.resume(scene)


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _on_save_or_undo(*_: Any) -> None:
    desk.save_records()


_HANDLERS = (
    ("load_post", _on_load),
    ("save_pre", _on_save_or_undo),
    ("undo_post", _on_save_or_undo),
    ("redo_post", _on_save_or_undo),
)


def register() -> None:
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).append(handler)
    bpy.app.timers.register(_tick, first_interval=IDLE_S, persistent=True)


def unregister() -> None:
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    for name, handler in _HANDLERS:
        getattr(bpy.app.handlers, name).remove(handler)
    desk.close()
    desk.requests.clear()
