"""Checks in a real Nuke what the tests could only check against documents.

``nuke -t selfcheck.py report.json`` on a machine with a licence. Asks for every class, knob,
default, enum item and function that the plug-in uses, then writes a small stack, builds both graphs
over it, renders a frame and compares. Leaves the project as it was but for Nuke's layer names.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from layert2v import stack as manifest
from layert2v.stack import (
    FileRecord,
    FlattenedSequence,
    HistoryEntry,
    Layer,
    Role,
    Stack,
    layer_pattern,
)
from layert2v_nuke.graph import build, node
from layert2v_nuke.graph.colorspaces import item_value
from layert2v_nuke.graph.matte import matte_name
from layert2v_nuke.graph.model import ReadColorspace
from layert2v_nuke.graph.open_nodes import open_comp
from layert2v_nuke.selfcheck import nuke_api

FRAME = 1001
# Exact in half: premultiplied background, shadow and foreground, bottom to top.
PIXELS = {
    "bg": (0.5, 0.25, 0.125, 1.0),
    "shadow_01": (0.0, 0.0, 0.0, 0.5),
    "fg_01": (0.25, 0.125, 0.0625, 0.25),
}
TOLERANCE = 1e-6
Check = Callable[..., None]
HOSTILE_TEXT = "a fox [expr 1+1] $env {unbalanced"


def run(nuke: Any) -> dict[str, Any]:
    """Return the report: versions, and ``checks`` of ``what``, ``right`` and ``found``."""
    checks: list[dict[str, Any]] = []

    def check(what: str, found: Callable[[], Any], wanted: Any = True) -> None:
        try:
            value = found()
        except Exception as error:  # any error of this Nuke is a finding
            value = f"{type(error).__name__}: {error}"
        right = bool(value == wanted)
        checks.append({"what": what, "right": right, "found": value if not right else wanted})

    with _restore_project(nuke):
        _check_functions(nuke, check)
        for cls, knobs in nuke_api.KNOBS.items():
            _check_knobs(nuke, cls, knobs, check)
        check("text is kept as written", lambda: _text_knob(nuke).getText() == HOSTILE_TEXT)
        check("text is not expanded", lambda: _text_knob(nuke).value() == HOSTILE_TEXT)
        with tempfile.TemporaryDirectory(prefix="layert2v_") as folder:
            _check_rendering(nuke, Path(folder), check)
    return {
        "plug-in": "0.1.0",
        "nuke": nuke.NUKE_VERSION_STRING,
        "python": sys.version.split()[0],
        "interface": bool(nuke.GUI),
        "checks": checks,
    }


def main(nuke: Any, arguments: list[str]) -> int:
    """Run the checks, write the report where a file is named, and return 1 if any fails."""
    report = run(nuke)
    wrong = [check for check in report["checks"] if not check["right"]]
    text = json.dumps(report, indent=1, default=str)
    if arguments:
        Path(arguments[0]).write_text(text + "\n", encoding="utf-8")
    lines = [f"wrong: {check['what']}: {check['found']}" for check in wrong]
    lines.append(f"{len(report['checks'])} checks, {len(wrong)} wrong")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if wrong else 0


def _text_knob(nuke: Any) -> Any:
    """Return the knob of a prompt that looks like code, which would do no harm."""
    group = nuke.nodes.Group()
    group.addKnob(nuke.String_Knob("prompt", "Prompt"))
    group["prompt"].setValue(HOSTILE_TEXT)
    return group["prompt"]


def _position_knob(nuke: Any, kind: str, numbers: list[float]) -> list[float]:
    """Return what a knob for a place holds after these numbers were set."""
    group = nuke.nodes.Group()
    group.addKnob(getattr(nuke, kind)("place", "Place"))
    build.set_value(group["place"], tuple(numbers))
    return list(group["place"].array())


def _check_functions(nuke: Any, check: Check) -> None:
    for name in (*nuke_api.FUNCTIONS, *nuke_api.CONSTRUCTORS):
        check(f"nuke.{name}", lambda name=name: callable(getattr(nuke, name)))
    constant = nuke.nodes.Constant()
    for name in nuke_api.NODE_METHODS:
        check(f"Node.{name}", lambda name=name: callable(getattr(constant, name)))
    for kind, numbers in (("XY_Knob", [3.5, 4.0]), ("BBox_Knob", [1.0, 2.0, 3.0, 4.5])):
        check(
            f"{kind} keeps its numbers",
            lambda kind=kind, numbers=numbers: _position_knob(nuke, kind, numbers),
            numbers,
        )
    for name, value in nuke_api.CONSTANTS.items():
        check(f"nuke.{name}", lambda name=name: int(getattr(nuke, name)), value)


def _check_knobs(nuke: Any, cls: str, knobs: dict[str, Any], check: Check) -> None:
    created: list[Any] = []

    def create() -> bool:
        created.append(nuke.root() if cls == "Root" else getattr(nuke.nodes, cls)())
        return True

    check(f"class {cls}", create)
    if not created:
        return
    (tested,) = created
    for name, (default, items) in knobs.items():
        what = f"{cls}.{name}"
        check(what, lambda name=name: tested.knob(name) is not None)
        if default is not None and tested.knob(name) is not None:
            check(f"{what} default", lambda name=name: tested[name].value(), default)
        for item in items:
            check(
                f"{what} offers {item}", lambda name=name, item=item: item in _items(tested[name])
            )
    if cls != "Root":
        nuke.delete(tested)


def _items(knob: Any) -> list[str]:
    return [item_value(item) for item in knob.values()]


def _is_close(rendered: Any, layer: str, pixel: Any) -> bool:
    """Return whether a layer of what a node shows has this value, in a pixel of all."""
    channels = ("red", "green", "blue", "alpha")
    found = [rendered.sample(f"{layer}.{channel}", 4.5, 4.5) for channel in channels]
    return all(abs(one - other) <= TOLERANCE for one, other in zip(found, pixel))


def _matte_group(nuke: Any, folder: Path, blackpoint: float) -> Any:
    """Build the stack as if it were of footage and return the matte group of its foreground."""
    stack = manifest.read(folder)
    entry = replace(stack.history[0], action="decompose")
    graph = open_comp(replace(stack, history=(entry,)), folder, ReadColorspace())
    group = build.build(nuke, graph)[matte_name("fg_01")]
    group["blackpoint"].setValue(blackpoint)
    return group


def _check_rendering(nuke: Any, folder: Path, check: Check) -> None:
    wanted = [0.0, 0.0, 0.0, 0.0]
    for pixel in PIXELS.values():
        wanted = [above + below * (1 - pixel[3]) for above, below in zip(pixel, wanted)]

    def open_nodes() -> bool:
        stack = _write_stack(nuke, folder)
        created = build.build(nuke, open_comp(stack, folder, ReadColorspace()))
        return _is_close(created["Merge_fg_01"], "rgba", wanted)

    def one_node(layer: str) -> Callable[[], bool]:
        def matches() -> bool:
            graph = node.node_graph(manifest.read(folder), folder, ReadColorspace(), "selfcheck")
            group = build.build(nuke, graph)["LayerT2V1"]
            right = _is_close(group, layer, wanted if layer == "rgba" else PIXELS[layer])
            nuke.delete(group)
            return right

        return matches

    def mute_works() -> bool:
        graph = node.node_graph(manifest.read(folder), folder, ReadColorspace(), "selfcheck")
        group = build.build(nuke, graph)["LayerT2V1"]
        group["fg_01_mute"].setValue(True)
        return _is_close(group, "rgba", PIXELS["bg"])

    def matte(blackpoint: float, pixel: Any) -> Callable[[], bool]:
        return lambda: _is_close(_matte_group(nuke, folder, blackpoint), "rgba", pixel)

    check("open nodes render the comp", open_nodes)
    check("a matte group changes nothing", matte(0.0, PIXELS["fg_01"]))
    check("its blackpoint takes alpha away", matte(0.25, (0.0, 0.0, 0.0, 0.0)))
    for layer in ("rgba", *PIXELS):
        check(f"the node's {layer}", one_node(layer))
    check("mute takes a layer and its shadow out", mute_works)


def _write_stack(nuke: Any, folder: Path) -> Stack:
    """Write a stack of one frame with this Nuke, and return it."""
    sequences: dict[str, dict[str, Any]] = {}
    for name, pixel in PIXELS.items():
        pattern = layer_pattern(name, 1)
        path = folder / pattern.replace("####", str(FRAME))
        path.parent.mkdir(parents=True)
        constant, write = nuke.nodes.Constant(), nuke.nodes.Write()
        constant["channels"].setValue("rgba")
        constant["color"].setValue(list(pixel))
        write.setInput(0, constant)
        file = (folder / pattern).as_posix().replace("####", "%04d")
        knobs = {"file_type": "exr", "channels": "rgba", "raw": True, "file": file}
        for knob, value in knobs.items():
            write[knob].setValue(value)
        nuke.execute(write, FRAME, FRAME, 1)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        record = FileRecord(path.relative_to(folder).as_posix(), path.stat().st_size, digest)
        sequences[name] = {"name": name, "version": 1, "pattern": pattern, "files": (record,)}
    stack = _manifest(nuke, sequences)
    manifest.write(stack, folder)
    return stack


def _manifest(nuke: Any, sequences: dict[str, dict[str, Any]]) -> Stack:
    roles = {"bg": Role.background, "shadow_01": Role.shadow, "fg_01": Role.foreground}
    size = nuke.root()["format"].value()
    layers = tuple(
        Layer(**sequences[name], role=role, prompt="", seed=0,
              caster="fg_01" if role is Role.shadow else None, source="imported")
        for name, role in roles.items()
    )  # fmt: skip
    comp = FlattenedSequence("comp", 1, sequences["bg"]["pattern"], sequences["bg"]["files"])
    return Stack(
        name="selfcheck", width=size.width(), height=size.height(),
        pixel_aspect=float(size.pixelAspect()), fps=24.0, start_frame=FRAME, frames=1,
        colorspace="lin_rec709_scene", layers=layers, flats=(comp,), prompt="",
        negative_prompt="", seed=0, model="", model_digest="", prompt_interpretation="",
        warnings=(), latents=(), previews=(), created="2026-01-01T00:00:00Z", generator="selfcheck",
        history=(HistoryEntry("import", "2026-01-01T00:00:00Z", {}, {}),),
    )  # fmt: skip


@contextmanager
def _restore_project(nuke: Any) -> Iterator[None]:
    """Delete what is created inside; the project is as saved as before."""
    before = {one.name() for one in nuke.allNodes()}
    modified = nuke.root().modified()
    nuke.Undo.disable()
    try:
        yield
    finally:
        for one in nuke.allNodes():
            if one.name() not in before:
                nuke.delete(one)
        nuke.Undo.enable()
        nuke.root().setModified(modified)
