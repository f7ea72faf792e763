"""Files beside the artist's that are called like packages: no child process imports them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fakes import malformed_images
from layert2v_server.config import Config
from layert2v_server.executors.process import worker_command

MARK = "open({mark!r}, 'a').write(__name__)\nraise ImportError('from the current folder')\n"
START = """
from pathlib import Path
from layert2v_client.local_server import EmbeddedServer
with EmbeddedServer(Path("data")):
    print("ready")
"""
CHECK = """
from pathlib import Path
from layert2v_server.worker.image_check import check_images
check_images([Path("plate.exr")], lambda: False)
print("checked")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    mark = str(tmp_path / "mark")
    for name in ("sqlalchemy", "alembic", "psutil", "OpenImageIO", "torch", "grpc_health"):
        (tmp_path / f"{name}.py").write_text(MARK.format(mark=mark))
    malformed_images.valid(tmp_path / "plate.exr")
    return tmp_path


@pytest.mark.parametrize(("program", "said"), [(START, "ready"), (CHECK, "checked")])
def test_children_do_not_import_from_the_current_folder(
    folder: Path, program: str, said: str
) -> None:
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == said, done.stderr
    assert not (folder / "mark").exists()


def test_workers_are_started_without_the_current_folder() -> None:
    command = worker_command(Config(), ["cpu"])
    assert command[1] == "-P"
