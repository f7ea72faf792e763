"""Stacks that the tests of the Nuke plug-in share; tests that change one make their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.nk_stacks import write_two_foregrounds


@pytest.fixture(scope="session")
def foxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a delivered stack: bg and two foregrounds with their shadows."""
    folder = tmp_path_factory.mktemp("stacks") / "foxes"
    write_two_foregrounds(folder)
    return folder
