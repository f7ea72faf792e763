"""What the tests of the Nuke plug-in share: stacks, and sessions on the strict fake."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fakes.nk_session import PluginSession
from fakes.nk_stacks import write_two_foregrounds
from layert2v_nuke import api, preferences


@pytest.fixture(scope="session")
def foxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a delivered stack: bg and two foregrounds with their shadows."""
    folder = tmp_path_factory.mktemp("stacks") / "foxes"
    write_two_foregrounds(folder)
    return folder


@pytest.fixture
def stack(foxes: Path, tmp_path: Path) -> Path:
    """Return a copy of the stack that a test may change."""
    return Path(shutil.copytree(foxes, tmp_path / "stack"))


@pytest.fixture
def session(tmp_path: Path) -> PluginSession:
    """Return a Nuke with the plug-in and a scripted bridge."""
    return PluginSession(tmp_path)


@pytest.fixture
def plugin_api(
    session: PluginSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> PluginSession:
    """Let menus, callbacks and ``api`` use the session."""
    monkeypatch.setattr(api, "plugin_state", lambda: session.plugin)
    monkeypatch.setattr(preferences, "nuke_folder", lambda: tmp_path / ".nuke")
    api.install()
    return session
