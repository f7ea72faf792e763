"""A session of the plug-in on the strict fake, with a scripted bridge and a clock of its own."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from fakes.fake_nuke import FakeNuke
from fakes.fake_nuke.nodes import Node
from layert2v.presets import Preset
from layert2v.spec import ModelInfo, model_to_json
from layert2v_nuke import api, ui
from layert2v_nuke.controller import Controller
from layert2v_nuke.errors import BridgeFailed
from layert2v_nuke.host import Host
from layert2v_nuke.preferences import Preferences
from layert2v_nuke.session.connection import Connection

MODEL = ModelInfo(
    name="mini", title="Mini", digest="0" * 64, width_range=(16, 320), height_range=(16, 256),
    size_step=2, frames_range=(1, 17), frames_step=1, max_foregrounds=2, default_width=64,
    default_height=64, default_frames=5, default_fps=12.0, default_steps=4, default_guidance=3.0,
    steps_range=(1, 1000), guidance_range=(0.0, 20.0), abilities=("generate", "clean_conditioning"),
    colorspaces=("lin_rec709_scene", "lin_ap1_scene"),
    presets=(Preset("preview", frames=1, steps=2), Preset("final", 128, 96, 9, 8, 5.0)),
)  # fmt: skip


class ScriptedBridge:
    """A bridge whose messages a test writes."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.incoming: list[dict[str, Any]] = []
        self.failure: BridgeFailed | None = None
        self.closed = False

    def send(self, method: str, **params: Any) -> int:
        self.sent.append({"method": method, **params})
        return len(self.sent)

    def drain(self) -> list[dict[str, Any]]:
        if self.failure is not None:
            raise self.failure
        found, self.incoming = self.incoming, []
        return found

    def close(self) -> None:
        self.closed = True

    def last(self, method: str) -> dict[str, Any]:
        return next(one for one in reversed(self.sent) if one["method"] == method)


class PluginSession:
    """One Nuke with the plug-in; the next session may go on with its ``nuke``."""

    def __init__(self, folder: Path, nuke: FakeNuke | None = None) -> None:
        self.nuke = nuke or FakeNuke()
        self.bridges: list[ScriptedBridge] = []
        self.now, self._ids = 0.0, itertools.count(1)
        self.prefix = "1234567" if nuke is None else "7654321"
        connection = Connection(self._open, lambda: {"server": "render01"}, lambda: self.now)
        self.host = Host(self.nuke)
        self.controller = Controller(
            self.host, connection, lambda: folder / "out", new_id=self._new_id
        )
        timer = ui.Timer(FakeNuke(gui=False), self.controller.pump, lambda: False)
        self.plugin = api.PluginState(self.host, self.controller, timer, Preferences())

    @property
    def bridge(self) -> ScriptedBridge:
        return self.bridges[-1]

    def node(self, name: str = "LayerT2V1") -> Node:
        found = self.nuke.toNode(name)
        assert found is not None
        return found

    def value(self, knob: str, name: str = "LayerT2V1") -> Any:
        return self.node(name)[knob].value()

    def send_event(self, event: str, **values: Any) -> None:
        """Let the bridge send an event, and the plug-in handle it."""
        self.bridge.incoming.append({"event": event, **values})
        self.controller.pump()

    def connect(self, *models: ModelInfo) -> None:
        models_json = [model_to_json(model) for model in models or (MODEL,)]
        self.send_event("Connected", server="render01", version="0.1.0", models=models_json)

    def send_progress(self, **values: Any) -> None:
        defaults: dict[str, Any] = {
            "job": "jobs/1", "state": "running", "stage": "denoise", "done": 1, "total": 4,
            "fraction": 0.25, "eta_s": 30.0, "queue_position": None, "message": "",
            "request_id": self.value("l2v_request"),
        }  # fmt: skip
        self.send_event("RequestUpdated", **{**defaults, **values})

    def send_result(self, folder: Path, state: int = 1, request: str = "") -> None:
        values = {"folder": str(folder), "stack": str(folder / "stack.json"), "state": state}
        request_id = request or self.value("l2v_request")
        self.send_event("RequestSucceeded", request_id=request_id, job="jobs/1", **values)

    def generate(self, prompt: str = "a red fox in the snow", **knobs: Any) -> str:
        """Create a node, press Generate and connect; return its uuid."""
        uuid = self.controller.create()
        self.host.set_knobs(uuid, {"prompt": prompt, **knobs})
        self.controller.on_button(uuid, "generate")
        self.controller.pump()
        self.connect()
        return uuid

    def generate_stack(self, folder: Path) -> str:
        """Create a node that shows a stack; return its uuid."""
        uuid = self.generate()
        self.send_result(folder)
        return uuid

    def run_command(self, label: str) -> None:
        """Choose a command in the menu of the plug-in."""
        self.nuke.menu("Nuke").menus["LayerT2V"].commands[label][0]()

    def _open(self) -> ScriptedBridge:
        self.bridges.append(ScriptedBridge())
        return self.bridge

    def _new_id(self) -> str:
        return f"{self.prefix}{next(self._ids):03d}"
