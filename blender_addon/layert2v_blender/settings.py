"""The add-on's preferences as the client needs them, and what keeps it from connecting.

The fields are declared in ``ui.preferences``. They are saved with Blender's preferences, never in a
.blend, so that a token does not travel with a scene.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import bpy

from layert2v.address import is_local

if TYPE_CHECKING:
    from layert2v_client.session import SessionSettings

ADDON = __package__  # the name Blender knows the add-on by
SERVER_COMMAND = "layert2v-server"


class Preferences(Protocol):
    """The fields of ``ui.preferences.LAYERT2V_Preferences``."""

    server: str
    token: str
    certificate: str
    engine: str
    cache: str
    cache_limit_gb: int
    path_rules: Any  # a collection of ``LAYERT2V_PathRule``


def preferences() -> Preferences:
    """Return the add-on's preferences."""
    found: Preferences = bpy.context.preferences.addons[ADDON].preferences
    return found


def user_folder(*, create: bool = False) -> Path:
    """Return the folder Blender gives this extension; a plain add-on gets one of the same kind."""
    if ADDON.startswith("bl_ext."):
        return Path(bpy.utils.extension_path_user(ADDON, create=create))
    return Path(bpy.utils.user_resource("DATAFILES", path="layert2v", create=create))


def engine_python() -> str:
    """Return the Python that has the engine on this machine; empty if none is found."""
    configured = preferences().engine
    if configured:
        path = Path(bpy.path.abspath(configured))
        return str(path) if path.is_file() else ""
    command = shutil.which(SERVER_COMMAND)
    if command is None:
        return ""
    name = "python.exe" if os.name == "nt" else "python"
    python = Path(command).resolve().with_name(name)
    return str(python) if python.is_file() else ""


def session_settings() -> SessionSettings:
    """Return the preferences as the client's settings."""
    from layert2v_client.session import SessionSettings  # only here: it loads gRPC

    own = preferences()
    return SessionSettings(
        server=own.server.strip(),
        token=own.token if own.server else "",
        certificate=bpy.path.abspath(own.certificate) if own.certificate else "",
        cache=Path(bpy.path.abspath(own.cache)) if own.cache else None,
        cache_limit_bytes=own.cache_limit_gb * 10**9,
        path_map=tuple((rule.remote, rule.local) for rule in own.path_rules if rule.remote),
        python=engine_python(),
    )


def offline_reason() -> str:
    """Return what keeps the add-on from reaching its server; empty if nothing does."""
    server = preferences().server.strip()
    if not server and not engine_python():
        return (
            "The engine is not found on this machine. Name its Python, or a server, "
            "in the add-on's preferences"
        )
    if server and not is_local(server) and not bpy.app.online_access:
        return (
            f"{server} is another machine, and Blender may not go online. "
            "Allow Online Access in Preferences > System > Network"
        )
    return ""
