"""What can be refused before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from layert2v.spec import GenerateSpec
from layert2v_client import InvalidRequest, TransferOptions
from layert2v_client.session.operations import Attach, Generate

NO_CLIENT: Any = None  # nothing is sent
OPTIONS = TransferOptions()


def test_a_new_stack_needs_an_empty_folder(tmp_path: Path) -> None:
    generate = Generate(GenerateSpec("a fox"), tmp_path, is_retry=False)
    generate.prepare(NO_CLIENT, "id", OPTIONS)
    (tmp_path / "notes").touch()
    with pytest.raises(InvalidRequest, match="has something in it"):
        generate.prepare(NO_CLIENT, "id", OPTIONS)
    Generate(GenerateSpec("a fox"), tmp_path, is_retry=True).prepare(NO_CLIENT, "id", OPTIONS)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    with pytest.raises(InvalidRequest, match="cannot be used"):
        Generate(GenerateSpec(""), tmp_path / "notes", is_retry=False).prepare(
            NO_CLIENT, "id", OPTIONS
        )


def test_attaching_needs_a_job(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="name of a job"):
        Attach(tmp_path).submit(NO_CLIENT, "id")
