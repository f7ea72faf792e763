"""The manifest: what is written comes back, and what is wrong is refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from fakes.example_stack import example_stack
from fakes.sample_documents import stacks
from layert2v import stack
from layert2v.errors import ManifestError
from layert2v.stack import HistoryEntry, Role, Stack


@pytest.fixture
def plain() -> Stack:
    return example_stack()


def edited(plain: Stack, edit: Callable[[dict[str, Any]], object]) -> str:
    document = json.loads(stack.dumps(plain))
    edit(document)
    return json.dumps(document)


@given(stacks())
def test_round_trip(made: Stack) -> None:
    assert stack.loads(stack.dumps(made)) == made


def test_names_and_paths() -> None:
    assert stack.layer_folder("fg_01", 2) == "fg_01/v002"
    assert stack.layer_pattern("bg", 1) == "bg/v001/bg_v001.####.exr"
    assert stack.frame_path("bg/v001/bg_v001.####.exr", 7) == "bg/v001/bg_v001.0007.exr"
    assert stack.frame_path("a.##.exr", 12345) == "a.12345.exr"


def test_lookup_and_all_files(plain: Stack) -> None:
    assert plain.layer("fg_01").role is Role.foreground
    assert plain.flat("ref").version == 1
    assert len(plain.files()) == 5 * 2 + 1 + 1
    assert len(replace(plain, latents=()).files()) == 5 * 2 + 1
    with pytest.raises(KeyError):
        plain.layer("fg_02")


WRONG: dict[str, tuple[Callable[[dict[str, Any]], object], str, str]] = {
    "missing": (lambda d: d.pop("fps"), "FIELD_MISSING", "fps is missing"),
    "unknown": (lambda d: d.update(colour=1), "FIELD_UNKNOWN", "Unknown field: colour"),
    "unknown inside": (lambda d: d["layers"][1].update(blend="add"), "FIELD_UNKNOWN", "layers[1]"),
    "text for number": (lambda d: d.update(width="96"), "FIELD_TYPE", "width must be a whole"),
    "truth for number": (lambda d: d.update(frames=True), "FIELD_TYPE", "frames must be a whole"),
    "number for text": (lambda d: d.update(prompt=3), "FIELD_TYPE", "prompt must be text"),
    "object for list": (lambda d: d.update(layers={}), "FIELD_TYPE", "layers must be a list"),
    "object for latents": (lambda d: d.update(latents={}), "FIELD_TYPE", "latents must be a list"),
    "list for history": (
        lambda d: d["history"][0].update(spec=[]),
        "FIELD_TYPE",
        "history[0].spec must be an object",
    ),
    "text for fps": (lambda d: d.update(fps="24"), "FIELD_TYPE", "fps must be a number"),
    "half a character": (lambda d: d.update(prompt="\ud800"), "FIELD_VALUE", "not Unicode"),
    "huge number": (lambda d: d.update(fps=10**400), "FIELD_VALUE", "fps must be a finite"),
    "no width": (lambda d: d.update(width=0), "FIELD_VALUE", "width must be 1 or more"),
    "no time": (lambda d: d.update(fps=0), "FIELD_VALUE", "fps must be greater than 0"),
    "negative seed": (lambda d: d.update(seed=-1), "FIELD_VALUE", "seed must be 0 or more"),
    "schema 0": (lambda d: d.update(schema_version=0), "FIELD_VALUE", "must be 1 or more"),
    "role": (lambda d: d["layers"][0].update(role="sky"), "FIELD_VALUE", "layers[0].role"),
    "source": (lambda d: d["layers"][0].update(source="web"), "FIELD_VALUE", "one of generated"),
    "layer called comp": (lambda d: d["layers"][0].update(name="comp"), "FIELD_VALUE", "not comp"),
    "layer name": (lambda d: d["layers"][0].update(name="Sky/1"), "FIELD_VALUE", "lower-case"),
    "flat name": (lambda d: d["flats"][0].update(name="bg"), "FIELD_VALUE", "one of comp, ref"),
    "hash": (lambda d: d["latents"][0].update(sha256="AB"), "FIELD_VALUE", "latents[0].sha256"),
    "pattern": (lambda d: d["flats"][0].update(pattern="a.exr"), "FIELD_VALUE", "one run of #"),
    "other document": (lambda d: d.update(schema="x"), "NOT_A_STACK", "not a layer stack"),
    "same name": (lambda d: d["layers"].append(d["layers"][0]), "LAYER_TWICE", "share a name"),
    "no caster": (lambda d: d["layers"][1].update(caster=None), "CASTER_UNKNOWN", "shadow_01"),
    "wrong caster": (lambda d: d["layers"][1].update(caster="bg"), "CASTER_UNKNOWN", "caster"),
    "cast by none": (lambda d: d["layers"][0].update(caster="bg"), "CASTER_UNKNOWN", "no shadow"),
    "frame missing": (lambda d: d["layers"][0]["files"].pop(), "FRAMES_WRONG", "one file per"),
    "no history": (lambda d: d.update(history=[]), "HISTORY_WRONG", "how the stack was made"),
    "own parent": (lambda d: d["history"][0].update(parent=1), "HISTORY_WRONG", "[0].parent"),
    "frame order": (lambda d: d["flats"][0]["files"].reverse(), "FRAMES_WRONG", "1001.exr"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_refused(plain: Stack, case: str) -> None:
    edit, reason, words = WRONG[case]
    with pytest.raises(ManifestError) as caught:
        stack.loads(edited(plain, edit))
    assert caught.value.reason == reason
    assert words in caught.value.message


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/x",
        "a/../x",
        "a//x",
        "",
        "a\\x",
        "C:/x",
        "a/.x",
        "a/x.",
        "nul",
        "a/COM1.exr",
        "a b",
    ],
)
def test_paths_that_leave_the_folder_or_no_system_can_hold(plain: Stack, path: str) -> None:
    with pytest.raises(ManifestError, match="relative path"):
        stack.loads(edited(plain, lambda d: d["latents"][0].update(path=path)))


def test_a_newer_schema_is_refused_politely_before_its_fields(plain: Stack) -> None:
    text = edited(plain, lambda d: d.update(schema_version=3, depth_layers=[]))
    with pytest.raises(ManifestError) as caught:
        stack.loads(text)
    assert caught.value.reason == "SCHEMA_TOO_NEW"
    assert "version 3" in caught.value.message
    assert "Update LayerT2V" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", "[]x", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 100_000])
def test_text_that_is_not_json(text: str) -> None:
    with pytest.raises(ManifestError) as caught:
        stack.loads(text)
    assert caught.value.reason == "JSON_INVALID"


def test_a_wrong_stack_is_not_written(plain: Stack, tmp_path: Path) -> None:
    with pytest.raises(ManifestError):
        stack.write(replace(plain, fps=float("nan")), tmp_path)
    assert list(tmp_path.iterdir()) == []


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


def test_a_manifest_of_the_first_schema_is_read(plain: Stack) -> None:
    document = json.loads(stack.dumps(plain))
    document["schema_version"] = 1
    document["latents"] = document["latents"][0]
    del document["history"][0]["parent"]
    assert stack.loads(json.dumps(document)) == replace(plain, latents=())


def after(plain: Stack, action: str, parent: int, **versions: int) -> Stack:
    entry = HistoryEntry(action, "2026-01-02T03:04:05Z", versions, {}, parent=parent)
    return replace(plain, history=(*plain.history, entry))


def test_every_state_is_kept(plain: Stack, tmp_path: Path) -> None:
    stack.write(plain, tmp_path)
    second = after(replace(plain, prompt="an owl"), "regenerate", 1, bg=2)
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
    second = after(plain, "remove", 1)
    third = after(second, "remove", 2)
    stack.write(second, tmp_path)
    stack.write(third, tmp_path)
    assert stack.read_states(tmp_path) == (plain, second, third)
    (tmp_path / stack.state_path(2)).unlink()
    assert stack.read_states(tmp_path) == (plain, third)


def test_the_state_to_start_from(plain: Stack) -> None:
    newest = after(replace(plain, prompt="an owl"), "regenerate", 1)
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
    stack.write(after(plain, "remove", 1), tmp_path)
    assert stack.read_state(tmp_path, 1) == plain


def test_versions_count_on_from_states_that_were_left(plain: Stack) -> None:
    """v002 of bg was made in state 2; state 3 went back to state 1 and shows v001 again."""
    opened = after(after(plain, "regenerate", 1, bg=2, comp=2), "open", 1)
    assert opened.layer("bg").version == 1
    assert [stack.next_version(opened, name) for name in ("bg", "comp", "fg_01")] == [3, 3, 2]
    assert stack.next_version(opened, "fg_02") == 1


def test_latents_belong_to_a_version_of_a_layer(plain: Stack) -> None:
    assert plain.latents_of("bg") == plain.latents[0]
    assert plain.latents_of("ref") is None
    newer = replace(plain, layers=(replace(plain.layers[0], version=2), *plain.layers[1:]))
    assert newer.latents_of("bg") is None
