"""The API of Nuke that the plug-in needs: classes, knobs with defaults and enum items, functions.

The plug-in leaves knobs out that keep their default, so what Nuke renders depends on the defaults
here. ``None`` is a default that does not matter. Checked in tests against collected facts,
and on a licensed machine by ``selfcheck``.
"""

from __future__ import annotations

from typing import Any

# class: knob: (default, items that an enumeration must have)
KNOBS: dict[str, dict[str, tuple[Any, tuple[str, ...]]]] = {
    "Root": {
        "first_frame": (None, ()), "last_frame": (None, ()), "frame": (None, ()),
        "fps": (None, ()), "format": (None, ()), "name": (None, ()),
        "colorManagement": (None, ("Nuke", "OCIO")), "workingSpaceLUT": (None, ()),
    },
    "Read": {
        "file": ("", ()), "file_type": (None, ()), "format": (None, ()), "first": (None, ()),
        "last": (None, ()), "origfirst": (None, ()), "origlast": (None, ()),
        "origset": (None, ()), "before": ("hold", ()), "after": ("hold", ()),
        "frame_mode": ("expression", ()), "premultiplied": (False, ()), "raw": (False, ()),
        "frame": ("", ()), "disable": (False, ()), "auto_alpha": (False, ()),
        "colorspace": (None, ()), "label": ("", ()),
        "tile_color": (0, ()), "xpos": (None, ()), "ypos": (None, ()),
    },
    "Merge2": {
        "operation": ("over", ("over",)), "bbox": ("union", ("union", "B")),
        "Achannels": ("rgba", ()), "Bchannels": ("rgba", ()), "output": ("rgba", ()),
        "also_merge": ("none", ()), "mix": (1.0, ()), "sRGB": (False, ()),
        "screen_alpha": (False, ()), "disable": (False, ()), "xpos": (None, ()),
        "ypos": (None, ()),
    },
    "Copy": {
        **{f"{side}{n}": (None, ()) for side in ("from", "to") for n in range(4)},
        "channels": ("none", ()), "bbox": ("union", ("union",)), "mix": (1.0, ()),
        "xpos": (None, ()), "ypos": (None, ()),
    },
    "Multiply": {
        "channels": ("all", ()), "value": (1.0, ()), "mix": (1.0, ()), "disable": (False, ()),
        "unpremult": ("none", ()), "xpos": (None, ()), "ypos": (None, ()),
    },
    "ColorMatrix": {
        "matrix": (None, ()), "invert": (False, ()), "label": ("", ()), "disable": (False, ()),
        "xpos": (None, ()), "ypos": (None, ()),
    },
    "Premult": {
        "channels": ("rgb", ()), "alpha": ("rgba.alpha", ()), "disable": (False, ()),
        "xpos": (None, ()), "ypos": (None, ()),
    },
    "Unpremult": {
        "channels": ("rgb", ()), "alpha": ("rgba.alpha", ()), "disable": (False, ()),
        "xpos": (None, ()), "ypos": (None, ()),
    },
    "FilterErode": {
        "channels": (None, ()), "size": (None, ()), "filter": (None, ("gaussian",)),
        "mix": (1.0, ()), "disable": (False, ()), "xpos": (None, ()), "ypos": (None, ()),
    },
    "Blur": {
        "channels": (None, ()), "size": (None, ()), "filter": ("gaussian", ()),
        "disable": (False, ()), "xpos": (None, ()), "ypos": (None, ()),
    },
    "Grade": {
        "channels": (None, ()), "blackpoint": (0.0, ()), "whitepoint": (1.0, ()),
        "black": (0.0, ()), "white": (1.0, ()), "multiply": (1.0, ()), "add": (0.0, ()),
        "gamma": (1.0, ()), "black_clamp": (True, ()), "white_clamp": (False, ()),
        "reverse": (False, ()), "mix": (1.0, ()), "unpremult": ("none", ()),
        "disable": (False, ()), "xpos": (None, ()), "ypos": (None, ()),
    },
    "Dot": {"xpos": (None, ()), "ypos": (None, ())},
    "BackdropNode": {
        "label": ("", ()), "note_font_size": (None, ()), "tile_color": (None, ()),
        "z_order": (None, ()), "bdwidth": (None, ()), "bdheight": (None, ()),
        "xpos": (None, ()), "ypos": (None, ()),
    },
    "Group": {
        "label": ("", ()), "tile_color": (0, ()), "knobChanged": ("", ()),
        "xpos": (None, ()), "ypos": (None, ()),
    },
    "Input": {"number": (None, ()), "xpos": (None, ()), "ypos": (None, ())},
    "Output": {"xpos": (None, ()), "ypos": (None, ())},
    "Write": {
        "file": ("", ()), "file_type": (None, ()), "channels": (None, ()), "raw": (False, ()),
    },
    "Shuffle": {
        "in": ("rgba", ()), "out": ("rgba", ()), "alpha": (None, ("white",)),
        **{name: (None, ("red", "green", "blue", "alpha")) for name in ("red", "green", "blue")},
    },
    "Constant": {"channels": (None, ()), "color": (None, ())},
}  # fmt: skip

CONSTRUCTORS = (
    "String_Knob", "Int_Knob", "Enumeration_Knob", "Boolean_Knob", "Double_Knob", "Tab_Knob",
    "PyScript_Knob", "Text_Knob", "XY_Knob", "BBox_Knob",
)  # fmt: skip
FUNCTIONS = (
    "addOnCreate", "addOnDestroy", "addOnScriptClose", "addOnScriptLoad", "allNodes", "delete",
    "execute", "executeInMainThread", "getColorspaceList", "getFilename", "Layer", "menu",
    "message", "Panel", "root", "selectedNodes", "thisKnob", "thisNode", "toNode", "toolbar",
    "tprint",
)  # fmt: skip
NODE_METHODS = ("firstFrame", "format", "input", "lastFrame")
CONSTANTS = {"INVISIBLE": 1024, "STARTLINE": 4096}
