"""A task: a whole stack or none, again as often as the manager wants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from layert2v_engine.farm.run import run_shot
from layert2v_engine.farm.shots import Shot, ShotList, ShotsError


class RecordedEngine:
    """Writes a stack, unless it is to fail."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.commands: list[list[str]] = []
        self.found: list[str] = []

    def __call__(self, command: Sequence[str]) -> int:
        self.commands.append(list(command))
        folder = Path(command[command.index("--out") + 1])
        self.found = sorted(path.name for path in folder.glob("*"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ("stack.json" if self.code == 0 else "half")).write_text(str(len(self.commands)))
        return self.code


def _shots(folder: Path, command: str = "generate") -> tuple[ShotList, Shot]:
    shot = Shot(name="sh010", command=(command, "x"), out=str(folder / "sh010"))
    return ShotList(name="job", shots=(shot,), models="/m", weights="/w"), shot


def test_a_stack_is_there_when_it_is_complete(tmp_path: Path) -> None:
    engine = RecordedEngine()
    shots, shot = _shots(tmp_path)
    assert run_shot(shots, shot, progress="percent", engine=engine) == 0
    assert (tmp_path / "sh010" / "stack.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["sh010", "sh010.farm.json"]
    assert engine.commands[0][-4:] == ["--models", "/m", "--weights", "/w"]
    report = json.loads((tmp_path / "sh010.farm.json").read_text())
    assert (report["shot"], report["exit_code"]) == ("sh010", 0)


def test_a_complete_stack_is_not_made_again_unless_asked(tmp_path: Path) -> None:
    engine = RecordedEngine()
    shots, shot = _shots(tmp_path)
    said: list[str] = []
    for again in (False, False, True):
        code = run_shot(
            shots, shot, progress="percent", again=again, report=said.append, engine=engine
        )
        assert code == 0
    assert len(engine.commands) == 2
    assert "sh010 is complete already" in said
    assert (tmp_path / "sh010" / "stack.json").read_text() == "2"


@pytest.mark.parametrize(("command", "kept"), [("generate", []), ("decompose", ["half"])])
def test_a_failed_task_leaves_no_stack_and_footage_goes_on(
    tmp_path: Path, command: str, kept: list[str]
) -> None:
    engine = RecordedEngine(code=2)
    shots, shot = _shots(tmp_path, command)
    assert run_shot(shots, shot, progress="openjd", engine=engine) == 2
    assert not (tmp_path / "sh010").exists()
    engine.code = 0
    assert run_shot(shots, shot, progress="openjd", engine=engine) == 0
    assert engine.found == kept


def test_files_that_are_no_stack_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "sh010").mkdir()
    (tmp_path / "sh010" / "notes.txt").write_text("mine")
    shots, shot = _shots(tmp_path)
    with pytest.raises(ShotsError, match="are no stack"):
        run_shot(shots, shot, progress="percent", engine=RecordedEngine())
    assert (tmp_path / "sh010" / "notes.txt").read_text() == "mine"


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    shots, shot = _shots(tmp_path / "file")
    with pytest.raises(ShotsError, match="cannot be used: Not a directory"):
        run_shot(shots, shot, progress="percent", engine=RecordedEngine())
