"""What is known about Nuke's nodes and knobs, and the error of breaking a rule.

``facts.json`` is a part of the collected facts: names, types, defaults and enums of knobs, each
with how it is known (D documented, O seen in public scripts, R recalled). Erode (filter) and Blur
are not in the collection; theirs are from their pages in Foundry's reference guide. ColorMatrix is
not either: its nine numbers are as public scripts set them, the rest is recalled.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FACTS: dict[str, Any] = json.loads(Path(__file__).with_name("facts.json").read_text())
CLASSES: dict[str, Any] = {**FACTS["classes"], **FACTS["classes_of_the_reference_guide"]}
FLAGS: dict[str, int] = FACTS["flags"]
TYPE_IDS: dict[str, int] = FACTS["knob_type_ids"]
WRITTEN_FLAGS = ("INVISIBLE", "STARTLINE")  # those that a script keeps
INPUTS = {"Read": 0, "BackdropNode": 0, "Input": 0, "StickyNote": 0, "Constant": 0, "Root": 0,
          "Merge2": 100, "Copy": 3, "Multiply": 2, "Shuffle": 2, "Shuffle2": 2, "Grade": 2,
          "Premult": 1, "Unpremult": 1, "FilterErode": 2, "Blur": 2, "ColorMatrix": 2, "Crop": 1,
          "Dot": 1, "Output": 1, "NoOp": 1, "Write": 1, "Viewer": 10}  # fmt: skip
USER_TYPES = {
    "String_Knob": ("String", "string", ""), "File_Knob": ("File", "file", ""),
    "Int_Knob": ("Int", "int", 0), "Enumeration_Knob": ("Enumeration", "enum", ""),
    "Boolean_Knob": ("Boolean", "bool", False), "Double_Knob": ("Double", "float", 0.0),
    "Tab_Knob": ("Tab", "none", None), "PyScript_Knob": ("PyScript", "none", None),
    "Text_Knob": ("Text", "string", ""), "XY_Knob": ("XY", "xy", (0.0, 0.0)),
    "BBox_Knob": ("BBox", "bbox", (0.0, 0.0, 0.0, 0.0)),
}  # fmt: skip
CHANNEL_NAMES = ("red", "green", "blue", "alpha")


class Forbidden(BaseException):
    """A rule is broken. No ``except Exception`` of the plug-in can hide it."""


def knob_fact(cls: str, name: str, file_type: str = "") -> dict[str, Any] | None:
    """Type, default and enum of a knob; None where the class has no such knob."""
    known = CLASSES[cls]
    per_format = known.get("format_knobs", {}).get(file_type, {})
    found = known["knobs"].get(name) or per_format.get(name)
    if found is None and cls != "Root":
        found = FACTS["common_knobs"].get(name)
    return found


def runs_code(text: str) -> bool:
    """Whether a label or a file name has a bracket or a dollar that Nuke would expand."""
    return re.search(r"(?<!\\)[\[$]", text) is not None


def check_value(kind: str, value: Any, enum: list[str] | None, where: str) -> Any:
    """Return the value as the knob keeps it. Raises ``TypeError`` and ``ValueError`` strictly."""
    wanted: dict[str, tuple[type, ...]] = {
        "int": (int,), "rgba32": (int,), "float": (int, float), "wh": (int, float),
        "color4": (int, float, list, tuple),
        "bool": (bool,), "string": (str,), "file": (str,), "python": (str,), "enum": (str,),
        "channelset": (str,), "channel": (str,), "box4": (tuple, list), "layer": (str,),
        "matrix3": (list,),
    }  # fmt: skip
    if kind not in wanted:
        raise Forbidden(f"{where} has the type {kind}, which the plug-in has no business with")
    if not isinstance(value, wanted[kind]) or (isinstance(value, bool) and kind != "bool"):
        raise TypeError(f"{where} takes {kind}, not {value!r}")
    if kind == "int" and not -(2**31) <= value < 2**31:
        raise TypeError(f"{where} cannot hold {value}")
    if kind == "rgba32" and not 0 <= value < 2**32:
        raise TypeError(f"{where} cannot hold {value}")
    if kind == "enum" and enum is not None and value not in enum:
        raise ValueError(f"{where}: {value!r} is none of {enum}")
    if kind == "matrix3" and (
        len(value) != 9 or not all(isinstance(each, float) for each in value)
    ):
        raise TypeError(f"{where} takes nine numbers, not {value!r}")
    if kind == "matrix3":
        return tuple(value)
    if kind == "color4" and isinstance(value, (list, tuple)):
        return tuple(map(float, value))
    return float(value) if kind in ("float", "wh", "color4") else value
