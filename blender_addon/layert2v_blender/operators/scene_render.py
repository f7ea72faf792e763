"""A render of the scene that a request needs: the interface stays free until it is there."""

from __future__ import annotations

import uuid
from typing import Any

import bpy

from .. import render_plate
from .base import PollReasonMixin


class SceneRenderMixin(PollReasonMixin):
    """Renders with the settings of ``apply_settings``, then calls ``submit_render``.

    The artist's settings are restored, however the render ends. Where nothing is submitted, what
    was rendered is deleted.
    """

    report: Any  # of the operator
    _request_id: str

    def apply_settings(self, scene: bpy.types.Scene, settings: render_plate.RenderSettings) -> None:
        """Set what is rendered, into the folder of ``_request_id``."""
        raise NotImplementedError

    def submit_render(self, scene: bpy.types.Scene) -> set[str]:
        """Submit what was rendered; return the operator's result."""
        raise NotImplementedError

    def render_and_submit(self, scene: bpy.types.Scene) -> set[str]:
        """Render at once, as a script without an interface does."""
        self._apply(scene)
        try:
            bpy.ops.render.render(animation=True, scene=scene.name)
        finally:
            self._settings.restore()
        return self._submit(scene)

    def start_render(self, context: bpy.types.Context) -> set[str]:
        """Render in the background of the interface; ``modal`` goes on after it."""
        self._apply(context.scene)
        bpy.ops.render.render("INVOKE_DEFAULT", animation=True, scene=context.scene.name)
        self._timer = context.window_manager.event_timer_add(0.2, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if event.type != "TIMER" or bpy.app.is_job_running("RENDER"):
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self._timer)
        self._settings.restore()
        return self._submit(context.scene)

    def _apply(self, scene: bpy.types.Scene) -> None:
        self._request_id = str(uuid.uuid4())
        self._settings = render_plate.RenderSettings()
        self.apply_settings(scene, self._settings)

    def _submit(self, scene: bpy.types.Scene) -> set[str]:
        result = self.submit_render(scene)
        if result == {"CANCELLED"}:
            render_plate.delete_plate(self._request_id)
        return result
