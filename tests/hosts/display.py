"""An X display without a screen, for what needs a real window."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

TOOLS = ("Xvfb", "xdotool", "import", "mogrify", "nm", "objdump")
SIZE = "1440x900x24"
START_TIMEOUT_S = 30


@contextlib.contextmanager
def display() -> Iterator[dict[str, str]]:
    """Yield the environment of a fresh display; skip if this machine can have none."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not found; `scripts/setup window` installs them")
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", SIZE, "-nolisten", "tcp"]
    server = subprocess.Popen(
        [*command, "+extension", "GLX"],
        pass_fds=[writer],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    try:
        with os.fdopen(reader, encoding="ascii") as answer:
            number = answer.readline().strip()  # it writes this when it is ready, or ends
        if not number:
            pytest.skip(f"Xvfb ended with status {server.wait(START_TIMEOUT_S)}: no display")
        # Mesa in software, whatever graphics the machine has; X even where Wayland runs.
        screen = {"DISPLAY": f":{number}", "WAYLAND_DISPLAY": "", "LIBGL_ALWAYS_SOFTWARE": "1"}
        with tempfile.TemporaryDirectory() as runtime:
            yield {**screen, "XDG_RUNTIME_DIR": runtime}
    finally:
        server.terminate()
        server.wait(START_TIMEOUT_S)
