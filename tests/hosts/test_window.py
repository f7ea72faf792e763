"""The panel in Blender's real window: a click on Generate makes a stack, and it looks as it should.

What is to be seen stays in build/blender/pictures; docs/images holds chosen ones of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.live_server import LiveServer
from hosts.blenders import REPOSITORY, Blender
from hosts.display import display
from layert2v.stack import read

pytestmark = [pytest.mark.host, pytest.mark.timeout(600)]

PICTURES = REPOSITORY / "build" / "blender" / "pictures"
STATES = ("idle", "nearest", "running", "done", "error")


@pytest.mark.parametrize("bare_blender", ["4.5", "5.2"], indirect=True)
def test_a_click_on_generate_drives_a_whole_job(
    bare_blender: Blender, extension_zip: Path, mini_server: LiveServer, tmp_path: Path
) -> None:
    # A profile that knows no server yet, so that the panel offers to test the connection.
    blender = Blender(bare_blender.version, bare_blender.python, tmp_path / "profile")
    blender.run("blender_install.py", extension_zip)
    pictures = PICTURES / blender.version
    pictures.mkdir(parents=True, exist_ok=True)
    with display() as screen:
        arguments = (mini_server.ready["address"], tmp_path / "stacks", pictures)
        seen = blender.run("blender_panel.py", *arguments, timeout_s=400, **screen)
    assert seen["offers_nearest"]
    assert seen["running"] == "running"
    assert seen["outcome"] == "RequestSucceeded"
    stack = read(Path(seen["folder"]))
    assert seen["layers"] == [layer.name for layer in reversed(stack.layers)]
    assert "127.0.0.1:9" in seen["message"]
    assert len({(pictures / f"{state}.png").read_bytes() for state in STATES}) == len(STATES)
