"""Where the server is and what this machine may keep. Saved with Blender's preferences, never in a
.blend, so a token does not travel with a scene."""

import ipaddress
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import bpy
from bpy.props import CollectionProperty, IntProperty, StringProperty

if TYPE_CHECKING:
    from layert2v_client.session import SessionSettings

PROGRAM = "layert2v-server"


class LAYERT2V_PathRule(bpy.types.PropertyGroup):
    remote: StringProperty(
        name="On the Server", description="How the path begins on the server, such as /mnt/jobs"
    )
    local: StringProperty(
        name="Here", description="How it begins on this machine, such as P:\\jobs"
    )


class LAYERT2V_Preferences(bpy.types.AddonPreferences):
    bl_idname = __package__

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

    def draw(self, context: bpy.types.Context) -> None:
        from .ui.panels import connection  # which reads the preferences

        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "server", placeholder="this machine")
        if self.server:
            layout.prop(self, "token")
            layout.prop(self, "certificate")
        else:
            layout.prop(self, "engine", placeholder=engine() or "not found")
        connection(layout, context)
        row = layout.row(align=True)
        row.prop(self, "cache", placeholder="~/.layert2v")
        row.prop(self, "cache_limit_gb", text="GB")
        box = layout.box()
        row = box.row()
        row.label(text="Folders that the server and this machine share")
        row.operator("layert2v.path_rule_add", text="", icon="ADD")
        for index, rule in enumerate(self.path_rules):
            row = box.row(align=True)
            row.use_property_split = False
            row.prop(rule, "remote", text="", placeholder="on the server")
            row.prop(rule, "local", text="", placeholder="here")
            row.operator("layert2v.path_rule_remove", text="", icon="X").index = index


def get() -> LAYERT2V_Preferences:
    """The add-on's preferences."""
    return bpy.context.preferences.addons[__package__].preferences


def own_folder(*, create: bool = False) -> Path:
    """The folder Blender gives this extension; a plain add-on gets one of the same kind."""
    if __package__.startswith("bl_ext."):
        return Path(bpy.utils.extension_path_user(__package__, create=create))
    return Path(bpy.utils.user_resource("DATAFILES", path="layert2v", create=create))


def engine() -> str:
    """The Python that has the engine on this machine; empty where none is found."""
    named = get().engine
    if named:
        found = bpy.path.abspath(named)
        return found if Path(found).is_file() else ""
    program = shutil.which(PROGRAM)
    if program is None:
        return ""
    name = "python.exe" if os.name == "nt" else "python"
    beside = Path(program).resolve().with_name(name)
    return str(beside) if beside.is_file() else ""


def settings() -> "SessionSettings":
    """What the client needs to know."""
    from layert2v_client.session import SessionSettings

    own = get()
    return SessionSettings(
        server=own.server.strip(),
        token=own.token if own.server else "",
        certificate=bpy.path.abspath(own.certificate) if own.certificate else "",
        cache=Path(bpy.path.abspath(own.cache)) if own.cache else None,
        cache_limit_bytes=own.cache_limit_gb * 10**9,
        path_map=tuple((rule.remote, rule.local) for rule in own.path_rules if rule.remote),
        python=engine(),
    )


def why_not_connect() -> str:
    """What keeps the add-on from reaching its server; empty when nothing does."""
    server = get().server.strip()
    if not server and not engine():
        return (
            "The engine is not found on this machine. Name its Python, or a server, "
            "in the add-on's preferences"
        )
    if server and not is_this_machine(server) and not bpy.app.online_access:
        return (
            f"{server} is another machine, and Blender may not go online. "
            "Allow Online Access in Preferences > System > Network"
        )
    return ""


def is_this_machine(server: str) -> bool:
    """Whether an address stays on this machine, so that Blender's online access is not needed."""
    if server.startswith("unix:"):
        return True
    host = server.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class LAYERT2V_OT_path_rule_add(bpy.types.Operator):
    """Add a folder that the server and this machine see under different names"""

    bl_idname = "layert2v.path_rule_add"
    bl_label = "Add Shared Folder"

    def execute(self, _context: bpy.types.Context) -> set[str]:
        get().path_rules.add()
        return {"FINISHED"}


class LAYERT2V_OT_path_rule_remove(bpy.types.Operator):
    """Remove this folder from the list"""

    bl_idname = "layert2v.path_rule_remove"
    bl_label = "Remove Shared Folder"

    index: IntProperty()

    def execute(self, _context: bpy.types.Context) -> set[str]:
        get().path_rules.remove(self.index)
        return {"FINISHED"}


CLASSES = (
    LAYERT2V_PathRule,
    LAYERT2V_Preferences,
    LAYERT2V_OT_path_rule_add,
    LAYERT2V_OT_path_rule_remove,
)


def register() -> None:
    for one in CLASSES:
        bpy.utils.register_class(one)


def unregister() -> None:
    for one in reversed(CLASSES):
        bpy.utils.unregister_class(one)
