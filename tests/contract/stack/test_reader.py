"""Strict reading of manifests: what is wrong is refused with a reason."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.example_stack import example_stack
from layert2v import stack
from layert2v.errors import ManifestError
from layert2v.stack import Stack


@pytest.fixture
def plain() -> Stack:
    return example_stack()


def edit_manifest(plain: Stack, edit: Callable[[dict[str, Any]], object]) -> str:
    document = json.loads(stack.dumps(plain))
    edit(document)
    return json.dumps(document)


def nest(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


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
    "a number of frames that is not there": (
        lambda d: d.update(frames=99_999),
        "FRAMES_WRONG",
        "one file per frame",
    ),
    "more frames than may be": (
        lambda d: d.update(frames=10**9),
        "FIELD_VALUE",
        "frames must be 100000 or less",
    ),
    "a number of 70 bits": (lambda d: d.update(seed=2**70), "FIELD_VALUE", "must fit 64 bits"),
    "free numbers of 70 bits": (
        lambda d: d["history"][0]["spec"].update(x=[2**70]),
        "FIELD_VALUE",
        "must fit 64 bits",
    ),
    "free values in 99 lists": (
        lambda d: d["history"][0]["spec"].update(x=nest(99)),
        "FIELD_VALUE",
        "nested at most",
    ),
    "free half characters": (
        lambda d: d["history"][0]["spec"].update(x={"\udfff": 1}),
        "FIELD_VALUE",
        "not Unicode",
    ),
    "a long name": (lambda d: d.update(model="m" * 201), "FIELD_VALUE", "at most 200 char"),
    "a long text": (lambda d: d.update(prompt="m" * 10_001), "FIELD_VALUE", "at most 10000 char"),
    "a long path": (
        lambda d: d["latents"][0].update(path="/".join(["b" * 99] * 5)),
        "FIELD_VALUE",
        "latents[0].path",
    ),
    "a long name of a file": (
        lambda d: d["latents"][0].update(path="b" * 201),
        "FIELD_VALUE",
        "latents[0].path",
    ),
    "a last frame of seven digits": (
        lambda d: d.update(start_frame=999_999),
        "FRAMES_WRONG",
        "at most 999999",
    ),
    "65 layers": (
        lambda d: d["layers"].extend([{**d["layers"][0], "name": f"x{k}"} for k in range(64)]),
        "LAYERS_TOO_MANY",
        "at most 64",
    ),
    "1001 states": (
        lambda d: d["history"].extend([d["history"][0]] * 1001),
        "HISTORY_WRONG",
        "at most 1000",
    ),
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
        stack.loads(edit_manifest(plain, edit))
    assert caught.value.reason == reason
    assert words in caught.value.message


def test_a_newer_schema_is_refused_politely_before_its_fields(plain: Stack) -> None:
    text = edit_manifest(plain, lambda d: d.update(schema_version=3, depth_layers=[]))
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


def test_a_manifest_of_the_first_schema_is_read(plain: Stack) -> None:
    document = json.loads(stack.dumps(plain))
    document["schema_version"] = 1
    document["latents"] = document["latents"][0]
    del document["history"][0]["parent"]
    assert stack.loads(json.dumps(document)) == replace(plain, latents=())


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
        stack.loads(edit_manifest(plain, lambda d: d["latents"][0].update(path=path)))


def test_a_text_of_a_million_values_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ManifestError) as caught:
        stack.loads("[" + "1," * 1_000_001)
    assert caught.value.reason == "JSON_TOO_LARGE"


def test_a_large_file_is_refused_before_it_is_read(plain: Stack, tmp_path: Path) -> None:
    path = stack.write(plain, tmp_path)
    with path.open("ab") as file:
        file.truncate(9 << 20)
    with pytest.raises(ManifestError) as caught:
        stack.read(tmp_path)
    assert caught.value.reason == "MANIFEST_TOO_LARGE"


def test_a_description_of_frames_takes_no_memory(plain: Stack) -> None:
    text = edit_manifest(plain, lambda d: d.update(frames=99_999))
    tracemalloc.start()
    with pytest.raises(ManifestError):
        stack.loads(text)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
