"""An artist at the strict fake of Nuke, with the plug-in, the real bridge and a server."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from fakes.fake_engine import Behaviour
from fakes.fake_nuke import FakeNuke
from fakes.live_server import WAIT_TIMEOUT_S
from layert2v_nuke import api
from layert2v_nuke.host import Host
from layert2v_nuke.preferences import Preferences


class Artist:
    """One Nuke with the plug-in as it is installed, without an interface."""

    def __init__(self, folder: Path, server: str, nuke: FakeNuke | None = None) -> None:
        self.nuke = nuke or FakeNuke(gui=False)
        self.nuke.set_project(format=(64, 64, 1.0), first_frame=1001, last_frame=1005, fps=12.0)
        chosen = Preferences(
            server=server, python=sys.executable, stacks=str(folder / "stacks"),
            cache=str(folder / "cache"),
        )  # fmt: skip
        self.plugin = api.start(Host(self.nuke), chosen)
        self.controller, self.host = self.plugin.controller, self.plugin.host

    def generate(self, behaviour: Behaviour, prompt: str = "a fox") -> str:
        uuid = self.controller.create()
        values = {"prompt": prompt, "negative": behaviour.to_prompt(), "steps": 4}
        self.host.set_knobs(uuid, values)
        self.controller.on_button(uuid, "generate")
        return uuid

    def wait_until(
        self, condition: Callable[[], bool], timeout_s: float = 3 * WAIT_TIMEOUT_S
    ) -> None:
        """Let time pass as a timer does."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            states = [self.host.status(uuid) for uuid in self.host.node_names()]
            assert time.monotonic() < deadline, states
            self.controller.pump()
            time.sleep(0.01)

    def has_status(self, uuid: str, *states: str) -> Callable[[], bool]:
        return lambda: self.status(uuid) in states

    def status(self, uuid: str) -> str:
        return str(self.host.knob_values(uuid)["l2v_life"])

    def bridge_pid(self) -> int:
        return int(self.controller._connection._bridge.pid)  # type: ignore[union-attr]
