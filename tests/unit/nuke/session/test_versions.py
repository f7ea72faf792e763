"""Versions of layers and the states they belong to."""

from __future__ import annotations

from pathlib import Path

from fakes.nk_session import PluginSession
from fakes.nk_stacks import rerender_layers


def test_versions_that_were_never_together_are_no_start(
    session: PluginSession, stack: Path
) -> None:
    uuid = session.generate_stack(stack)
    rerender_layers(stack, "fg_01")
    rerender_layers(stack, "fg_02")
    session.controller.on_button(uuid, "rerender bg")
    session.send_result(stack, state=3)
    session.host.set_knobs(uuid, {"fg_01_version": 1})
    session.controller.on_button(uuid, "rerender bg")
    assert "never together" in session.value("status")
