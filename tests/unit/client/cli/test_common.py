from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.example_stack import example_stack
from layert2v import stack as manifests
from layert2v_client.cli.common import discard_at_interrupt, print_summary
from layert2v_client.cli.stack_commands import _merge_into_copy
from layert2v_client.cli.terminal import ProgressLine
from layert2v_client.errors import ServerUnavailable
from layert2v_client.jobs import Job


@pytest.mark.parametrize(("model", "is_said"), [("mini", True), ("", False)])
def test_a_seed_is_said_where_a_model_had_one(tmp_path: Path, model: str, is_said: bool) -> None:
    manifests.write(replace(example_stack(), model=model), tmp_path)
    out, said = io.StringIO(), io.StringIO()

    print_summary(tmp_path, out, ProgressLine(said))

    assert ("seed 7" in said.getvalue()) is is_said
    assert out.getvalue() == f"{tmp_path}\n"


class InterruptedJob(Job):
    """A job at whose download Ctrl-C comes, while the server is gone."""

    def __init__(self) -> None:
        self.discarded: list[Path] = []

    def merge_into(self, folder: Path, options: Any = None) -> Any:
        (folder / "more").mkdir()
        (folder / "more" / ".part").touch()
        raise KeyboardInterrupt

    def discard_partial_download(self, folder: Path) -> None:
        self.discarded.append(folder)
        raise ServerUnavailable("SERVER_UNAVAILABLE", "It is gone.")


def test_an_interrupt_in_a_copy_of_a_stack_leaves_the_copy_empty(tmp_path: Path) -> None:
    source, target = tmp_path / "stack", tmp_path / "copy"
    for folder in (source, target):
        folder.mkdir()
    stack = example_stack()
    for file in stack.files():
        (source / file.path).parent.mkdir(parents=True, exist_ok=True)
        (source / file.path).write_bytes(b"pixels")
    manifests.write(stack, source)
    before = sorted(source.rglob("*"))
    with pytest.raises(KeyboardInterrupt):
        _merge_into_copy(InterruptedJob(), source, target, ProgressLine(io.StringIO()))
    assert list(target.iterdir()) == []
    assert sorted(source.rglob("*")) == before


def test_an_interrupt_stays_one_where_the_server_is_gone(tmp_path: Path) -> None:
    job = InterruptedJob()
    with pytest.raises(KeyboardInterrupt), discard_at_interrupt(job, tmp_path):
        raise KeyboardInterrupt
    assert job.discarded == [tmp_path]
