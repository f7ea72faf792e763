"""The line to the server."""

import bpy

from .. import preferences
from ..requests import desk
from .base import Explained


class LAYERT2V_OT_connect(Explained, bpy.types.Operator):
    """Look for the server now and ask for its models; what comes of it is shown here"""

    bl_idname = "layert2v.connect"
    bl_label = "Test Connection"

    @classmethod
    def why_not(cls, context: bpy.types.Context) -> str:
        return preferences.why_not_connect()

    def execute(self, _context: bpy.types.Context) -> set[str]:
        try:
            desk.connect()
        except ImportError as problem:
            self.report({"ERROR"}, f"The bundled client cannot be loaded: {problem}.")
            return {"CANCELLED"}
        return {"FINISHED"}


CLASSES = (LAYERT2V_OT_connect,)
