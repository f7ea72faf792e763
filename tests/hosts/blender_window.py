"""The real Blender window, opened from the bpy wheel on whatever X display there is.

The wheel starts in background mode, but all of Blender's window code is in it and so is its symbol
table. After an ordinary ``import bpy`` this repeats what Blender's own start does when it is not in
background; then ``spin`` runs steps of Blender's main loop, so panels draw, timers tick, and what
xdotool does with the mouse reaches the buttons. It depends on names that no interface promises and
is for tests alone. Linux; needs nm and objdump (binutils), xdotool, and import (ImageMagick).
``bpy.app.background`` goes on saying True.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import bpy

MAIN_LOOP = (
    "wm_window_events_process",
    "wm_event_do_handlers",
    "wm_event_do_notifiers",
    "wm_draw_update",
)


class Window:
    """Blender's first window, with the factory's scene in it. One per process, to its end."""

    def __init__(self) -> None:
        with Path("/proc/self/maps").open(encoding="ascii") as maps:
            lines = [line for line in maps if "bpy/__init__" in line]
        self._library = lines[0].split()[-1]
        self._base = min(int(line.split("-")[0], 16) for line in lines)
        self._addresses: dict[str, int] = {}
        self._signatures: dict[str, str] = {}
        for line in _run_tool("nm", "-C", self._library).splitlines():
            address, _, name = line.partition(" ")
            signature = name[2:].replace("blender::", "")
            self._addresses.setdefault(signature.split("(")[0], int(address or "0", 16))
            self._signatures.setdefault(signature.split("(")[0], signature)
        self._open()

    def spin(self, steps: int = 20) -> None:
        """Run so many steps of the main loop. The first drawings compile shaders and are slow."""
        for _ in range(steps):
            for name in MAIN_LOOP:
                self._call(name, None, self._context)

    def wait(self, condition: Callable[[], bool], timeout_s: float) -> None:
        """Run the main loop until something holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            self.spin(1)
            time.sleep(0.01)

    def show_tab(self, area: bpy.types.Area, category: str) -> bpy.types.Region:
        """Open the area's sidebar on a tab. Python can choose a tab only from Blender 5.0 on."""
        with self.override(area):
            area.spaces.active.show_region_ui = True
        self.spin(10)
        sidebar = next(region for region in area.regions if region.type == "UI")
        name = ctypes.c_char_p(category.encode())
        names = ("UI_panel_category_active_set", "ui::panel_category_active_set")
        self._call(names, None, sidebar.as_pointer(), ctypes.cast(name, ctypes.c_void_p))
        area.tag_redraw()
        self.spin(10)
        assert sidebar.active_panel_category == category, sidebar.active_panel_category
        return sidebar

    def click(self, area: bpy.types.Area, region: bpy.types.Region, operator: str) -> None:
        """Press the button of an operator such as ``render.render``, wherever the region has it."""
        for x, y in _places(region):
            self._mouse("mousemove", x, bpy.context.window_manager.windows[0].height - y)
            if self._button(area, region).startswith(f"bpy.ops.{operator}("):
                self.press(x, bpy.context.window_manager.windows[0].height - y)
                return
        raise AssertionError(f"no button of {operator} in the {region.type} region")

    def press(self, x: int, y: int) -> None:
        """Click at a place of the window, y down."""
        self._mouse("mousemove", x, y)
        self._mouse("click", 1)
        self.spin(5)

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Drag the mouse between two places of the window, y down."""
        self._mouse("mousemove", *start)
        self._mouse("mousedown", 1)
        for step in range(1, 9):
            self._mouse(
                "mousemove", *(a + (b - a) * step // 8 for a, b in zip(start, end, strict=True))
            )
        self._mouse("mouseup", 1)
        self.spin(5)

    def widen(self, region: bpy.types.Region, by: int) -> None:
        """Drag the left edge of a sidebar, as one does to read long prompts."""
        height = bpy.context.window_manager.windows[0].height
        middle, edge = height - region.y - region.height // 2, region.x
        self._mouse("mousemove", edge, middle)
        self._mouse("mousedown", 1)
        for step in range(1, 9):
            self._mouse("mousemove", edge - by * step // 8, middle)
        self._mouse("mouseup", 1)
        self.spin(10)

    def picture(self, path: Path, region: bpy.types.Region | None = None) -> None:
        """Save the screen, or the panels of one region, as a PNG with a palette."""
        self._mouse("mousemove", 2, 2)  # no tooltips, no highlighted button
        window = bpy.context.window_manager.windows[0]
        _run_tool("import", "-window", "root", f"png:{path}")
        changes = ["-crop", f"{window.width}x{window.height}+0+0"]
        if region is not None:
            top = window.height - region.y - region.height
            # Without margin, tabs and scroll bar, so that what is below the last panel is empty.
            size = f"{region.width - 38}x{region.height - 12}"
            changes = ["-crop", f"{size}+{region.x + 8}+{top}"]
            changes += ["-fuzz", "8%", "-trim"]
        changes += ["+repage", "-strip", "+dither", "-colors", "128", "-define", "png:format=png8"]
        _run_tool("mogrify", *changes, str(path))

    def override(self, area: bpy.types.Area, region: bpy.types.Region | None = None) -> object:
        """Return the context of an area; to switch regions without it ends Blender."""
        window = bpy.context.window_manager.windows[0]
        region = region or next(one for one in area.regions if one.type == "WINDOW")
        return bpy.context.temp_override(window=window, area=area, region=region)

    def _button(self, area: bpy.types.Area, region: bpy.types.Region) -> str:
        """Return the Python call of the button under the mouse; empty if there is none."""
        with self.override(area, region):
            if not bpy.ops.ui.copy_python_command_button.poll():
                return ""
            bpy.context.window_manager.clipboard = ""
            bpy.ops.ui.copy_python_command_button()
            return bpy.context.window_manager.clipboard

    def _mouse(self, command: str, *numbers: int) -> None:
        _run_tool("xdotool", command, *map(str, numbers))
        time.sleep(0.02)
        self.spin(3)

    def _open(self) -> None:
        background = self._background_flag()
        bpy.ops.wm.read_homefile(use_factory_startup=True, use_empty=False)
        bpy.ops.ed.undo_push(message="Original")  # makes the stack that a window takes for granted
        manager = bpy.context.window_manager.as_pointer()
        self._context = self._call("BPY_context_get", ctypes.c_void_p)
        background.value = 0
        self._call("wm_ghost_init", None, self._context)
        self._call("wm_init_cursor_data", None)
        self._call("WM_keyconfig_init", None, self._context)
        self._call("wm_window_ghostwindows_ensure", None, manager)
        main = self._call("CTX_data_main", ctypes.c_void_p, self._context)
        newer = "bContext" in self._signatures["ED_screens_init"]
        self._call("ED_screens_init", None, *((self._context,) if newer else ()), main, manager)
        self._call("GPU_render_begin", None)
        self._call("WM_init_gpu", None)
        gpu = self._call("GPU_context_active_get", ctypes.c_void_p)
        self._call("GPU_context_begin_frame", None, gpu)
        self._call(("UI_init", "ui::init"), None)
        self._call("GPU_context_end_frame", None, gpu)
        self._call("GPU_render_end", None)
        bpy.utils.keyconfig_init()
        bpy.context.preferences.view.show_splash = False
        bpy.context.preferences.view.smooth_view = 0  # a change of the view is there at once
        self.spin(10)

    def _background_flag(self) -> ctypes.c_uint8:
        """Find ``G.background`` where WM_check looks at it."""
        start = self._addresses["WM_check"]
        span = (f"--start-address={start}", f"--stop-address={start + 256}")
        found = re.search(
            r"cmpb\s+\$0x0,0x([0-9a-f]+)\(%r", _run_tool("objdump", "-d", *span, self._library)
        )
        assert found, "WM_check no longer asks for G.background"
        flag = ctypes.c_uint8.from_address(
            self._base + self._addresses["G"] + int(found.group(1), 16)
        )
        assert flag.value == 1, "G.background is not where it was expected"
        return flag

    def _call(self, names: str | tuple[str, ...], result: type | None, *arguments: object) -> int:
        """Call a function of Blender's; of several names, the one this version has."""
        names = (names,) if isinstance(names, str) else names
        address = next(self._addresses[name] for name in names if name in self._addresses)
        prototype = ctypes.CFUNCTYPE(result, *([ctypes.c_void_p] * len(arguments)))
        value: int = prototype(self._base + address)(*arguments)
        return value


def _places(region: bpy.types.Region) -> Iterator[tuple[int, int]]:
    """Yield points in a region from top to bottom, close enough to meet every button."""
    for y in range(region.y + region.height - 20, region.y, -14):
        for part in (0.25, 0.6):
            yield region.x + int(region.width * part), y


def _run_tool(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
