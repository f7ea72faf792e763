"""The add-on's preferences: their fields, how they are drawn, the list of shared folders."""

import bpy
from bpy.props import CollectionProperty, IntProperty, StringProperty

from ..settings import ADDON, engine_python, preferences
from .widgets import draw_connection


class LAYERT2V_PathRule(bpy.types.PropertyGroup):
    """A folder that the server and this machine see under different names."""

    remote: StringProperty(
        name="On the Server", description="How the path begins on the server, such as /mnt/jobs"
    )
    local: StringProperty(
        name="Here", description="How it begins on this machine, such as P:\\jobs"
    )


class LAYERT2V_Preferences(bpy.types.AddonPreferences):
    """Where the server is and what this machine may store; read through ``settings``."""

    bl_idname = ADDON

    server: StringProperty(
        name="Server",
        description="HOST:PORT of a LayerT2V server; empty for one on this machine",
    )
    token: StringProperty(
        name="Token",
        description="Who you are to the server. Kept in Blender's preferences, not in .blend files",
        subtype="PASSWORD",
    )
    certificate: StringProperty(
        name="Certificate",
        description="PEM file of the authority that signed the server's certificate",
        subtype="FILE_PATH",
    )
    engine: StringProperty(
        name="Engine",
        description="The Python that has the engine; empty: the one of layert2v-server on the path",
        subtype="FILE_PATH",
    )
    cache: StringProperty(
        name="Cache",
        description="For files that come and go with jobs; empty: .layert2v in your home folder",
        subtype="DIR_PATH",
    )
    cache_limit_gb: IntProperty(
        name="Limit", description="In gigabytes; the oldest files go first", min=1, default=20
    )
    path_rules: CollectionProperty(type=LAYERT2V_PathRule)

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "server", placeholder="this machine")
        if self.server:
            layout.prop(self, "token")
            layout.prop(self, "certificate")
        else:
            layout.prop(self, "engine", placeholder=engine_python() or "not found")
        draw_connection(layout)
        row = layout.row(align=True)
        row.prop(self, "cache", placeholder="~/.layert2v")
        row.prop(self, "cache_limit_gb", text="GB")
        self._draw_path_rules(layout.box())

    def _draw_path_rules(self, box: bpy.types.UILayout) -> None:
        row = box.row()
        row.label(text="Folders that the server and this machine share")
        row.operator("layert2v.path_rule_add", text="", icon="ADD")
        for index, rule in enumerate(self.path_rules):
            row = box.row(align=True)
            row.use_property_split = False
            row.prop(rule, "remote", text="", placeholder="on the server")
            row.prop(rule, "local", text="", placeholder="here")
            row.operator("layert2v.path_rule_remove", text="", icon="X").index = index


class LAYERT2V_OT_path_rule_add(bpy.types.Operator):
    bl_idname = "layert2v.path_rule_add"
    bl_label = "Add Shared Folder"
    bl_description = "Add a folder that the server and this machine see under different names"

    def execute(self, _context: bpy.types.Context) -> set[str]:
        preferences().path_rules.add()
        return {"FINISHED"}


class LAYERT2V_OT_path_rule_remove(bpy.types.Operator):
    bl_idname = "layert2v.path_rule_remove"
    bl_label = "Remove Shared Folder"
    bl_description = "Remove this folder from the list"

    index: IntProperty()

    def execute(self, _context: bpy.types.Context) -> set[str]:
        preferences().path_rules.remove(self.index)
        return {"FINISHED"}


register, unregister = bpy.utils.register_classes_factory(
    (
        LAYERT2V_PathRule,
        LAYERT2V_Preferences,
        LAYERT2V_OT_path_rule_add,
        LAYERT2V_OT_path_rule_remove,
    )
)
