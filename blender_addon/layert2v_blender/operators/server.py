"""The connection to the server."""

import bpy

from ..requests import request_manager
from .base import PollReasonMixin, check_connection


class LAYERT2V_OT_connect(PollReasonMixin, bpy.types.Operator):
    bl_idname = "layert2v.connect"
    bl_label = "Test Connection"
    bl_description = "Connect to the server now and ask for its models; the result is shown here"
    poll_checks = (check_connection,)

    def execute(self, _context: bpy.types.Context) -> set[str]:
        try:
            request_manager.connect()
        except ImportError as error:
            self.report({"ERROR"}, f"The bundled client cannot be loaded: {error}.")
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (LAYERT2V_OT_connect,)
