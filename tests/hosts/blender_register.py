"""Registers and unregisters the extension twice; reports what each round left behind in Blender."""

from __future__ import annotations

import sys
import threading
from collections import Counter

import blender_helpers
import bpy


def find_traces() -> Counter[str]:
    """Count everything an add-on can add to Blender, by name."""
    kinds = {name: getattr(bpy.types, name) for name in dir(bpy.types)}
    found = [f"type {name}" for name in kinds]
    found += [f"thread {thread.name}" for thread in threading.enumerate()]
    for name, kind in kinds.items():
        if isinstance(kind, type) and hasattr(kind, "bl_rna"):
            found += [f"property {name}.{one.identifier}" for one in kind.bl_rna.properties]
        drawn = getattr(getattr(kind, "draw", None), "_draw_funcs", ())
        found += [f"draw {name} {function.__module__}" for function in drawn]
    for name in dir(bpy.app.handlers):
        if isinstance(functions := getattr(bpy.app.handlers, name), list):
            found += [f"handler {name} {function.__module__}" for function in functions]
    keys = bpy.context.window_manager.keyconfigs.addon
    for keymap in keys.keymaps if keys else ():
        found += [f"key {keymap.name} {item.idname}" for item in keymap.keymap_items]
    return Counter(found)


def find_timers() -> list[str]:
    """Find running timers; they cannot be listed, so each function of the extension is tried."""
    modules = [m for name, m in sys.modules.items() if name.startswith(blender_helpers.EXTENSION)]
    functions = {value for module in modules for value in vars(module).values() if callable(value)}
    return [f"timer {f.__qualname__}" for f in functions if bpy.app.timers.is_registered(f)]


def main() -> None:
    blender_helpers.enable()
    blender_helpers.disable()  # some of Blender's own types appear when they are first used
    before, added, left = find_traces(), [], []
    for _ in range(2):
        blender_helpers.enable()
        added.append(sorted(find_traces() - before) + find_timers())
        blender_helpers.disable()
        left.append(sorted(find_traces() - before) + find_timers())
    blender_helpers.write_result(added=added, left=left)


if __name__ == "__main__":
    main()
