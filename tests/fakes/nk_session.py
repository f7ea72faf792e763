"""A session of the plug-in on the strict fake, with a scripted bridge and a clock of its own."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from fakes.fake_nuke import FakeNuke
from fakes.fake_nuke.nodes import Node
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
)  # fmt: skip


class Line:
    """A bridge that a test plays."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.pending: list[dict[str, Any]] = []
        self.fault: BridgeFailed | None = None
        self.closed = False

    def send(self, do: str, **values: Any) -> int:
        self.sent.append({"do": do, **values})
        return len(self.sent)

    def drain(self) -> list[dict[str, Any]]:
        if self.fault is not None:
            raise self.fault
        found, self.pending = self.pending, []
        return found

    def close(self) -> None:
        self.closed = True

    def last(self, do: str) -> dict[str, Any]:
        return next(one for one in reversed(self.sent) if one["do"] == do)


class Studio:
    """One Nuke with the plug-in; `nuke` may be shared by the next session after a restart."""

    def __init__(self, folder: Path, nuke: FakeNuke | None = None) -> None:
        self.nuke = nuke or FakeNuke()
        self.lines: list[Line] = []
        self.now, self._ids = 0.0, itertools.count(1)
        self.prefix = "1234567" if nuke is None else "7654321"
        connection = Connection(self._open, lambda: {"server": "render01"}, lambda: self.now)
        self.host = Host(self.nuke)
        self.controller = Controller(
            self.host, connection, lambda: folder / "out", new_id=self._new_id
        )
        timer = ui.Timer(FakeNuke(gui=False), self.controller.pump, lambda: False)
        self.session = api.PluginState(self.host, self.controller, timer, Preferences())

    @property
    def line(self) -> Line:
        return self.lines[-1]

    def node(self, name: str = "LayerT2V1") -> Node:
        found = self.nuke.toNode(name)
        assert found is not None
        return found

    def value(self, knob: str, name: str = "LayerT2V1") -> Any:
        return self.node(name)[knob].value()

    def tell(self, event: str, **values: Any) -> None:
        """The bridge says something, and the plug-in listens."""
        self.line.pending.append({"event": event, **values})
        self.controller.pump()

    def connect(self, *models: ModelInfo) -> None:
        said = [model_to_json(model) for model in models or (MODEL,)]
        self.tell("Connected", server="render01", version="0.1.0", models=said)

    def changed(self, **values: Any) -> None:
        known: dict[str, Any] = {
            "job": "jobs/1", "state": "running", "stage": "denoise", "done": 1, "total": 4,
            "fraction": 0.25, "eta_s": 30.0, "queue_position": None, "message": "",
            "request_id": self.value("l2v_request"),
        }  # fmt: skip
        self.tell("RequestUpdated", **{**known, **values})

    def done(self, folder: Path, state: int = 1, request: str = "") -> None:
        self.tell("RequestSucceeded", request_id=request or self.value("l2v_request"), job="jobs/1",
                  folder=str(folder), stack=str(folder / "stack.json"), state=state)  # fmt: skip

    def asked(self, prompt: str = "a red fox in the snow", **knobs: Any) -> str:
        """A node whose Generate was pressed and went out."""
        uuid = self.controller.create()
        self.host.set_knobs(uuid, {"prompt": prompt, **knobs})
        self.controller.on_button(uuid, "generate")
        self.controller.pump()
        self.connect()
        return uuid

    def with_stack(self, folder: Path) -> str:
        """A node that shows a stack."""
        uuid = self.asked()
        self.done(folder)
        return uuid

    def _open(self) -> Line:
        self.lines.append(Line())
        return self.line

    def _new_id(self) -> str:
        return f"{self.prefix}{next(self._ids):03d}"
