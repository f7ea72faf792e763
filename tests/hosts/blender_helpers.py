"""What the scripts inside Blender share: this profile's extension, and results for the test."""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable
from typing import Any

import bpy

EXTENSION = "bl_ext.user_default.layert2v"


def enable() -> None:
    """Enable the extension, as ticking its box does."""
    bpy.ops.preferences.addon_enable(module=EXTENSION)
    assert EXTENSION in bpy.context.preferences.addons, f"{EXTENSION} cannot be enabled"


def disable() -> None:
    bpy.ops.preferences.addon_disable(module=EXTENSION)


def addon_module(name: str) -> Any:
    """Return a module of the extension; only after ``enable``."""
    return importlib.import_module(f"{EXTENSION}.{name}")


def request_manager() -> Any:
    """Return the extension's sessions and requests."""
    return addon_module("requests").request_manager


def set_server(address: str) -> None:
    """Write a server into the preferences, as an artist does."""
    bpy.context.preferences.addons[EXTENSION].preferences.server = address


def is_connected() -> bool:
    """Return whether the server answers and has sent its models."""
    status = request_manager().server_status
    return bool(getattr(status, "models", ()))


def pump_until(condition: Callable[[], bool], timeout_s: float = 90) -> None:
    """Pump as the timer does in the interface, until ``condition`` holds."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        addon_module("requests").pump()
        time.sleep(0.02)


def make_empty_scene() -> bpy.types.Scene:
    """Return an empty scene that composites on the CPU: exact, and without a display."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.compositor_device = "CPU"
    scene.render.compositor_precision = "FULL"
    return scene


def write_result(**values: Any) -> None:
    """Write values for the test; the last line that begins with RESULT counts."""
    print("RESULT", json.dumps(values), flush=True)
