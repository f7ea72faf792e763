"""Manifests on disk: what is written comes back, and every state stays readable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from fakes.example_stack import example_stack, next_state
from fakes.sample_documents import stacks
from layert2v import stack
from layert2v.errors import ManifestError
from layert2v.stack import Stack


@pytest.fixture
def plain() -> Stack:
    return example_stack()


@given(stacks())
def test_round_trip(example: Stack) -> None:
    assert stack.loads(stack.dumps(example)) == example


def test_a_wrong_stack_is_not_written(plain: Stack, tmp_path: Path) -> None:
    with pytest.raises(ManifestError):
        stack.write(replace(plain, fps=float("nan")), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_measures_are_kept_and_left_out_where_there_are_none(plain: Stack) -> None:
    entry = replace(plain.history[0], measures={"fg_01": {"plate_psnr_db": 33.5}})
    measured = replace(plain, history=(entry,))

    assert stack.loads(stack.dumps(measured)) == measured
    assert '"measures"' not in stack.dumps(plain)


def test_write_and_read(plain: Stack, tmp_path: Path) -> None:
    path = stack.write(plain, tmp_path)
    assert path == tmp_path / "stack.json"
    assert stack.write(plain, tmp_path) == path
    assert stack.read(tmp_path) == stack.read_state(tmp_path, 1) == plain
    files = sorted(file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.*"))
    assert files == ["history/v001.json", "stack.json"]


def test_a_manifest_that_cannot_appear_leaves_nothing_half(plain: Stack, tmp_path: Path) -> None:
    (tmp_path / "stack.json").mkdir()
    with pytest.raises(OSError):
        stack.write(plain, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["stack.json"]


def test_folders_without_a_readable_manifest(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as missing:
        stack.read(tmp_path)
    assert missing.value.reason == "MANIFEST_NOT_FOUND"
    (tmp_path / "stack.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError) as unreadable:
        stack.read(tmp_path)
    assert unreadable.value.reason == "MANIFEST_UNREADABLE"


def test_a_damaged_manifest_is_named_with_a_way_out(tmp_path: Path) -> None:
    path = tmp_path / stack.MANIFEST_NAME
    path.write_text('{"schema": ')
    with pytest.raises(ManifestError) as damaged:
        stack.read(tmp_path)
    assert damaged.value.reason == "JSON_INVALID"
    assert str(damaged.value).startswith(f"{path} cannot be used. The text is not valid JSON")
    assert damaged.value.hint == "Make the stack again, or restore its stack.json."


def test_every_state_is_kept(plain: Stack, tmp_path: Path) -> None:
    stack.write(plain, tmp_path)
    second = next_state(replace(plain, prompt="an owl"), "regenerate", 1, bg=2)
    stack.write(second, tmp_path)
    assert stack.read(tmp_path) == stack.read_state(tmp_path) == second
    assert stack.read_state(tmp_path, 1) == plain
    assert stack.read_start(tmp_path, 1) == replace(plain, history=second.history)
    with pytest.raises(ManifestError, match=r"no state v003 in .*; the newest is v002"):
        stack.read_state(tmp_path, 3)
    (tmp_path / stack.state_path(1)).unlink()
    with pytest.raises(ManifestError, match="v001 is not kept in"):
        stack.read_state(tmp_path, 1)


def test_all_states_of_a_folder(plain: Stack, tmp_path: Path) -> None:
    stack.write(plain, tmp_path)
    second = next_state(plain, "remove", 1)
    third = next_state(second, "remove", 2)
    stack.write(second, tmp_path)
    stack.write(third, tmp_path)
    assert stack.read_states(tmp_path) == (plain, second, third)
    (tmp_path / stack.state_path(2)).unlink()
    assert stack.read_states(tmp_path) == (plain, third)


def test_the_state_to_start_from(plain: Stack) -> None:
    newest = next_state(replace(plain, prompt="an owl"), "regenerate", 1)
    kept = {1: plain}
    assert stack.start_of(newest, 1, kept.__getitem__) == replace(plain, history=newest.history)
    for at in (0, 2, 3, -1):
        assert stack.start_of(newest, at, kept.__getitem__) is newest


def test_slugs() -> None:
    assert stack.slug('A "red" fox [python {1}]\n') == "a_red_fox_python_1"
    assert stack.slug("\U0001f98a") == "stack"
    assert stack.slug("a" * 39 + " fox") == "a" * 39


def test_a_state_from_before_states_is_kept_when_a_new_one_is_written(
    plain: Stack, tmp_path: Path
) -> None:
    (tmp_path / "stack.json").write_text(stack.dumps(plain))
    stack.write(next_state(plain, "remove", 1), tmp_path)
    assert stack.read_state(tmp_path, 1) == plain
